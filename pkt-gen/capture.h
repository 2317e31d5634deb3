/*
 * A captured packet, down to its UDP datagram: Ethernet with VLAN tags, Linux cooked (SLL, SLL2),
 * raw IP, loopback. Everything in it may lie; what is read lies inside what was captured.
 *
 * Threads    Pure functions; no state.
 */
#pragma once

#include "pkt-gen/packet.h"

/* name, what is counted */
#define CAPTURE_OUTCOMES(X)                                  \
	X(UDP, "UDP datagrams")                              \
	X(OTHER, "packets that are not UDP over IP")         \
	X(FRAGMENT, "fragments")                             \
	X(CUT, "datagrams cut short by the snapshot length") \
	X(MALFORMED, "packets whose lengths lie")

enum capture {
#define X(name, what) CAPTURE_##name,
	CAPTURE_OUTCOMES(X)
#undef X
		CAPTURE_COUNT
};

const char *capture_what(enum capture c);

/* A DLT_* of libpcap that capture_datagram() can read. */
bool capture_knows(int link);
/* `captured` octets at p of a packet that had `len`. *out is set for CAPTURE_UDP only. */
enum capture capture_datagram(int link, const uint8_t *p, size_t captured, size_t len,
                              struct packet *out);
