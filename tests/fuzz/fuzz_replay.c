/*
 * Properties of replaying any file: it ends; whatever leaves is a sound UDP datagram from an
 * address of ours to the target; what is not kept to the octet is a message that can be walked, and
 * nobody's octets are read but the file's.
 *
 * The input is the file. The target's answers are drawn from a sum over it.
 */
#include <unistd.h>

#include <rte_mbuf.h>

#include "must.h"
#include "pkt-gen/apart.h"
#include "pkt-gen/packet.h"
#include "pkt-gen/replay.h"
#include "tests/rig/eal.h"
#include "wire/stun_build.h"

enum { ANSWERS = 64, TURNS = 200 };

static const uint64_t ms = 1000000;
static struct rte_mempool *pool;
static struct options options;
static struct apart apart;
static uint64_t draw;

static struct {
	struct endpoint to, from;
	size_t len;
	uint8_t octets[256];
} answer[ANSWERS];
static unsigned answers;
static bool flipped; /* the target may have named any relayed address */

static void begin(void)
{
	eal_rig_start("fuzz", 64, EAL_RIG_ANY_CORE, 0);
	pool = rte_pktmbuf_pool_create("fuzz", 1023, 0, 0, 2176, SOCKET_ID_ANY);
	MUST(pool != NULL);
	options = (struct options){ .n_ports = 1,
		                    .client_port_min = 10000,
		                    .client_port_max = 29999,
		                    .peer_port_min = 30000,
		                    .peer_port_max = 49999,
		                    .client_family = 4,
		                    .peer_family = 4,
		                    .password = "secret" };
	MUST(cidr_parse("198.18.0.2/24", &options.port[0].address[0]));
	options.port[0].n_addresses = 1;
	MUST(endpoint_parse("198.18.0.1:3478", &options.server[0]));
	MUST(apart_open(&apart, &options));
}

static unsigned next(unsigned n)
{
	draw = draw * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)((draw >> 33) % n);
}

/* A success, an error, a challenge, or nonsense. */
static void answer_to(const struct packet *p, const struct stun_msg *msg)
{
	const unsigned how = next(8), method = stun_method(msg->type);
	struct endpoint relayed = { .addr = options.server[0].addr,
		                    .port = (uint16_t)(49152 + next(1000)) };
	struct stun_builder b;

	if (answers == ANSWERS || how == 0)
		return;
	stun_begin(&b, answer[answers].octets, sizeof(answer[answers].octets),
	           stun_type(method, how < 4 ? STUN_SUCCESS : STUN_ERROR), msg->txid);
	if (how < 4) {
		stun_put_xor_addr(&b, TURN_XOR_RELAYED_ADDRESS, &relayed);
	} else {
		stun_put_error(&b, how < 6 ? 401 : how == 6 ? 438 : 300 + next(400), NULL);
		stun_put(&b, STUN_REALM, "realm", (uint16_t)next(6));
		stun_put(&b, STUN_NONCE, "nonce", (uint16_t)next(6));
	}
	answer[answers].to = p->from;
	answer[answers].from = p->to;
	answer[answers].len = stun_finish(&b);
	if (next(8) == 0) {
		answer[answers].octets[next((unsigned)answer[answers].len)] ^= 0x40;
		flipped = true;
	}
	if (next(16) == 0)
		answer[answers].len = next((unsigned)answer[answers].len);
	answers++;
}

void engine_send(struct engine *e, unsigned lane, struct rte_mbuf **m, unsigned n)
{
	(void)e;
	MUST(lane == 0 && n <= ENGINE_BURST);
	for (unsigned i = 0; i < n; i++) {
		struct stun_msg msg;
		struct packet p;

		MUST(packet_read(rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->data_len, &p));
		MUST(flipped || addr_equal(&p.to.addr, &options.server[0].addr));
		MUST(apart_is_peer(&apart, &p.from) ||
		     apart_index(&apart, &p.from) != apart_count(&apart));
		if (stun_open(p.octets, p.len, &msg) && stun_class(msg.type) == STUN_REQUEST)
			answer_to(&p, &msg);
	}
	rte_pktmbuf_free_bulk(m, n);
}

static void play(FILE *in)
{
	const struct storm_field field = { .options = &options, .pool = pool };
	static struct report_storm report;
	uint64_t now_ns = 1000 * ms;
	struct replay *r = replay_open_stream(in, "the input", 1e9, &field);

	answers = 0;
	flipped = false;
	for (unsigned i = 0; r != NULL && i < TURNS && !replay_done(r); i++, now_ns += 50 * ms) {
		replay_turn(r, now_ns);
		const unsigned n = answers;
		for (unsigned k = 0; k < n; k++) {
			const struct endpoint to = answer[k].to, from = answer[k].from;
			uint8_t *exact = malloc(answer[k].len + 1);

			memcpy(exact, answer[k].octets, answer[k].len);
			MUST(replay_input(r, now_ns, &to, &from, exact, answer[k].len));
			free(exact);
		}
		answers -= n;
		memmove(answer, answer + n, answers * sizeof(answer[0]));
	}
	if (r != NULL) {
		memset(&report, 0, sizeof(report));
		replay_report(r, &report);
		MUST(report.answered <= report.sent);
	}
	replay_free(r);
	MUST(rte_mempool_avail_count(pool) == 1023);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (pool == NULL)
		begin();
	if (size == 0)
		return 0;
	for (unsigned with = 0; with < 2; with++) {
		FILE *in = fmemopen((void *)(uintptr_t)data, size, "rb");

		MUST(in != NULL);
		options.user = with != 0 ? "user-%u" : NULL;
		draw = size;
		for (size_t i = 0; i < size; i++)
			draw = draw * 31 + data[i];
		play(in);
	}
	return 0;
}
