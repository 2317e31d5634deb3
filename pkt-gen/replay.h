/*
 * A capture of STUN and TURN traffic, sent again towards the target: addresses rewritten,
 * credentials and transaction ids kept or renewed, in its own time or faster. pcap and pcapng are
 * read by libpcap.
 *
 * Threads    Main opens; the turn runs in engine 0's thread.
 */
#pragma once

#include "pkt-gen/storm.h"

struct replay;

/* NULL with one line logged: no such file, no capture, nothing in it that is STUN or ChannelData.
 */
struct replay *replay_open(const char *path, double speed, const struct storm_field *field);
void replay_free(struct replay *r);
unsigned replay_turn(struct replay *r, uint64_t now_ns);
bool replay_input(struct replay *r, uint64_t now_ns, const struct endpoint *at,
                  const struct endpoint *from, const void *octets, size_t len);
bool replay_done(const struct replay *r);
void replay_report(const struct replay *r, struct report_storm *out);
