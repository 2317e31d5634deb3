/* Answers in place: STUN-032 to STUN-053, STUN-101, STUN-133 to STUN-138, STUN-149 to STUN-154. */
#include <pthread.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/classify.h"
#include "dataplane/limit.h"
#include "nonce.h"
#include "tests/unit/dataplane/bed.h"
#include "wire/crc.h"
#include "wire/integrity.h"

#define CLIENT4 "198.18.0.9:40000"
#define CLIENT6 "[fd00:18::9]:40000"
#define LISTEN4 "198.18.0.1:3478"
#define LISTEN6 "[fd00:18::1]:3478"
static const uint8_t txid[STUN_TXID_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static uint8_t frame[BED_FRAME];

/* --- asking --- */

static uint8_t message[3000];
static const uint8_t filler[3000];
static struct stun_builder q;

static void begin(unsigned method, enum stun_class cls)
{
	stun_begin(&q, message, sizeof(message), stun_type(method, cls), txid);
}

/* Sends what was built; the counter that must go up. Returns the frames sent. */
static unsigned ask(bool six, enum stat_id expect, const char *name, struct rte_mbuf **out)
{
	const uint32_t len = bed_udp(frame, six ? CLIENT6 : CLIENT4, six ? LISTEN6 : LISTEN4,
	                             message, (uint32_t)stun_finish(&q));
	struct rte_mbuf *m = bed_mbuf(frame, len);
	const uint64_t before = bed_count(expect);

	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	CHECK(bed_count(expect) == before + 1, name);
	return bed_sent(out);
}

/* The one answer; its STUN message. */
static struct bed_seen answer(bool six, enum stat_id expect, const char *name, struct rte_mbuf **m,
                              struct stun_msg *msg)
{
	struct rte_mbuf *out[BED_REPLIES];
	const unsigned n = ask(six, expect, name, out);
	struct bed_seen s;

	if (n != 1)
		fprintf(stderr, "%s: %u frames\n", name, n);
	CU_ASSERT_FATAL(n == 1);
	*m = out[0];
	s = bed_see(out[0], name);
	const struct endpoint me = bed_ep(six ? LISTEN6 : LISTEN4),
			      you = bed_ep(six ? CLIENT6 : CLIENT4);

	CHECK(endpoint_equal(&s.src, &me) && endpoint_equal(&s.dst, &you), name); /* STUN-045 */
	CHECK(s.ttl == 64 && s.tos == 0xB8, name);
	if (!stun_open(s.data, s.len, msg))
		msg->octets = NULL;
	return s;
}

static void silent(bool six, enum stat_id expect, const char *name)
{
	struct rte_mbuf *out[BED_REPLIES];

	CHECK(ask(six, expect, name, out) == 0, name);
}

static unsigned code_of(const struct stun_msg *msg)
{
	struct stun_attr a;
	const uint8_t *reason;
	size_t len;

	return stun_find(msg, STUN_ERROR_CODE, &a) ? stun_error_code(&a, &reason, &len) : 0;
}

static enum stun_fingerprint fingerprint(const struct stun_msg *msg)
{
	struct stun_marks marks;

	CHECK(stun_scan(msg, &marks), "scan");
	return stun_fingerprint_check(msg, &marks);
}

/* --- Binding --- */

static void test_binding(void)
{
	bed_start(NULL);
	for (unsigned six = 0; six < 2; six++)
		for (unsigned fp = 0; fp < 2; fp++) {
			struct stun_msg msg;
			struct stun_attr a;
			struct endpoint e;
			struct rte_mbuf *m;

			begin(STUN_BINDING, STUN_REQUEST);
			if (fp)
				stun_put_fingerprint(&q);
			const struct bed_seen s = answer(six, STAT_BINDING, "binding", &m, &msg);
			const struct endpoint want = bed_ep(six ? CLIENT6 : CLIENT4);

			CU_ASSERT_FATAL(msg.octets != NULL);
			CHECK(msg.type == 0x0101 && memcmp(msg.txid, txid, 12) == 0, "STUN-010");
			CHECK(stun_find(&msg, STUN_XOR_MAPPED_ADDRESS, &a) &&
			              stun_xor_addr(&msg, &a, &e) == (six ? 6 : 4) &&
			              endpoint_equal(&e, &want),
			      "STUN-049");
			CHECK(fingerprint(&msg) ==
			              (fp ? STUN_FINGERPRINT_RIGHT : STUN_FINGERPRINT_NONE),
			      "STUN-052");
			/* STUN-149: nothing but the address; 48 octets draw 60, 68 draw 92. */
			CHECK(s.len == (six ? 44u : 32u) + (fp ? 8 : 0), "STUN-149");
			bed_free(&m, 1);
		}
	bed_stop();
}

static void test_binding_odd(void)
{
	struct rte_mbuf *m;
	struct stun_msg msg;

	bed_start(NULL);
	/* STUN-101: credentials are ignored. STUN-030: so is what does not belong here. */
	begin(STUN_BINDING, STUN_REQUEST);
	stun_put(&q, STUN_USERNAME, "a:b", 3);
	stun_put_u32(&q, TURN_LIFETIME, 600);
	stun_put_u32(&q, STUN_PRIORITY, 1);
	stun_put_u32(&q, 0xC057, 1);
	stun_put(&q, STUN_MESSAGE_INTEGRITY, "01234567890123456789", 20);
	stun_put_u32(&q, 0x7FFF, 0); /* STUN-017: behind integrity nothing counts */
	answer(false, STAT_BINDING, "with credentials", &m, &msg);
	CHECK(msg.type == 0x0101, "STUN-101");
	bed_free(&m, 1);
	begin(STUN_BINDING, STUN_INDICATION);
	silent(false, STAT_BINDING_INDICATION, "STUN-032, STUN-036");
	begin(STUN_BINDING, STUN_INDICATION);
	stun_put_u32(&q, 0x7FFF, 0);
	silent(false, STAT_STUN_UNKNOWN_ATTRIBUTE, "STUN-037");
	begin(STUN_BINDING, STUN_SUCCESS);
	silent(false, STAT_STUN_RESPONSE, "STUN-025");
	static const unsigned methods[] = {
		0x000, 0x002, 0x005, 0x007, 0x00A, 0x00B, 0x080, 0x0FF
	};

	for (unsigned i = 0; i < RTE_DIM(methods); i++) {
		begin(methods[i], STUN_REQUEST);
		silent(false, STAT_STUN_METHOD, "STUN-035");
	}
	begin(STUN_BINDING, STUN_REQUEST);
	stun_put_fingerprint(&q);
	message[STUN_HDR_LEN + 7] ^= 1;
	silent(false, STAT_STUN_FINGERPRINT, "STUN-069");
	begin(STUN_BINDING, STUN_REQUEST);
	be32_store(message + 4, 0x2112A443);
	silent(false, STAT_STUN_BAD_COOKIE, "STUN-006: RFC 3489 is off");
	bed_stop();
}

/* DEMUX-009: what is answered must have come whole. */
static void test_checksum(void)
{
	struct rte_mbuf *m, *out[BED_REPLIES];

	bed_start(NULL);
	begin(STUN_BINDING, STUN_REQUEST);
	for (unsigned six = 0; six < 2; six++) {
		const uint32_t len = bed_udp(frame, six ? CLIENT6 : CLIENT4,
		                             six ? LISTEN6 : LISTEN4, message, 20);

		frame[len - 1] ^= 0x10;
		m = bed_mbuf(frame, len);
		worker_burst(&bed.worker[0], &bed.port, &m, 1);
		CHECK(bed_count(STAT_UDP_CHECKSUM) == six + 1 && bed_sent(out) == 0, "wrong sum");
	}
	const uint32_t len = bed_udp(frame, CLIENT4, LISTEN4, message, 20);

	memset(frame + 14 + 20 + 6, 0, 2);
	m = bed_mbuf(frame, len);
	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	CHECK(bed_sent(out) == 1, "IPv4 without checksum is answered (DEMUX-008)");
	const uint8_t *udp = rte_pktmbuf_mtod(out[0], const uint8_t *) + 34;

	CHECK(be16_load(udp + 6) != 0, "and the answer has one");
	bed_see(out[0], "answer to no checksum");
	bed_free(out, 1);
	bed_stop();
}

/* STUN-038 to STUN-040, STUN-149 */
static void test_420(void)
{
	struct rte_mbuf *m;
	struct stun_msg msg;
	struct stun_attr a;

	bed_start(NULL);
	begin(STUN_BINDING, STUN_REQUEST);
	stun_put_u32(&q, STUN_CHANGE_REQUEST, 6);
	struct bed_seen s = answer(false, STAT_ANSWER_420, "CHANGE-REQUEST (STUN-043)", &m, &msg);

	CHECK(msg.type == 0x0111 && code_of(&msg) == 420, "420");
	CHECK(stun_find(&msg, STUN_UNKNOWN_ATTRIBUTES, &a) && a.len == 2 &&
	              be16_load(a.value) == STUN_CHANGE_REQUEST,
	      "STUN-039");
	CHECK((28 + s.len) * 10 <= (28 + 28) * 14, "STUN-149");
	bed_free(&m, 1);

	begin(STUN_BINDING, STUN_REQUEST);
	for (unsigned i = 0; i < 40; i++)
		stun_put(&q, (uint16_t)(0x6000 + i), NULL, 0);
	stun_put(&q, 0x6000, NULL, 0);
	stun_put_fingerprint(&q);
	answer(true, STAT_ANSWER_420, "forty unknown", &m, &msg);
	CHECK(stun_find(&msg, STUN_UNKNOWN_ATTRIBUTES, &a) && a.len == 32 &&
	              be16_load(a.value) == 0x6000 && be16_load(a.value + 30) == 0x600F,
	      "STUN-040");
	CHECK(fingerprint(&msg) == STUN_FINGERPRINT_RIGHT, "STUN-052");
	bed_free(&m, 1);
	bed_stop();
}

/* STUN-133 to STUN-138 */
static void test_classic(void)
{
	struct rte_mbuf *m;
	struct stun_msg msg;
	struct stun_attr a;
	struct endpoint e, want = bed_ep(CLIENT4);

	bed_start("compat: { rfc3489: true }\n");
	begin(STUN_BINDING, STUN_REQUEST);
	be32_store(message + 4, 0xDEADBEEF);
	struct bed_seen s = answer(false, STAT_BINDING, "classic", &m, &msg);

	CHECK(stun_open_any(s.data, s.len, &msg) && msg.type == 0x0101 &&
	              memcmp(s.data + 4, message + 4, 16) == 0,
	      "STUN-133: all 16 octets come back");
	CHECK(s.len == 32 && stun_find(&msg, STUN_MAPPED_ADDRESS, &a) && stun_addr(&a, &e) == 4 &&
	              endpoint_equal(&e, &want),
	      "STUN-134: MAPPED-ADDRESS and nothing else");
	bed_free(&m, 1);
	begin(STUN_BINDING, STUN_REQUEST);
	be32_store(message + 4, 0xDEADBEEF);
	stun_put(&q, STUN_RESPONSE_ADDRESS, "\0\1\0\1\1\2\3\4", 8);
	s = answer(false, STAT_ANSWER_420, "RESPONSE-ADDRESS", &m, &msg);
	CHECK(stun_open_any(s.data, s.len, &msg) && msg.type == 0x0111 && code_of(&msg) == 420,
	      "STUN-135");
	CHECK(stun_find(&msg, STUN_UNKNOWN_ATTRIBUTES, &a) && a.len == 4 &&
	              be16_load(a.value) == 2 && be16_load(a.value + 2) == 2,
	      "STUN-136");
	CHECK(stun_find(&msg, STUN_ERROR_CODE, &a) && a.len % 4 == 0, "STUN-136: the reason");
	bed_free(&m, 1);
	begin(TURN_ALLOCATE, STUN_REQUEST);
	be32_store(message + 4, 0xDEADBEEF);
	silent(false, STAT_STUN_BAD_COOKIE, "STUN-138");
	bed_stop();
}

/* STUN-048, STUN-149: SOFTWARE is left out where the answer would outgrow the question. */
static void test_software(void)
{
	struct rte_mbuf *m;
	struct stun_msg msg;
	struct stun_attr a;

	bed_start("software: \"a name of some length\"\n");
	begin(STUN_BINDING, STUN_REQUEST);
	answer(false, STAT_BINDING, "short", &m, &msg);
	CHECK(!stun_find(&msg, STUN_SOFTWARE, &a), "no room");
	bed_free(&m, 1);
	begin(STUN_BINDING, STUN_REQUEST);
	stun_put(&q, 0x8055, filler, 60);
	answer(false, STAT_BINDING, "long", &m, &msg);
	CHECK(stun_find(&msg, STUN_SOFTWARE, &a) && a.len == 21, "room");
	bed_free(&m, 1);
	bed_stop();
}

static void test_limit_binding(void)
{
	struct rte_mbuf *out[BED_REPLIES];

	bed_start("limits: { binding-per-prefix: 10 }\n");
	for (unsigned i = 0; i < 12; i++) {
		begin(STUN_BINDING, STUN_REQUEST);
		bed_free(out, ask(false, i < 10 ? STAT_BINDING : STAT_LIMIT_BINDING, "limit", out));
	}
	bed_stop();
}

/* --- requests of TURN --- */

static const uint8_t key[NONCE_KEY_LEN] = { 42 };
static char prefix[NONCE_PREFIX_LEN];
static uint8_t scope[NONCE_SCOPE_LEN];
enum { LIFETIME = 600 };

static void put_template(uint16_t listener, unsigned code, const char *realm, const char *software)
{
	static const uint16_t algorithms[] = { STUN_ALGORITHM_SHA256, STUN_ALGORITHM_MD5 };
	_Alignas(8) uint8_t body[sizeof(struct cmd_template) + ANSWER_TEMPLATE_MAX];
	struct cmd_template *t = (struct cmd_template *)body;
	struct stun_builder b;

	*t = (struct cmd_template){ .listener = listener, .code = (uint16_t)code };
	stun_begin(&b, body + sizeof(*t), ANSWER_TEMPLATE_MAX, stun_type(TURN_ALLOCATE, STUN_ERROR),
	           txid);
	stun_put_error(&b, code, stun_reason(code));
	if (code != 400) {
		stun_put(&b, STUN_REALM, realm, (uint16_t)strlen(realm));
		t->nonce_at = (uint16_t)(b.len + 4);
		stun_put(&b, STUN_NONCE, "0123456789012345678901234567890", NONCE_LEN);
		stun_put_algorithms(&b, STUN_PASSWORD_ALGORITHMS, algorithms, 2);
	}
	if (software)
		stun_put(&b, STUN_SOFTWARE, software, (uint16_t)strlen(software));
	t->octets = (uint16_t)stun_finish(&b);
	CHECK(bed_command(CMD_TEMPLATE, body, (uint32_t)sizeof(*t) + t->octets), "room");
}

static void offer(const char *realm, const char *software)
{
	struct cmd_realm r = { .nonce_lifetime_s = LIFETIME };
	struct cmd_nonce_key k = { .epoch = 3, .current = 1 };
	const struct endpoint listen = bed_ep(LISTEN4);

	nonce_prefix(true, false, prefix);
	nonce_scope(&listen, TRANSPORT_UDP, realm, "x", 1, scope);
	memcpy(r.prefix, prefix, sizeof(r.prefix));
	memcpy(r.scope, scope, sizeof(r.scope));
	memcpy(k.key, key, sizeof(key));
	CHECK(bed_command(CMD_NONCE_KEY, &k, sizeof(k)) && bed_command(CMD_REALM, &r, sizeof(r)),
	      "room");
	put_template(0, 400, realm, software);
	put_template(0, 401, realm, software);
	put_template(0, 438, realm, software);
	bed_turn();
	CHECK(bed.disconnects == 0 && bed_count(STAT_COMMANDS) == 5, "commands are taken");
}

static struct nonce_keys *keys_here(void)
{
	struct nonce_keys *k = nonce_keys_new();

	CHECK(nonce_keys_set(k, 3, key, true), "keys");
	return k;
}

/* The nonce in an answer is ours for CLIENT4 (STUN-109). */
static bool nonce_ours(const struct stun_msg *msg, char out[NONCE_LEN])
{
	struct nonce_keys *k = keys_here();
	const struct endpoint client = bed_ep(CLIENT4);
	struct stun_attr a;
	const bool ours = stun_find(msg, STUN_NONCE, &a) &&
	                  nonce_check(k, prefix, scope, &client, a.value, a.len,
	                              bed.worker[0].wall_s, LIFETIME) == NONCE_FRESH;

	if (ours)
		memcpy(out, a.value, NONCE_LEN);
	nonce_keys_free(k);
	return ours;
}

static void put_credentials(const char *nonce, unsigned nonce_len)
{
	stun_put(&q, STUN_USERNAME, "alice", 5);
	stun_put(&q, STUN_REALM, "example.org", 11);
	stun_put(&q, STUN_NONCE, nonce, (uint16_t)nonce_len);
	stun_put(&q, STUN_MESSAGE_INTEGRITY, "01234567890123456789", 20);
}

/* STUN-086 to STUN-093, TURN-022, TURN-029; DEMUX steps 23 to 26. */
static void test_turn(void)
{
	struct rte_mbuf *m;
	struct stun_msg msg;
	struct stun_attr a;
	char nonce[NONCE_LEN], other[NONCE_LEN];
	_Alignas(8) uint8_t record[sizeof(struct punt) + PUNT_OCTETS_MAX];
	const struct punt *p = (const struct punt *)record;
	uint16_t kind;

	bed_start(NULL);
	begin(TURN_ALLOCATE, STUN_REQUEST);
	silent(false, STAT_NO_CONTROL, "before control has spoken");
	offer("example.org", NULL);

	begin(TURN_REFRESH, STUN_REQUEST);
	stun_put_u8(&q, TURN_REQUESTED_TRANSPORT, 17);
	stun_put_fingerprint(&q);
	struct bed_seen s = answer(false, STAT_ANSWER_401, "bare", &m, &msg);

	CHECK(msg.type == stun_type(TURN_REFRESH, STUN_ERROR) && code_of(&msg) == 401 &&
	              memcmp(msg.txid, txid, 12) == 0,
	      "STUN-086");
	CHECK(nonce_ours(&msg, nonce), "with a nonce of ours");
	CHECK(stun_find(&msg, STUN_REALM, &a) && stun_find(&msg, STUN_PASSWORD_ALGORITHMS, &a),
	      "STUN-093");
	CHECK(!stun_find(&msg, STUN_MESSAGE_INTEGRITY, &a), "TURN-029");
	CHECK(fingerprint(&msg) == STUN_FINGERPRINT_RIGHT, "STUN-052");
	CHECK((28 + s.len) * 10 <= (28 + 36) * 25, "STUN-149");
	bed_free(&m, 1);

	/* STUN-149: the smallest request gets 120 octets at most: the reason stays away. */
	begin(TURN_ALLOCATE, STUN_REQUEST);
	s = answer(false, STAT_ANSWER_401, "smallest", &m, &msg);
	CHECK(28 + s.len <= 120 && nonce_ours(&msg, other), "STUN-149: 20 octets");
	bed_free(&m, 1);

	begin(TURN_ALLOCATE, STUN_REQUEST);
	stun_put(&q, STUN_USERNAME, "alice", 5);
	stun_put(&q, STUN_MESSAGE_INTEGRITY, "01234567890123456789", 20);
	stun_put(&q, STUN_NONCE, nonce, NONCE_LEN); /* behind integrity: not there */
	answer(false, STAT_ANSWER_400, "incomplete", &m, &msg);
	CHECK(code_of(&msg) == 400 && !stun_find(&msg, STUN_NONCE, &a), "STUN-087, TURN-029");
	bed_free(&m, 1);

	begin(TURN_ALLOCATE, STUN_REQUEST);
	put_credentials("not one of ours", 15);
	answer(false, STAT_ANSWER_438, "foreign", &m, &msg);
	CHECK(code_of(&msg) == 438 && nonce_ours(&msg, other), "STUN-091, STUN-092");
	bed_free(&m, 1);

	begin(TURN_ALLOCATE, STUN_REQUEST);
	put_credentials(nonce, NONCE_LEN);
	silent(false, STAT_PUNTED, "ours");
	const int octets = bed_punt(&kind, record, sizeof(record));

	CHECK(octets == (int)(sizeof(*p) + stun_finish(&q)) && kind == PUNT_REQUEST &&
	              p->octets == stun_finish(&q) && memcmp(p + 1, message, p->octets) == 0,
	      "the whole message is punted");
	CHECK(p->local_kind == LOCAL_LISTENER && p->local == 0 && p->local_port == 3478 &&
	              p->remote_port == 40000 && p->ecn_dscp == 0xB9 && p->cookie != 0 &&
	              p->received_ns == bed.worker[0].now_ns,
	      "and where it came from");
	CHECK(memcmp(p->remote_ip, bed_ep(CLIENT4).addr.ip, 16) == 0, "remote");

	bed.worker[0].wall_s += LIFETIME + 1;
	begin(TURN_ALLOCATE, STUN_REQUEST);
	put_credentials(nonce, NONCE_LEN);
	silent(false, STAT_PUNTED, "expired, but ours: control's (STUN-092)");
	bed.worker[0].wall_s -= LIFETIME + 1;
	begin(TURN_ALLOCATE, STUN_REQUEST);
	put_credentials(nonce, NONCE_LEN);
	stun_put(&q, 0x8055, filler, 2040 - (uint16_t)q.len);
	stun_put(&q, 0x8055, filler, 8);
	silent(false, STAT_PUNT_TOO_LONG, "longer than a record");
	begin(TURN_ALLOCATE, STUN_REQUEST);
	put_credentials(nonce, NONCE_LEN);
	atomic_store(&bed.dp.control_joined, false);
	silent(false, STAT_NO_CONTROL, "control is away");
	atomic_store(&bed.dp.control_joined, true);
	for (unsigned i = 0; i < 1024 / 2; i++) {
		struct rte_mbuf *out[BED_REPLIES];
		const uint32_t len = bed_udp(frame, CLIENT4, LISTEN4, message, (uint32_t)q.len);

		m = bed_mbuf(frame, len);
		worker_burst(&bed.worker[0], &bed.port, &m, 1);
		CHECK(bed_sent(out) == 0, "nothing sent");
	}
	silent(false, STAT_PUNT_FULL, "nobody reads");
	/* And it recovers when room returns. */
	while (bed_punt(&kind, record, sizeof(record)) >= 0)
		;
	silent(false, STAT_PUNTED, "room again");
	bed_stop();
}

/* The listener of the other family has no template: nothing is said for it. */
static void test_turn_other(void)
{
	bed_start(NULL);
	offer("example.org", NULL);
	begin(TURN_ALLOCATE, STUN_REQUEST);
	silent(true, STAT_NO_CONTROL, "no template for listener 1");
	begin(TURN_SEND, STUN_REQUEST);
	silent(false, STAT_STUN_METHOD, "STUN-033: Send as a request");
	begin(TURN_ALLOCATE, STUN_INDICATION);
	silent(false, STAT_STUN_METHOD, "STUN-033: Allocate as an indication");
	begin(TURN_ALLOCATE, STUN_REQUEST);
	stun_put_fingerprint(&q);
	message[STUN_HDR_LEN + 4] ^= 1;
	silent(false, STAT_STUN_FINGERPRINT, "STUN-069");
	bed_stop();
}

/* Design 2.11: SOFTWARE goes first, then the reason; what still does not fit is not answered. */
static void test_amplification(void)
{
	char realm[200];
	struct rte_mbuf *m;
	struct stun_msg msg;
	struct stun_attr a;
	const uint8_t *reason;
	size_t reason_len;

	bed_start(NULL);
	memset(realm, 'r', sizeof(realm) - 1);
	realm[sizeof(realm) - 1] = '\0';
	offer(realm, "software");
	begin(TURN_ALLOCATE, STUN_REQUEST);
	silent(false, STAT_AMPLIFICATION, "a long realm, a short question");
	begin(TURN_ALLOCATE, STUN_REQUEST);
	stun_put(&q, 0x8055, filler, 80);
	answer(false, STAT_ANSWER_401, "a longer question", &m, &msg);
	CHECK(!stun_find(&msg, STUN_SOFTWARE, &a), "SOFTWARE stays away");
	CHECK(stun_find(&msg, STUN_ERROR_CODE, &a) &&
	              stun_error_code(&a, &reason, &reason_len) == 401,
	      "code");
	bed_free(&m, 1);
	begin(TURN_ALLOCATE, STUN_REQUEST);
	stun_put(&q, 0x8055, filler, 200);
	answer(false, STAT_ANSWER_401, "a long question", &m, &msg);
	CHECK(stun_find(&msg, STUN_SOFTWARE, &a) && a.len == 8, "all of it fits");
	bed_free(&m, 1);
	bed_stop();
}

static void test_limit_error(void)
{
	struct rte_mbuf *out[BED_REPLIES];
	char nonce[NONCE_LEN];
	uint64_t sent = 0, in = 0;

	bed_start("limits: { errors-per-prefix: 4 }\n");
	offer("example.org", NULL);
	bed.worker[0].now_ns = UINT64_C(7000000000000);
	for (unsigned i = 0; i < 100; i++) {
		begin(TURN_ALLOCATE, STUN_REQUEST);
		stun_put_u8(&q, TURN_REQUESTED_TRANSPORT, 17);
		const uint32_t len = bed_udp(frame, CLIENT4, LISTEN4, message, (uint32_t)q.len);
		struct rte_mbuf *m = bed_mbuf(frame, len);

		worker_burst(&bed.worker[0], &bed.port, &m, 1);
		const unsigned n = bed_sent(out);

		if (i >= 4) {
			in += len - 14;
			for (unsigned j = 0; j < n; j++)
				sent += out[j]->pkt_len - 14;
		}
		bed_free(out, n);
	}
	CHECK(bed_count(STAT_ANSWER_401) > 4 && bed_count(STAT_LIMIT_ERROR) > 30, "limited");
	CHECK(sent <= in && sent + 200 > in, "octets out never exceed octets in");
	/* A verified nonce lifts it. */
	struct nonce_keys *k = keys_here();
	const struct endpoint client = bed_ep(CLIENT4);

	nonce_make(k, prefix, scope, &client, bed.worker[0].wall_s, nonce);
	nonce_keys_free(k);
	begin(TURN_ALLOCATE, STUN_REQUEST);
	put_credentials(nonce, NONCE_LEN);
	silent(false, STAT_PUNTED, "verified");
	for (unsigned i = 0; i < 50; i++) {
		begin(TURN_ALLOCATE, STUN_REQUEST);
		bed_free(out, ask(false, STAT_ANSWER_401, "exempt", out));
	}
	bed_stop();
}

static void test_limit_punt(void)
{
	struct rte_mbuf *out[BED_REPLIES];
	char nonce[NONCE_LEN];

	bed_start("limits: { requests-per-prefix: 5 }\n");
	offer("example.org", NULL);
	struct nonce_keys *k = keys_here();
	const struct endpoint client = bed_ep(CLIENT4);

	nonce_make(k, prefix, scope, &client, bed.worker[0].wall_s, nonce);
	nonce_keys_free(k);
	for (unsigned i = 0; i < 7; i++) {
		begin(TURN_ALLOCATE, STUN_REQUEST);
		put_credentials(nonce, NONCE_LEN);
		CHECK(ask(false, i < 5 ? STAT_PUNTED : STAT_LIMIT_PUNT, "punt limit", out) == 0,
		      "");
	}
	bed_stop();
}

/* --- while workers answer --- */

static _Atomic bool over;

/* A worker at work: answers, goes through quiescent states, sees every version or another. */
static void *work(void *arg)
{
	static uint8_t f[BED_FRAME];
	struct worker *w = &bed.worker[0];
	unsigned *answered = arg;
	uint8_t request[28];
	struct stun_builder b;

	rte_rcu_qsbr_thread_register(bed.dp.qsbr, 0);
	rte_rcu_qsbr_thread_online(bed.dp.qsbr, 0);
	stun_begin(&b, request, sizeof(request), TURN_ALLOCATE, txid);
	stun_put_u8(&b, TURN_REQUESTED_TRANSPORT, 17);
	const uint32_t len = bed_udp(f, CLIENT4, LISTEN4, request, 28);

	while (!atomic_load(&over)) {
		struct rte_mbuf *m[8];
		unsigned n = 0;

		while (n < 8 && (m[n] = rte_pktmbuf_alloc(bed.pool)) != NULL) {
			memcpy(rte_pktmbuf_append(m[n], (uint16_t)len), f, len);
			n++;
		}
		w->now_ns += 1000000000;
		worker_burst(w, &bed.port, m, n);
		worker_flush(w);
		n = rte_ring_dequeue_burst(w->foreign, (void **)m, 8, NULL);
		*answered += n;
		bed_free(m, n);
		rte_rcu_qsbr_quiescent(bed.dp.qsbr, 0);
	}
	rte_rcu_qsbr_thread_offline(bed.dp.qsbr, 0);
	rte_rcu_qsbr_thread_unregister(bed.dp.qsbr, 0);
	return NULL;
}

/* Templates, keys and configurations are replaced under the worker's eyes (ASan watches). */
static void test_replaced(void)
{
	pthread_t thread;
	unsigned answered = 0;

	bed_start(NULL);
	offer("example.org", NULL);
	atomic_store(&over, false);
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, work, &answered) == 0);
	for (unsigned i = 0; i < 300; i++) {
		struct cmd_nonce_key k = { .epoch = (uint8_t)i, .current = 1 };

		CHECK(bed_command(CMD_NONCE_KEY, &k, sizeof(k)), "room");
		put_template(0, 401, i % 2 ? "example.org" : "example.com", NULL);
		if (i % 30 == 0)
			CHECK(bed_command(CMD_RELOAD, NULL, 0), "room");
		service_turn(bed.service, 64);
		usleep(100);
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	CHECK(answered > 100 && bed.disconnects == 0, "answered all the while");
	CHECK(bed_count(STAT_COMMANDS) == 5 + 610, "and everything was applied");
	bed_stop();
}

/* What no right control writes. */
static void test_refused(void)
{
	struct answer *a;
	struct retire r = { .qsbr = NULL };
	struct cmd_realm realm = { .nonce_lifetime_s = LIFETIME };
	struct cmd_nonce_key k = { .current = 2 };
	_Alignas(8) uint8_t body[2048] = { 0 };
	struct cmd_template *t = (struct cmd_template *)body;
	struct stun_builder b;

	a = answer_new(NULL);
	nonce_prefix(false, false, prefix);
	memcpy(realm.prefix, prefix, sizeof(realm.prefix));
	CHECK(answer_apply(&a, 1, &r, CMD_REALM, &realm, sizeof(realm)), "right");
	CHECK(!answer_apply(&a, 1, &r, CMD_REALM, &realm, sizeof(realm) - 1), "short");
	realm.listener = LOCAL_LISTENERS_MAX;
	CHECK(!answer_apply(&a, 1, &r, CMD_REALM, &realm, sizeof(realm)), "listener");
	realm.listener = 0;
	realm.prefix[9] = 'z';
	CHECK(!answer_apply(&a, 1, &r, CMD_REALM, &realm, sizeof(realm)), "prefix");
	memcpy(realm.prefix, prefix, sizeof(realm.prefix));
	realm.nonce_lifetime_s = 0;
	CHECK(!answer_apply(&a, 1, &r, CMD_REALM, &realm, sizeof(realm)), "lifetime 0");
	realm.nonce_lifetime_s = 86401;
	CHECK(!answer_apply(&a, 1, &r, CMD_REALM, &realm, sizeof(realm)), "lifetime");
	CHECK(!answer_apply(&a, 1, &r, CMD_NONCE_KEY, &k, sizeof(k)), "current");

	stun_begin(&b, body + sizeof(*t), 1024, stun_type(TURN_ALLOCATE, STUN_ERROR), txid);
	stun_put_error(&b, 401, NULL);
	stun_put(&b, STUN_NONCE, "0123456789012345678901234567890", NONCE_LEN);
	*t = (struct cmd_template){ .code = 401, .octets = (uint16_t)b.len, .nonce_at = 32 };
	const uint32_t whole = (uint32_t)(sizeof(*t) + b.len);

	CHECK(answer_apply(&a, 1, &r, CMD_TEMPLATE, body, whole), "right");
	CHECK(!answer_apply(&a, 1, &r, CMD_TEMPLATE, body, whole + 4), "length");
	t->nonce_at = 33;
	CHECK(!answer_apply(&a, 1, &r, CMD_TEMPLATE, body, whole), "nonce elsewhere");
	t->nonce_at = 0;
	CHECK(!answer_apply(&a, 1, &r, CMD_TEMPLATE, body, whole), "nonce nowhere");
	t->nonce_at = 32;
	t->code = 438;
	CHECK(!answer_apply(&a, 1, &r, CMD_TEMPLATE, body, whole), "another code");
	t->code = 403;
	CHECK(!answer_apply(&a, 1, &r, CMD_TEMPLATE, body, whole), "a code not served");
	t->code = 401;
	body[sizeof(*t) + 30] = 0x7F; /* the nonce's length */
	CHECK(!answer_apply(&a, 1, &r, CMD_TEMPLATE, body, whole), "attribute overruns");
	CHECK(!answer_apply(&a, 1, &r, CMD_SET, body, whole), "another kind");
	answer_free(a);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "Binding (STUN-049, STUN-052)", test_binding },
		{ "Binding, odd ones", test_binding_odd },
		{ "checksum (DEMUX-009)", test_checksum },
		{ "420 (STUN-038)", test_420 },
		{ "RFC 3489 (STUN-133)", test_classic },
		{ "SOFTWARE (STUN-149)", test_software },
		{ "limit_binding", test_limit_binding },
		{ "401, 400, 438, punt", test_turn },
		{ "other listeners and classes", test_turn_other },
		{ "amplification", test_amplification },
		{ "limit_error", test_limit_error },
		{ "limit_punt", test_limit_punt },
		{ "replaced while workers answer", test_replaced },
		{ "commands refused", test_refused },
		CU_TEST_INFO_NULL,
	};

	return run_suite("dataplane/answer", tests);
}
