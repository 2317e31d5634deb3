/*
 * A capture of STUN and TURN traffic, sent again towards the target. The server of the capture is
 * whoever most TURN transactions go to; what its clients sent to it goes to the target, each
 * captured five-tuple from an endpoint of its own (apart.h), and what peers sent to its relayed
 * addresses goes to those that the target gave. pcap and pcapng are read by libpcap.
 *
 * With credentials, transaction ids are renewed and authenticated requests signed anew, with realm
 * and nonce of the target; peer addresses become ours. Without, authenticated requests are kept to
 * the octet, and the target will say what it thinks of them.
 *
 * Time       Its own, or faster; but nothing of a client overtakes a request of its own that waits
 *            for an answer, up to a second.
 * Left out   Fragments, datagrams that were cut short or whose lengths lie, and what is longer than
 *            1,440 octets: counted.
 * Threads    Main opens; the turn runs in engine 0's thread.
 */
#pragma once

#include "pkt-gen/storm.h"

struct replay;

/* NULL with one line logged: no such file, no capture, nothing in it that is STUN or ChannelData.
 */
struct replay *replay_open(const char *path, double speed, const struct storm_field *field);
/* The same from an open file, which it closes; it asks the link for nothing. For tests. */
struct replay *replay_open_stream(FILE *in, const char *path, double speed,
                                  const struct storm_field *field);
void replay_free(struct replay *r);
unsigned replay_turn(struct replay *r, uint64_t now_ns);
bool replay_input(struct replay *r, uint64_t now_ns, const struct endpoint *at,
                  const struct endpoint *from, const void *octets, size_t len);
bool replay_done(const struct replay *r);
/* Also logs a line for each method: sent, answered, codes, and how many of them are other ones
 * than in the capture. out->failed: unanswered, or answered otherwise. */
void replay_report(const struct replay *r, struct report_storm *out);
