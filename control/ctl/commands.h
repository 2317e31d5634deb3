/*
 * What each command of grammar.h does. A command runs with the right parameters or not at all.
 *
 * Threads    Control thread only. No command blocks; lists are bounded by their page.
 */
#pragma once

#include "control/ctl/request.h"

struct control;

/* Result (the caller's to release), or NULL with err filled: also when `level` is too low. */
json_t *ctl_run(struct control *c, enum ctl_level level, const struct ctl_request *req,
                struct ctl_error *err);
