/* Taking off what the relay does not look at: IPv4 options, IPv6 extension headers. */
#include "dataplane/slow_plain.h"

#include <netinet/in.h>
#include <rte_ether.h>

#include "dataplane/datagram.h"
#include "wire/checksum.h"
#include "wire/stun.h"

enum { EXTENSIONS_MAX = 8 };

/* TURN-139: a loose or strict route with hops left. Bad options are skipped, not interpreted. */
static bool source_routed4(const uint8_t *ip, unsigned head)
{
	unsigned at = DATAGRAM_IP4;

	while (at + 3 <= head && ip[at] != 0) {
		if (ip[at] == 1) {
			at++;
			continue;
		}
		if (ip[at + 1] < 2 || at + ip[at + 1] > head)
			return false;
		if ((ip[at] == 131 || ip[at] == 137) && ip[at + 2] <= ip[at + 1])
			return true;
		at += ip[at + 1];
	}
	return false;
}

/* Octets of extension headers before UDP, or a drop. */
static enum stat_id extensions(const uint8_t *ip, uint32_t room, uint32_t *octets, bool *fragment)
{
	uint8_t next = ip[6];
	uint32_t at = DATAGRAM_IP6;

	for (unsigned i = 0; next != IPPROTO_UDP; i++) {
		const uint8_t *h = ip + at;

		if (i == EXTENSIONS_MAX || room < at + 8 ||
		    (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
		     next != IPPROTO_FRAGMENT && next != IPPROTO_AH && next != IPPROTO_DSTOPTS))
			return STAT_IP_MALFORMED;
		if (next == IPPROTO_ROUTING && h[3] != 0)
			return STAT_SOURCE_ROUTE;
		if (next == IPPROTO_FRAGMENT) {
			/* Only one that says "all of it" comes here (RFC 6946). */
			if (be16_load(h + 2) & 0xFFF9)
				return STAT_IP_MALFORMED;
			*fragment = true;
			at += 8;
		} else {
			at += next == IPPROTO_AH ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;
		}
		if (at > room)
			return STAT_IP_MALFORMED;
		next = h[0];
	}
	*octets = at - DATAGRAM_IP6;
	return STAT_COUNT;
}

static enum stat_id plain4(uint8_t *to, const uint8_t **frame, uint32_t *len)
{
	const uint8_t *ip = *frame + DATAGRAM_ETH;

	if (*len < DATAGRAM_ETH + DATAGRAM_IP4)
		return STAT_IP_MALFORMED;
	const uint32_t head = (ip[0] & 15u) * 4, total = be16_load(ip + 2);

	if (head < DATAGRAM_IP4 || total < head || total > *len - DATAGRAM_ETH)
		return STAT_IP_MALFORMED;
	if (head == DATAGRAM_IP4)
		return STAT_COUNT;
	if (source_routed4(ip, head))
		return STAT_SOURCE_ROUTE;
	uint8_t *out = to + DATAGRAM_ETH;

	memcpy(to, *frame, DATAGRAM_ETH + DATAGRAM_IP4);
	memcpy(out + DATAGRAM_IP4, ip + head, total - head);
	out[0] = 0x45;
	be16_store(out + 2, (uint16_t)(total - head + DATAGRAM_IP4));
	csum_store(out + 10, 0);
	csum_store(out + 10, csum_finish(csum_add(0, out, DATAGRAM_IP4)));
	*frame = to;
	*len = DATAGRAM_ETH + DATAGRAM_IP4 + total - head;
	return STAT_COUNT;
}

static enum stat_id plain6(uint8_t *to, const uint8_t **frame, uint32_t *len, bool *fragmented)
{
	const uint8_t *ip = *frame + DATAGRAM_ETH;
	uint32_t octets;

	if (*len < DATAGRAM_ETH + DATAGRAM_IP6)
		return STAT_IP_MALFORMED;
	const uint32_t total = DATAGRAM_IP6 + be16_load(ip + 4);

	if (total > *len - DATAGRAM_ETH)
		return STAT_IP_MALFORMED;
	const enum stat_id drop = extensions(ip, total, &octets, fragmented);

	if (drop != STAT_COUNT || octets == 0)
		return drop;
	uint8_t *out = to + DATAGRAM_ETH;

	memcpy(to, *frame, DATAGRAM_ETH + DATAGRAM_IP6);
	memcpy(out + DATAGRAM_IP6, ip + DATAGRAM_IP6 + octets, total - DATAGRAM_IP6 - octets);
	be16_store(out + 4, (uint16_t)(total - DATAGRAM_IP6 - octets));
	out[6] = IPPROTO_UDP;
	*frame = to;
	*len = DATAGRAM_ETH + total - octets;
	return STAT_COUNT;
}

enum stat_id slow_plain(uint8_t *scratch, const uint8_t **frame, uint32_t *len, bool *fragmented)
{
	if (be16_load(*frame + 12) == RTE_ETHER_TYPE_IPV4)
		return plain4(scratch, frame, len);
	return plain6(scratch, frame, len, fragmented);
}
