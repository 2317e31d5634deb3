/* Mirrors control/turn/allocate.c and alloc.c: Allocate, Refresh, the end of allocations. */
#include <string.h>

#include "tests/rig/turn_rig.h"
#include "tests/support.h"
#include "tests/unit/control/turn/suite.h"
#include "wire/attr.h"

/* One attribute of an Allocate: type, length of value, value. */
struct put {
	uint16_t type;
	uint16_t len;
	uint8_t value[8];
};

static int allocate_with(struct rig *r, struct rig_client *c, const struct put *puts, unsigned n)
{
	struct rig_message m;

	rig_begin(r, &m, TURN_ALLOCATE);
	for (unsigned i = 0; i < n && puts[i].type != 0; i++)
		stun_put(&m.b, puts[i].type, puts[i].value, puts[i].len);
	return rig_ask(r, c, &m);
}

#define UDP                                  \
	{                                    \
		TURN_REQUESTED_TRANSPORT, 4, \
		{                            \
			17                   \
		}                            \
	}
#define V4                                        \
	{                                         \
		TURN_REQUESTED_ADDRESS_FAMILY, 4, \
		{                                 \
			1                         \
		}                                 \
	}
#define V6                                        \
	{                                         \
		TURN_REQUESTED_ADDRESS_FAMILY, 4, \
		{                                 \
			2                         \
		}                                 \
	}
#define DUAL                                       \
	{                                          \
		TURN_ADDITIONAL_ADDRESS_FAMILY, 4, \
		{                                  \
			2                          \
		}                                  \
	}
#define EVEN                       \
	{                          \
		TURN_EVEN_PORT, 1, \
		{                  \
			0          \
		}                  \
	}
#define EVEN_R                     \
	{                          \
		TURN_EVEN_PORT, 1, \
		{                  \
			0x80       \
		}                  \
	}
#define TOKEN                                  \
	{                                      \
		TURN_RESERVATION_TOKEN, 8,     \
		{                              \
			1, 2, 3, 4, 5, 6, 7, 8 \
		}                              \
	}
#define DF                             \
	{                              \
		TURN_DONT_FRAGMENT, 0, \
		{                      \
			0              \
		}                      \
	}

static const struct {
	const char *name;
	struct put put[4];
	int want;
} allocates[] = {
	/* clang-format off */
	{ "TURN-037 transport missing",         { { 0, 0, { 0 } } },                             400 },
	{ "TURN-037 transport of one octet",    { { TURN_REQUESTED_TRANSPORT, 1, { 17 } } },     400 },
	{ "TURN-037 transport of five octets",  { { TURN_REQUESTED_TRANSPORT, 5, { 17 } } },     400 },
	{ "TURN-037 transport 132",             { { TURN_REQUESTED_TRANSPORT, 4, { 132 } } },    442 },
	{ "TURN-163 transport 6 is off",        { { TURN_REQUESTED_TRANSPORT, 4, { 6 } } },      442 },
	{ "TURN-005 reserved octets are ignored", { { TURN_REQUESTED_TRANSPORT, 4, { 17, 255, 255, 255 } } }, 0 },
	{ "TURN-004 LIFETIME of three octets",  { UDP, { TURN_LIFETIME, 3, { 0 } } },            400 },
	{ "TURN-004 LIFETIME of five octets",   { UDP, { TURN_LIFETIME, 5, { 0 } } },            400 },
	{ "TURN-004 EVEN-PORT of no octets",    { UDP, { TURN_EVEN_PORT, 0, { 0 } } },           400 },
	{ "TURN-004 EVEN-PORT of two octets",   { UDP, { TURN_EVEN_PORT, 2, { 0 } } },           400 },
	{ "TURN-004 token of seven octets",     { UDP, { TURN_RESERVATION_TOKEN, 7, { 0 } } },   400 },
	{ "TURN-004 DONT-FRAGMENT with a value", { UDP, { TURN_DONT_FRAGMENT, 1, { 0 } } },      400 },
	{ "TURN-004 family of three octets",    { UDP, { TURN_REQUESTED_ADDRESS_FAMILY, 3, { 1 } } }, 400 },
	{ "TURN-004 additional of two octets",  { UDP, { TURN_ADDITIONAL_ADDRESS_FAMILY, 2, { 2 } } }, 400 },
	{ "TURN-041 DONT-FRAGMENT is accepted", { UDP, DF },                                     0 },
	{ "TURN-042 token and EVEN-PORT",       { UDP, TOKEN, EVEN },                            400 },
	{ "TURN-042 token and family",          { UDP, TOKEN, V4 },                              400 },
	{ "TURN-042 token and additional",      { UDP, TOKEN, DUAL },                            400 },
	{ "TURN-043 token that is unknown",     { UDP, TOKEN },                                  508 },
	{ "TURN-050 IPv4 asked",                { UDP, V4 },                                     0 },
	{ "TURN-050 IPv6 asked",                { UDP, V6 },                                     0 },
	{ "TURN-050 family 3",                  { UDP, { TURN_REQUESTED_ADDRESS_FAMILY, 4, { 3 } } }, 440 },
	{ "TURN-050 family 0",                  { UDP, { TURN_REQUESTED_ADDRESS_FAMILY, 4, { 0 } } }, 440 },
	{ "TURN-005 family's reserved octets",  { UDP, { TURN_REQUESTED_ADDRESS_FAMILY, 4, { 2, 9, 9, 9 } } }, 0 },
	{ "TURN-051 both family attributes",    { UDP, V4, DUAL },                               400 },
	{ "TURN-051 additional IPv4",           { UDP, { TURN_ADDITIONAL_ADDRESS_FAMILY, 4, { 1 } } }, 400 },
	{ "TURN-051 additional 3",              { UDP, { TURN_ADDITIONAL_ADDRESS_FAMILY, 4, { 3 } } }, 400 },
	{ "TURN-048 R and additional",          { UDP, EVEN_R, DUAL },                           400 },
	{ "EVEN-PORT without R and additional", { UDP, EVEN, DUAL },                             0 },
	{ "TURN-178 ticket with a value",       { UDP, { TURN_MOBILITY_TICKET, 4, { 1 } } },     400 },
	{ "TURN-178 empty ticket is ignored",   { UDP, { TURN_MOBILITY_TICKET, 0, { 0 } } },     0 },
	{ "TURN-006 BANDWIDTH",                 { UDP, { 0x0010, 4, { 0 } } },                   420 },
	{ "TURN-006 TIMER-VAL",                 { UDP, { 0x0021, 4, { 0 } } },                   420 },
	{ "TURN-188 ACCESS-TOKEN",              { UDP, { STUN_ACCESS_TOKEN, 4, { 0 } } },        420 },
	{ "TURN-009 unknown optional",          { UDP, { 0xFF05, 4, { 0 } }, { 0xC001, 0, { 0 } } }, 0 },
	{ "TURN-009 known but unexpected",      { UDP, { TURN_CHANNEL_NUMBER, 1, { 0 } } },      0 },
	{ "TURN-007 the first LIFETIME counts", { UDP, { TURN_LIFETIME, 4, { 0, 0, 4, 0 } }, { TURN_LIFETIME, 1, { 0 } } }, 0 },
	/* clang-format on */
};

static void test_attributes(void)
{
	for (size_t i = 0; i < sizeof(allocates) / sizeof(allocates[0]); i++) {
		struct rig r;
		struct rig_client c = rig_client4(1);

		rig_open(&r, NULL);
		CHECK(allocate_with(&r, &c, allocates[i].put, 4) == allocates[i].want,
		      allocates[i].name);
		CHECK(rig_signed(&r, &c, STUN_MESSAGE_INTEGRITY), "TURN-028: every answer signed");
		CHECK((turn_allocations(r.srv) == 1) == (allocates[i].want == 0),
		      allocates[i].name);
		SOUND(&r);
		rig_close(&r);
	}
}

static void no_ipv4(struct rig *r)
{
	r->cfg.relays[0] = r->cfg.relays[1];
	r->cfg.n_relays = 1;
}

static void no_ipv6(struct rig *r)
{
	r->cfg.n_relays = 1;
}

static void no_relay(struct rig *r)
{
	r->cfg.n_relays = 0;
}

/* TURN-050 to TURN-053: what is served, what is asked, what comes. */
static const struct {
	const char *name;
	rig_tweak *tweak;
	bool from6;
	struct put put;
	int want;
	bool got4, got6;
	unsigned partial;
} families[] = {
	/* clang-format off */
	{ "absent over IPv4",       NULL,    false, { 0, 0, { 0 } }, 0, true, false, 0 },
	{ "absent over IPv6: IPv4", NULL,    true,  { 0, 0, { 0 } }, 0, true, false, 0 },
	{ "IPv6 over IPv4",         NULL,    false, V6,              0, false, true, 0 },
	{ "IPv4 over IPv6",         NULL,    true,  V4,              0, true, false, 0 },
	{ "absent, no IPv4",        no_ipv4, true,  { 0, 0, { 0 } }, 440, false, false, 0 },
	{ "IPv6 asked, no IPv6",    no_ipv6, false, V6,              440, false, false, 0 },
	{ "dual",                   NULL,    false, DUAL,            0, true, true, 0 },
	{ "dual, no IPv6",          no_ipv6, false, DUAL,            0, true, false, 440 },
	{ "dual, no IPv4",          no_ipv4, false, DUAL,            0, false, true, 440 },
	{ "dual, neither",          no_relay, false, DUAL,           440, false, false, 0 },
	/* clang-format on */
};

static void test_families(void)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		struct rig r;
		struct rig_client c = families[i].from6 ? rig_client6(1) : rig_client4(1);
		const struct put puts[] = { UDP, families[i].put };
		struct stun_attr attr = { 0 };
		const uint8_t *reason = NULL;
		size_t reason_len = 0;
		bool got4 = false, got6 = false;

		rig_open(&r, families[i].tweak);
		CHECK(allocate_with(&r, &c, puts, 2) == families[i].want, families[i].name);
		for (unsigned k = 0; rig_relayed(&r, k).port != 0; k++) {
			const struct endpoint at = rig_relayed(&r, k);

			got4 |= addr_is4(&at.addr);
			got6 |= !addr_is4(&at.addr);
		}
		CHECK(got4 == families[i].got4 && got6 == families[i].got6, families[i].name);
		CHECK((rig_flow_of(&r, &c, FLOW_ALLOCATION4, NULL) != NULL) == got4,
		      "a flow of it");
		CHECK((rig_flow_of(&r, &c, FLOW_ALLOCATION6, NULL) != NULL) == got6,
		      "a flow of it");
		CHECK(rig_attr(&r, TURN_ADDRESS_ERROR_CODE, &attr) == (families[i].partial != 0),
		      "TURN-053: ADDRESS-ERROR-CODE");
		if (families[i].partial != 0) {
			CHECK(stun_error_code(&attr, &reason, &reason_len) == families[i].partial,
			      families[i].name);
			CHECK(attr.value[0] == (got4 ? 2 : 1), "names the other family");
		}
		SOUND(&r);
		rig_close(&r);
	}
}

/* TURN-055, TURN-018, TURN-062: the exact set of a success. */
static void test_success(void)
{
	struct rig r;
	struct rig_client c = rig_client4(7);
	struct stun_msg msg = { 0 };
	struct stun_attr attr = { 0 };
	struct endpoint mapped;

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0, "success");
	CHECK(stun_open(r.answer, r.answer_len, &msg), "STUN");
	struct stun_iter it = stun_attrs(&msg);
	unsigned n = 0;
	static const uint16_t want[] = { TURN_XOR_RELAYED_ADDRESS, TURN_LIFETIME,
		                         STUN_XOR_MAPPED_ADDRESS, STUN_MESSAGE_INTEGRITY };
	while (stun_next(&it, &attr)) {
		CHECK(n < 4 && attr.type == want[n], "TURN-055: exactly these");
		n++;
	}
	CHECK(n == 4, "and all of them");
	CHECK(rig_attr(&r, STUN_XOR_MAPPED_ADDRESS, &attr) && attr.len == 8, "family in use");
	CHECK(stun_xor_addr(&msg, &attr, &mapped) == 4 && endpoint_equal(&mapped, &c.at),
	      "the client as seen");
	const struct endpoint relayed = rig_relayed(&r, 0);
	CHECK(addr_equal(&relayed.addr, &r.cfg.relays[0].advertise), "TURN-062: advertised");
	const struct cmd_flow *f = rig_flow_of(&r, &c, FLOW_ALLOCATION4, NULL);
	CHECK(f != NULL && f->relay == 20 && f->relayed_port == relayed.port, "the real one below");
	CHECK(f != NULL && f->deadline_s == r.now_ms / 1000 + 600, "deadline of the row");
	CHECK(r.sets_before_answer == 1, "TURN-020: the flow stands before the answer");
	CHECK(r.n_begin == 1 && strcmp(r.begin.user, "alice") == 0 && r.begin.expires_s == 600,
	      "TURN-210: told");
	c.fingerprint = true;
	CHECK(rig_refresh(&r, &c, 700) == 0 && rig_attr_count(&r, STUN_FINGERPRINT) == 1,
	      "TURN-016: FINGERPRINT mirrors the request");
	rig_close(&r);
}

static void test_software(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	static char software[] = "Turnpike";
	const struct endpoint peer = rig_peer4(1, 1);

	rig_open(&r, NULL);
	rig_allocate(&r, &c);
	CHECK(rig_attr_count(&r, STUN_SOFTWARE) == 0, "TURN-015: absent by default");
	r.cfg.software = software;
	CHECK(rig_refresh(&r, &c, -1) == 0 && rig_attr_count(&r, STUN_SOFTWARE) == 1, "Refresh");
	CHECK(rig_permit(&r, &c, &peer, 1) == 0 && rig_attr_count(&r, STUN_SOFTWARE) == 0,
	      "no other message");
	CHECK(rig_allocate(&r, &c) == 437 && rig_attr_count(&r, STUN_SOFTWARE) == 1, "errors too");
	rig_close(&r);
}

/* TURN-054, TURN-066, TURN-068: asked and granted. */
static void test_lifetimes(void)
{
	static const struct {
		uint32_t asked, granted;
	} cases[] = { { 1, 600 },     { 599, 600 },   { 600, 600 },
		      { 601, 601 },   { 777, 777 },   { 3599, 3599 },
		      { 3600, 3600 }, { 3601, 3600 }, { UINT32_MAX, 3600 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;
		struct rig_client c = rig_client4(1);
		const struct put puts[] = {
			UDP,
			{ TURN_LIFETIME,
			  4,
			  { (uint8_t)(cases[i].asked >> 24), (uint8_t)(cases[i].asked >> 16),
			    (uint8_t)(cases[i].asked >> 8), (uint8_t)cases[i].asked } },
		};

		rig_open(&r, NULL);
		CHECK(allocate_with(&r, &c, puts, 2) == 0, "Allocate");
		CHECK(rig_lifetime(&r) == cases[i].granted, "TURN-054");
		CHECK(rig_refresh(&r, &c, cases[i].asked) == 0, "Refresh");
		CHECK(rig_lifetime(&r) == cases[i].granted, "TURN-066");
		CHECK(rig_refresh(&r, &c, -1) == 0 && rig_lifetime(&r) == 600, "TURN-068: absent");
		rig_close(&r);
	}

	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct put zero[] = { UDP, { TURN_LIFETIME, 4, { 0 } } };
	rig_open(&r, NULL);
	CHECK(allocate_with(&r, &c, zero, 2) == 0 && rig_lifetime(&r) == 600, "TURN-054: 0");
	rig_close(&r);
}

/* TURN-039, TURN-040: five times the same. */
static void test_again(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message m;

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0 && rig_refresh(&r, &c, 0) == 0, "learn a nonce");
	rig_begin(&r, &m, TURN_ALLOCATE);
	stun_put_u8(&m.b, TURN_REQUESTED_TRANSPORT, 17);
	stun_put(&m.b, TURN_EVEN_PORT, (uint8_t[]){ 0x80 }, 1);
	rig_sign(&r, &m, &c);
	CHECK(rig_send(&r, &c, &m) == 0, "first");
	const struct endpoint at = rig_relayed(&r, 0);
	struct stun_attr token;
	uint8_t octets[8];
	CHECK(rig_attr(&r, TURN_RESERVATION_TOKEN, &token) && token.len == 8, "token");
	memcpy(octets, token.value, 8);
	for (unsigned i = 0; i < 5; i++) {
		const struct endpoint again = (rig_send(&r, &c, &m), rig_relayed(&r, 0));

		CHECK(endpoint_equal(&at, &again), "same relayed address");
		CHECK(rig_attr(&r, TURN_RESERVATION_TOKEN, &token) &&
		              memcmp(octets, token.value, 8) == 0,
		      "same token");
		CHECK(rig_attr_count(&r, STUN_XOR_MAPPED_ADDRESS) == 1, "same mapped address");
		rig_wait(&r, 7800);
	}
	CHECK(rig_send(&r, &c, &m) == 0 && rig_lifetime(&r) == 600 - 39, "still at 39 s");
	CHECK(turn_allocations(r.srv) == 1, "one allocation");
	SOUND(&r);
	struct turn_user_info user;
	CHECK(turn_user_list(r.srv, 0, &user) && user.allocations == 1, "one unit of quota");
	rig_restart(&r);
	CHECK(rig_send(&r, &c, &m) == 0, "and after a restart");
	const struct endpoint again = rig_relayed(&r, 0);
	CHECK(endpoint_equal(&at, &again), "the same");
	rig_close(&r);
}

/* TURN-014, TURN-067: late duplicates. */
static void test_late(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct rig_message alloc, gone;

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0 && rig_refresh(&r, &c, 0) == 0, "learn a nonce");
	rig_begin(&r, &alloc, TURN_ALLOCATE);
	stun_put_u8(&alloc.b, TURN_REQUESTED_TRANSPORT, 17);
	rig_sign(&r, &alloc, &c);
	CHECK(rig_send(&r, &c, &alloc) == 0, "Allocate");
	rig_begin(&r, &gone, TURN_REFRESH);
	memcpy(gone.buf + 8, alloc.buf + 8, 12); /* some clients reuse the id: by method */
	stun_put_u32(&gone.b, TURN_LIFETIME, 0);
	rig_sign(&r, &gone, &c);
	CHECK(rig_send(&r, &c, &gone) == 0 && rig_lifetime(&r) == 0, "TURN-066: 0 when deleted");
	CHECK(turn_allocations(r.srv) == 0, "deleted");
	CHECK(rig_send(&r, &c, &gone) == 0, "TURN-067: the stored success");
	CHECK(rig_send(&r, &c, &alloc) == 437, "the ended one's Allocate starts nothing anew");
	CHECK(turn_allocations(r.srv) == 0, "nothing");
	CHECK(rig_allocate(&r, &c) == 0, "TURN-065: a new one on the five-tuple");
	rig_wait(&r, 10000);
	CHECK(rig_send(&r, &c, &gone) == 0 && turn_allocations(r.srv) == 1,
	      "TURN-067: a late duplicate does not delete the new one");
	rig_wait(&r, 29000);
	CHECK(rig_send(&r, &c, &gone) == 0 && turn_allocations(r.srv) == 1, "nor at 39 s");
	SOUND(&r);
	rig_close(&r);
}

static void small_ports(struct rig *r)
{
	r->cfg.relay_port_min = 50000;
	r->cfg.relay_port_max = 50003;
	r->cfg.port_rest_s = 0;
}

/* TURN-043 to TURN-049. */
static void test_reservation(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1), d = rig_client6(2), e = rig_client4(3);
	const struct put reserve[] = { UDP, EVEN_R };
	struct put redeem[] = { UDP, { TURN_RESERVATION_TOKEN, 8, { 0 } } };
	struct stun_attr token;

	rig_open(&r, small_ports);
	CHECK(allocate_with(&r, &c, reserve, 2) == 0, "EVEN-PORT with R");
	const uint16_t port = rig_relayed(&r, 0).port;
	CHECK(port % 2 == 0, "TURN-047: even");
	CHECK(rig_attr(&r, TURN_RESERVATION_TOKEN, &token), "a token");
	memcpy(redeem[1].value, token.value, 8);
	SOUND(&r);
	e.user = "bob";
	e.password = "correct horse battery staple";
	CHECK(allocate_with(&r, &e, redeem, 2) == 508, "TURN-045: another user");
	CHECK(rig_refresh(&r, &c, 0) == 0, "N goes");
	rig_wait(&r, 29000);
	CHECK(allocate_with(&r, &d, redeem, 2) == 0, "TURN-044, TURN-049: other address, N gone");
	CHECK(rig_relayed(&r, 0).port == port + 1, "TURN-043: exactly the held one");
	SOUND(&r);
	e = rig_client4(4);
	CHECK(allocate_with(&r, &e, redeem, 2) == 508, "TURN-043: once");
	CHECK(rig_refresh(&r, &d, 0) == 0, "gives it back");

	CHECK(allocate_with(&r, &c, reserve, 2) == 0, "again");
	rig_attr(&r, TURN_RESERVATION_TOKEN, &token);
	memcpy(redeem[1].value, token.value, 8);
	e = rig_client4(5);
	CHECK(allocate_with(&r, &e, reserve, 2) == 0, "the other pair");
	struct rig_client f = rig_client4(6);
	CHECK(allocate_with(&r, &f, reserve, 2) == 508, "TURN-047: no pair free");
	CHECK(rig_allocate(&r, &f) == 508, "TURN-047: N+1 is refused to others meanwhile");
	SOUND(&r);
	rig_wait(&r, 31000);
	CHECK(allocate_with(&r, &f, redeem, 2) == 508, "TURN-043: after 31 with hold 30");
	CHECK(rig_allocate(&r, &f) == 0, "TURN-049: back in the pool");
	SOUND(&r);
	rig_close(&r);
}

static void quota(struct rig *r)
{
	r->cfg.limit_allocations_per_user = 3;
}

/* TURN-063, TURN-073. */
static void test_quota(void)
{
	struct rig r;
	struct rig_client c[4];

	rig_open(&r, quota);
	for (unsigned i = 0; i < 3; i++) {
		c[i] = rig_client4(i);
		CHECK(rig_allocate(&r, &c[i]) == 0, "within");
	}
	c[3] = rig_client6(9);
	CHECK(rig_allocate(&r, &c[3]) == 486, "TURN-063: fourth");
	rig_restart(&r);
	CHECK(rig_allocate(&r, &c[3]) == 486, "TURN-063: survives restarts");
	r.cfg.limit_allocations_per_user = 1;
	CHECK(rig_refresh(&r, &c[0], -1) == 0, "TURN-073: Refresh goes on below use");
	r.cfg.limit_allocations_per_user = 3;
	CHECK(rig_refresh(&r, &c[0], 0) == 0 && rig_allocate(&r, &c[3]) == 0, "one back");
	struct rig_client other = rig_client4(20);
	other.user = "bob";
	other.password = "correct horse battery staple";
	CHECK(rig_allocate(&r, &other) == 0, "by user, not by address");
	SOUND(&r);
	rig_close(&r);
}

/* TURN-064. */
static void test_tunnels(void)
{
	static const char *const text[] = { "[2002:c612:1::1]:9", "[2001::5]:9" };
	struct rig r;

	rig_open(&r, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct rig_client c = rig_client6(1);

		c.at = rig_at(text[i]);
		CHECK(rig_allocate(&r, &c) == 403, text[i]);
	}
	rig_close(&r);
}

/* TURN-011, TURN-012, TURN-013, TURN-038. */
static void test_mismatch(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1), port = rig_client4(2), listener = rig_client4(1);
	struct rig_client bob = rig_client4(1);
	const struct endpoint peer = rig_peer4(1, 1);

	rig_open(&r, NULL);
	CHECK(rig_refresh(&r, &c, -1) == 437 && rig_permit(&r, &c, &peer, 1) == 437 &&
	              rig_bind(&r, &c, 0x4000, &peer) == 437,
	      "TURN-012: before Allocate");
	CHECK(rig_allocate(&r, &c) == 0 && rig_bind(&r, &c, 0x4000, &peer) == 0, "one");
	CHECK(rig_allocate(&r, &c) == 437, "TURN-038: a second one");
	listener.listener = 12;
	CHECK(rig_refresh(&r, &port, -1) == 437, "TURN-011: another port");
	CHECK(rig_refresh(&r, &listener, -1) == 437, "TURN-011: another listener");
	bob.user = "bob";
	bob.password = "correct horse battery staple";
	CHECK(rig_refresh(&r, &bob, 0) == 441, "TURN-013: Refresh");
	CHECK(rig_signed(&r, &bob, 0), "signed with the asker's key");
	CHECK(rig_permit(&r, &bob, &peer, 1) == 441, "TURN-013: CreatePermission");
	CHECK(rig_bind(&r, &bob, 0x4001, &peer) == 441, "TURN-013: ChannelBind");
	CHECK(rig_allocate(&r, &bob) == 437, "TURN-038: whoever sends it");
	CHECK(turn_allocations(r.srv) == 1 && r.n_flows == 3, "nothing changed");
	SOUND(&r);
	rig_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "attributes of Allocate", test_attributes },
		{ "address families", test_families },
		{ "what a success holds", test_success },
		{ "SOFTWARE", test_software },
		{ "lifetimes", test_lifetimes },
		{ "the same Allocate again", test_again },
		{ "late duplicates", test_late },
		{ "reservations", test_reservation },
		{ "quota", test_quota },
		{ "tunnelled clients", test_tunnels },
		{ "no such allocation, another's", test_mismatch },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/alloc", tests);
}
