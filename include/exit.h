/* Exit codes that scripts may rely on; the same for every program. */
#pragma once

enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILURE = 1,
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_RESOURCE = 75, /* busy, or something this machine lacks; trying later may help */
	EXIT_CODE_CONFIG = 78,   /* the configuration must change first */
};
