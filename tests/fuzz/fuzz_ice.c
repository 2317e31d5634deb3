/*
 * An agent in a hostile world: datagrams from its server, its peer and strangers, checks that are
 * signed rightly and hold anything, candidates, restarts, addresses that go, and time. It stays in
 * its bounds, never sends to nobody, comes to rest, and takes no data from strangers.
 */
#include <string.h>

#include "control/ice/ice.h"
#include "control/ice/sdp.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/signed_check.h"
#include "wire/crc.h"
#include "wire/integrity.h"
#include "crypto.h"

enum { POLLS_MAX = 4000 };

struct world {
	struct ice_agent *a;
	struct ice_description mine;
	uint64_t now_ms, random;
	bool base_gone;
};

static void draw(void *arg, void *out, size_t n)
{
	struct world *const w = arg;

	for (size_t i = 0; i < n; i++) {
		w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		((uint8_t *)out)[i] = (uint8_t)(w->random >> 40);
	}
}

static struct endpoint at(uint8_t host, uint16_t port)
{
	const uint8_t ip[4] = { 198, 18, 0, host };

	return (struct endpoint){ addr_from4(ip), port };
}

static void rest(struct world *w)
{
	struct ice_event e;
	unsigned n = 0;

	while (ice_poll(w->a, w->now_ms, &e)) {
		MUST(n++ < POLLS_MAX);
		if (e.kind == ICE_EVENT_SEND)
			MUST(e.datagram.to.port != 0 && e.datagram.len > 0 &&
			     e.datagram.len <= sizeof(e.datagram.octets));
	}
	MUST(ice_next_ms(w->a) > w->now_ms);
}

static void begin(struct world *w)
{
	static const char remote[] = "ice1 ice2 stream=0,1,peer,abcdefghijklmnopqrstuv "
				     "c=1,1,udp,host,2130706431,198.18.0.7,5000 end";
	struct ice_config c = ice_defaults();
	struct ice_base b = { .component = 1, .at = at(2, 4000) };
	static struct ice_description d;
	char line[256], err[128];

	c.random = draw;
	c.random_arg = w;
	const struct ice_server server = {
		.turn = true, .at = at(1, 3478), .user = "alice", .password = "secret"
	};
	c.server = &server;
	c.n_servers = 1;
	w->a = ice_new(&c, 0);
	ice_add_base(w->a, 0, &b);
	ice_gather(w->a, 0);
	ice_local(w->a, &w->mine);
	snprintf(line, sizeof(line), "%s #%08x", remote,
	         crc32_ieee((const uint8_t *)remote, sizeof(remote) - 1));
	MUST(sdp_line_parse(line, strlen(line), &d, err));
	MUST(ice_remote(w->a, 0, &d) == ICE_OK);
	rest(w);
}

static void datagram(struct world *w, uint8_t who, const uint8_t *octets, size_t len)
{
	const struct endpoint from = who & 1   ? at(1, 3478)
	                             : who & 2 ? at(7, 5000)
	                                       : at((uint8_t)(9 + (who >> 6)), 6000);
	struct ice_data data = { .octets = NULL };
	uint8_t *const exact = malloc(len);

	memcpy(exact, octets, len);
	if (!w->base_gone && ice_input(w->a, w->now_ms, 0, &from, exact, len, &data) == ICE_DATA) {
		MUST(data.octets >= exact && data.octets + data.len <= exact + len);
		MUST(data.stream == 0 && data.component == 1);
	}
	free(exact);
}

static void step(struct world *w, uint8_t what, uint8_t who, const uint8_t *in, size_t len)
{
	uint8_t octets[1024];
	struct sdp_skipped skipped = { .transport = 0 };
	struct ice_candidate c;
	size_t n;

	switch (what % 8) {
	case 0:
	case 1: datagram(w, who, in, len); break;
	case 2:
	case 3:
		n = signed_check(&w->mine.stream[0], in, len, octets, sizeof(octets));
		if (n)
			datagram(w, who, octets, n);
		break;
	case 4: w->now_ms += (uint64_t)who * 40; break;
	case 5:
		if (sdp_candidate_parse((const char *)in, len, &c, &skipped) == SDP_CANDIDATE)
			ice_remote_candidate(w->a, w->now_ms, 0, "peer", &c);
		break;
	case 6:
		if (who == 1)
			ice_restart(w->a, w->now_ms);
		ice_local(w->a, &w->mine);
		break;
	default:
		if (who == 1 && !w->base_gone)
			ice_drop_base(w->a, w->now_ms, 0);
		w->base_gone |= who == 1;
		ice_unreachable(w->a, w->now_ms, 0, &(struct endpoint){ at(7, 0).addr, 5000 }, in,
		                len, true);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static struct world w;
	static char table[8192];

	w = (struct world){ .random = 7 };
	begin(&w);
	for (size_t i = 0; i + 3 <= len;) {
		const size_t left = len - i - 3, n = octets[i + 2] < left ? octets[i + 2] : left;

		step(&w, octets[i], octets[i + 1], octets + i + 3, n);
		rest(&w);
		i += 3 + n;
	}
	MUST(ice_explain(w.a, table, sizeof(table)) < sizeof(table));
	ice_close(w.a, w.now_ms);
	rest(&w);
	ice_free(w.a);
	return 0;
}
