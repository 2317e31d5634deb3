/*
 * Properties of the service turn before hostile commands: nothing leaves but from our own
 * addresses, no next hop is kept, no packet buffer is lost, and a sync leaves nothing behind,
 * whatever a control wrote before.
 *
 * Input: commands, each {kind 1 octet, length 2 octets, body}; kinds above CMD_KIND_END stand as
 * they are. A length that is too long takes what is there.
 */
#include "dataplane/flow.h"
#include "tests/fuzz/must.h"
#include "tests/unit/dataplane/bed.h"

static void look_at_frames(void)
{
	struct rte_mbuf *m[BED_REPLIES];
	const unsigned n = bed_sent(m);

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *ip = rte_pktmbuf_mtod(m[i], const uint8_t *) + 14;
		struct addr src;

		if (ip[0] >> 4 == 4)
			src = addr_from4(ip + 12);
		else
			memcpy(src.ip, ip + 8, 16);
		MUST(local_find(bed.dp.local, &src) != NULL);
	}
	bed_free(m, n);
}

static void drain_events(void)
{
	static _Alignas(8) uint8_t body[RING_RECORD_MAX];
	uint16_t kind;

	while (bed_event(&kind, body, sizeof(body)) >= 0)
		MUST(kind == PUNT_ROW || kind == PUNT_TABLES || kind == PUNT_ICE);
}

/* Everything that is there goes. */
static void sweep(void)
{
	const struct cmd_sync s = { .tag = 1 };

	MUST(bed_command(CMD_SYNC_BEGIN, &s, sizeof(s)) &&
	     bed_command(CMD_SYNC_END, &s, sizeof(s)));
	for (unsigned i = 0; i < 12; i++) {
		bed_turn();
		drain_events();
	}
	MUST(flow_used(bed.dp.flows) == 0);
	bed_resolve(BED_UNRESOLVED, NEIGHBOUR_FAILED);
	look_at_frames();
	for (unsigned i = BED_WIRE; i < BED_ADJACENCIES; i++)
		MUST(bed.uses[i] == 0);
	MUST(bed_used() == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(8) uint8_t body[RING_RECORD_MAX];
	static bool started;

	if (!started)
		bed_start(NULL);
	started = true;
	while (size >= 3) {
		const uint16_t kind = data[0];
		size_t len = (size_t)data[1] << 8 | data[2];

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		if (len > sizeof(body))
			len = sizeof(body);
		memcpy(body, data, len);
		data += len;
		size -= len;
		/* A reload reads a file: the configuration has a target of its own. */
		if (kind == 0 || kind == CMD_RELOAD)
			continue;
		/* Deadlines are compared with a clock that no corpus knows. */
		if ((kind == CMD_SET || kind == CMD_DELETE) && len == sizeof(struct cmd_flow)) {
			struct cmd_flow *c = (struct cmd_flow *)body;

			if (c->deadline_s < 1000)
				c->deadline_s += bed.service->self.now_s;
			if (c->deadline_in_s < 1000)
				c->deadline_in_s += bed.service->self.now_s;
		}
		if (kind == CMD_LEG && len >= sizeof(struct cmd_leg)) {
			struct cmd_leg *c = (struct cmd_leg *)body;

			if (c->deadline_s < 1000)
				c->deadline_s += bed.service->self.now_s;
		}
		MUST(bed_command(kind, body, (uint32_t)len));
		bed_turn();
		drain_events();
		look_at_frames();
	}
	sweep();
	return 0;
}
