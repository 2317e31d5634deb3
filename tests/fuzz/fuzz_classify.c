/*
 * Properties of the decision table: total, in bounds, blind to what lies behind the IP packet, and
 * the short way (classify_fast.h) decides nothing that classify() would decide otherwise.
 *
 * First octet: what is served. The rest: the frame.
 */
#include <stdlib.h>

#include "dataplane/classify_fast.h"

#define MUST(cond)               \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

static const struct local_table *local(void)
{
	static struct local_table *table;
	static struct config c;

	if (table)
		return table;
	c.n_ports = 1;
	cidr_parse("192.0.2.200/24", &c.ports[0].addresses[0]);
	c.ports[0].n_addresses = 1;
	c.n_listeners = 2;
	c.listeners[0].transport = c.listeners[1].transport = TRANSPORT_UDP;
	endpoint_parse("198.51.100.1:3478", &c.listeners[0].at);
	endpoint_parse("[2001:db8::1]:3478", &c.listeners[1].at);
	c.n_relays = 3;
	addr_parse("198.51.100.1", &c.relays[0].addr);
	addr_parse("2001:db8::1", &c.relays[1].addr);
	addr_parse("203.0.113.200", &c.relays[2].addr);
	c.relay_port_min = 49152;
	c.relay_port_max = 65535;
	table = local_build(&c, NULL);
	MUST(table);
	return table;
}

static struct parsed look(const uint8_t *frame, size_t len, unsigned serve)
{
	struct parsed p;

	memset(&p, 0, sizeof(p));
	classify(local(), frame, (uint32_t)len, mac, serve, &p);
	return p;
}

/* What a worker reads of an outcome lies in the frame. */
static void check_bounds(const struct parsed *p, size_t len)
{
	switch ((enum path)p->path) {
	case PATH_CHANNEL:
	case PATH_SEND:
	case PATH_PEER:
		MUST(p->family == 4 || p->family == 6);
		MUST(p->udp_at == 14 + (p->family == 4 ? 20 : 40));
		MUST(p->udp_at + 8u + p->payload <= len);
		MUST(p->data_at >= p->udp_at + 8u);
		MUST(p->data_at + p->data_len <= p->udp_at + 8u + p->payload);
		if (p->path == PATH_SEND)
			MUST(p->peer_at + (p->key.kind == FLOW_ALLOCATION4 ? 8u : 20u) <=
			     p->udp_at + 8u + p->payload);
		break;
	case PATH_ANSWER: MUST(p->udp_at + 8u + p->payload <= len); break;
	case PATH_DROP: MUST(p->drop < STAT_COUNT); break;
	default: MUST(p->path < PATH_DROP);
	}
}

static bool same(const struct parsed *a, const struct parsed *b)
{
	const bool relayed =
		a->path == PATH_CHANNEL || a->path == PATH_SEND || a->path == PATH_PEER;

	if (a->path != b->path || (a->path == PATH_DROP && a->drop != b->drop))
		return false;
	if (!relayed)
		return true;
	if (a->path == PATH_SEND &&
	    (a->peer_at != b->peer_at || a->dont_fragment != b->dont_fragment ||
	     a->key.kind != b->key.kind))
		return false;
	if (a->path != PATH_PEER &&
	    (a->key.listener != b->key.listener || a->key.kind != b->key.kind))
		return false;
	return a->family == b->family && a->udp_at == b->udp_at && a->payload == b->payload &&
	       a->local == b->local && a->data_at == b->data_at && a->data_len == b->data_len &&
	       memcmp(a->key.ip, b->key.ip, 16) == 0 && a->key.port == b->key.port &&
	       a->key.channel == b->key.channel;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > 4096)
		return 0;
	const unsigned serve = data[0] & (DEMUX_SERVE_RFC3489 | DEMUX_SERVE_RFC5766);
	const size_t len = size - 1;
	uint8_t *const frame = malloc(len + 1); /* malloc(0) is not a frame */
	uint64_t our_mac = 0;

	MUST(frame);
	memcpy(frame, data + 1, len);
	uint8_t *const exact = realloc(frame, len ? len : 1);
	MUST(exact);
	const struct parsed slow = look(exact, len, serve);

	check_bounds(&slow, len);
	struct parsed fast;
	memset(&fast, 0, sizeof(fast));
	memcpy(&our_mac, mac, 6);
	if (classify_fast(local(), exact, (uint32_t)len, our_mac,
	                  serve & DEMUX_SERVE_RFC5766 ? 0xC0 : 0xF0, &fast))
		MUST(same(&fast, &slow));

	/* Octets behind the IP packet (padding of short frames) mean nothing. */
	if (len >= 54 && slow.path != PATH_DROP && slow.path != PATH_KERNEL) {
		const size_t ip =
			slow.family == 6 ? 40u + be16_load(exact + 18) : be16_load(exact + 16);
		uint8_t *const cut = malloc(14 + ip);

		MUST(cut && 14 + ip <= len);
		memcpy(cut, exact, 14 + ip);
		const struct parsed again = look(cut, 14 + ip, serve);
		MUST(same(&slow, &again));
		free(cut);
	}
	free(exact);
	return 0;
}
