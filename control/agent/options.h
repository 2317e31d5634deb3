/*
 * The command line of turnpike-agent. One table (options.c) drives parsing, --help and the manual.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "control/ice/ice.h"

struct agent_options {
	struct ice_server server[ICE_SERVERS_MAX];
	unsigned n_servers;
	bool relay_only, offer, answer, stream, explain, nat_type, loopback;
	const char *local, *remote, *stats, *trace;
	uint32_t timeout_s; /* of waiting for the other side's description; 0: for ever */
};

/* 0; 2 with one line on stderr; -1: --help or --version was answered. Names are resolved here. */
int agent_options_parse(struct agent_options *o, int argc, char **argv);
/* troff, for the build. */
void agent_options_manual(FILE *out);
