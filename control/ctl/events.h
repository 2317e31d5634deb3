/*
 * Sessions as JSON: what happened, and how they are. Names, once shown, stay.
 *
 * Threads    Control thread only.
 */
#pragma once

#include <jansson.h>

#include "control/session/session.h"

/* "running", "completed", ... */
const char *events_state(enum ice_state s);
/* "consent-lost", "no-answer", ...; "none". */
const char *events_reason(enum ice_reason why);

/* The notification {"jsonrpc":"2.0","method":"session.event","params":{...}}. */
json_t *events_json(const struct session_event *e);
/* The one that says so many were lost, {"event":"lost","count":n}. */
json_t *events_lost(uint64_t n);

json_t *events_session(const struct session_info *s);
/* `secrets`: with the password and whole descriptions to hand on. */
json_t *events_leg(const struct session_leg_info *l, bool secrets);
