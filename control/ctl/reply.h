/*
 * Rows of the control process's and the data plane's state as JSON. Names, once shown, stay:
 * scripts read them. turnpikectl turns them into text.
 *
 * Threads    Control thread only.
 */
#pragma once

#include <jansson.h>

#include "control/loop.h"

json_t *reply_status(struct control *c);
json_t *reply_allocation(const struct turn_info *info);
json_t *reply_peers(struct control *c, uint64_t id);
json_t *reply_workers(struct control *c);
json_t *reply_ports(struct control *c);
json_t *reply_neighbours(struct control *c);
/* Names that contain `match` ("" is all). */
json_t *reply_counters(struct control *c, const char *match, bool nonzero);
json_t *reply_users(struct control *c);
json_t *reply_config(struct control *c, bool secrets);
/* Where clients go: ["turn:198.18.0.1:3478?transport=udp", ...]. */
json_t *reply_uris(const struct config *cfg);
