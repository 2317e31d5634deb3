/* The commands that begin with `session`: one function each, for the table in commands.c. */
#pragma once

#include "control/ctl/request.h"

ctl_body session_create_body, session_show_body, session_set_remote_body,
	session_add_candidate_body, session_add_leg_body, session_restart_body, session_delete_body,
	session_events_body;
