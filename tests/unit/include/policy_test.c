/* Mirrors include/policy.c: TURN-217 to TURN-222, the tables of blocks and disguises. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy.h"
#include "tests/support.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
enum { LIST_MAX = 12 };

/* The blocks as they are written down, judged by a model that knows nothing but text and bits. */
static const char *const special[] = {
	/* clang-format off */
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
	"192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "192.31.196.0/24",
	"192.175.48.0/24", "192.52.193.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
	"168.63.129.16/32",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "5f00::/16", "fc00::/7",
	"fe80::/10", "fec0::/10", "2001::/23", "2001:db8::/32", "3fff::/20", "2620:4f:8000::/48",
	"2001:1::1/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28",
	"2001:20::/28", "2001:30::/28", "4000::/2", "8000::/1", "::/3",
	/* clang-format on */
};
static const char *const never[] = {
	"0.0.0.0/8",       "224.0.0.0/4", "255.255.255.255/32", "127.0.0.0/8", "::/96",
	"::ffff:0:0:0/96", "2001::/32",   "2002::/16",          "ff00::/8",
};

struct bits {
	unsigned n; /* 32 or 128 bits of address, or fewer of a block */
	bool is4;
	bool bit[128];
};

static struct bits bits_of(const uint8_t *octets, unsigned n, bool is4)
{
	struct bits b = { .n = n, .is4 = is4 };

	for (unsigned i = 0; i < n; i++)
		b.bit[i] = (octets[i / 8] >> (7 - i % 8)) & 1;
	return b;
}

static struct bits bits_parse(const char *text)
{
	const char *slash = strchr(text, '/');
	char host[64];
	uint8_t octets[16];

	snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	const bool is4 = strchr(host, ':') == NULL;
	if (inet_pton(is4 ? AF_INET : AF_INET6, host, octets) != 1)
		abort();
	return bits_of(octets, (unsigned)atoi(slash + 1), is4);
}

static struct bits bits_of_addr(const struct addr *a)
{
	return addr_is4(a) ? bits_of(a->ip + 12, 32, true) : bits_of(a->ip, 128, false);
}

static bool holds(const struct bits *block, const struct bits *a)
{
	if (block->is4 != a->is4)
		return false;
	for (unsigned i = 0; i < block->n; i++)
		if (block->bit[i] != a->bit[i])
			return false;
	return true;
}

static bool any_holds(const char *const *texts, size_t n, const struct bits *a)
{
	for (size_t i = 0; i < n; i++) {
		const struct bits block = bits_parse(texts[i]);

		if (holds(&block, a))
			return true;
	}
	return false;
}

struct lists {
	char allow[LIST_MAX][64], deny[LIST_MAX][64];
	unsigned n_allow, n_deny;
	struct prefix allow_prefix[LIST_MAX], deny_prefix[LIST_MAX];
};

static int longest_bits(char texts[][64], unsigned n, const struct bits *a)
{
	int best = -1;

	for (unsigned i = 0; i < n; i++) {
		const struct bits block = bits_parse(texts[i]);

		if (holds(&block, a) && (int)block.n > best)
			best = (int)block.n;
	}
	return best;
}

static bool model_plain(struct lists *l, const struct bits *a, int *allowed)
{
	const int deny = longest_bits(l->deny, l->n_deny, a);

	*allowed = longest_bits(l->allow, l->n_allow, a);
	if (deny >= 0 && deny >= *allowed)
		return false;
	return *allowed >= 0 || !any_holds(special, COUNT(special), a);
}

static bool model4(struct lists *l, const uint8_t ip4[4])
{
	const struct bits a = bits_of(ip4, 32, true);
	int allowed;

	return !any_holds(never, COUNT(never), &a) && model_plain(l, &a, &allowed);
}

/* Whether a peer is good, without NAT64 of the operator's, 6rd and own networks. */
static bool model(struct lists *l, const struct addr *peer)
{
	const struct bits a = bits_of_addr(peer);
	const struct bits known = bits_parse("64:ff9b::/96"), local = bits_parse("64:ff9b:1::/48");
	const uint8_t *o = peer->ip;
	struct lists none = { .n_allow = 0 };
	int allowed;

	if (a.is4)
		return model4(l, o + 12);
	if (any_holds(never, COUNT(never), &a) || !model_plain(l, &a, &allowed))
		return false;
	if (holds(&known, &a) && !(model4(&none, o + 12) && model4(l, o + 12)))
		return false;
	if (holds(&local, &a)) {
		const uint8_t inside[4][4] = { { o[6], o[7], o[9], o[10] },
			                       { o[7], o[9], o[10], o[11] },
			                       { o[9], o[10], o[11], o[12] },
			                       { o[12], o[13], o[14], o[15] } };
		const int at = allowed == 48 ? 0 : allowed == 56 ? 1 : allowed == 64 ? 2 : 3;

		if ((at == 3 && allowed != 96) || (at < 3 && o[8] != 0) || !model4(l, inside[at]))
			return false;
	}
	if (memcmp(o + 8, "\0\0\x5E\xFE", 4) == 0 || memcmp(o + 8, "\2\0\x5E\xFE", 4) == 0)
		return allowed >= 0 && model4(l, o + 12);
	return true;
}

static uint64_t seed = 88172645463325252;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % below;
}

static const char *draw_block(void)
{
	const uint32_t i = draw(COUNT(special) + COUNT(never));

	return i < COUNT(special) ? special[i] : never[i - COUNT(special)];
}

/* Near a border of some block, often with an IPv4 address of some block inside. */
static struct addr draw_addr(void)
{
	const char *text = draw_block();
	struct prefix p, inside;
	struct addr a;

	if (!cidr_parse(text, &p))
		abort();
	a = p.addr;
	const unsigned first = addr_is4(&a) ? 96 : 0;
	for (unsigned bit = p.len; bit < 128; bit++)
		if (draw(2))
			a.ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	if (draw(3) == 0) { /* one bit before the end of the block: just outside */
		const unsigned bit = first + draw(p.len - first + (p.len == first));

		a.ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	}
	if (first == 0 && draw(2) && cidr_parse(draw_block(), &inside) && addr_is4(&inside.addr)) {
		static const uint8_t at[] = { 12, 12, 12, 4, 9 };
		const uint8_t where = at[draw(5)];

		memcpy(a.ip + where, inside.addr.ip + 12, 4);
		if (draw(2))
			a.ip[8] = 0;
		if (draw(3) == 0)
			memcpy(a.ip + 8, draw(2) ? "\0\0\x5E\xFE" : "\2\0\x5E\xFE", 4);
		if (draw(3) == 0)
			memcpy(a.ip, "\x2A\0\0\1", 4); /* global unicast */
	}
	return a;
}

static void draw_list(char texts[][64], struct prefix *prefixes, unsigned *n)
{
	for (*n = 0; *n < LIST_MAX && draw(6) != 0; (*n)++) {
		struct addr a = draw_addr();
		struct prefix p = { .addr = a };
		const unsigned first = addr_is4(&a) ? 96 : 0;

		p.len = (uint8_t)(first + draw(129 - first));
		for (unsigned bit = p.len; bit < 128; bit++)
			p.addr.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
		prefix_print(&p, texts[*n]);
		/* A short IPv6 block may have become the mapped form in print; start again. */
		if (!prefix_parse(texts[*n], &prefixes[*n]))
			strcpy(texts[*n], "10.0.0.0/8"), prefix_parse("10.0.0.0/8", &prefixes[*n]);
	}
}

/* TURN-218, TURN-220, TURN-222. */
static void test_against_slow_model(void)
{
	static struct lists l;

	for (unsigned round = 0; round < 2000; round++) {
		draw_list(l.allow, l.allow_prefix, &l.n_allow);
		draw_list(l.deny, l.deny_prefix, &l.n_deny);
		const struct policy p = { .allow = l.allow_prefix,
			                  .n_allow = l.n_allow,
			                  .deny = l.deny_prefix,
			                  .n_deny = l.n_deny };
		for (unsigned i = 0; i < 20; i++) {
			const struct addr a = draw_addr();
			char text[ADDR_TEXT_MAX];

			if ((policy_check(&p, &a) == POLICY_OK) != model(&l, &a))
				CHECK(false, addr_print(&a, text));
		}
	}
}

static bool is_v4_text(const char *text)
{
	return strchr(text, ':') == NULL;
}

static struct prefix block(const char *text)
{
	struct prefix p;

	if (!cidr_parse(text, &p))
		abort();
	return p;
}

static struct addr last_of(const struct prefix *p)
{
	struct addr a = p->addr;

	for (unsigned bit = p->len; bit < 128; bit++)
		a.ip[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return a;
}

/* TURN-218: first and last address of every block; one that an allow entry opens, deny on a tie. */
static void test_every_block(void)
{
	for (size_t i = 0; i < COUNT(special); i++) {
		const struct prefix p = block(special[i]);
		const struct addr ends[] = { p.addr, last_of(&p) };
		const struct policy bare = { 0 };
		const struct policy both = { .allow = &p, .n_allow = 1, .deny = &p, .n_deny = 1 };
		const struct policy open = { .allow = &p, .n_allow = 1 };

		for (unsigned k = 0; k < 2; k++) {
			if (addr_is4(&ends[k]) && ends[k].ip[12] == 255)
				continue; /* 255.255.255.255 is told apart below */
			CHECK(policy_check(&bare, &ends[k]) != POLICY_OK, special[i]);
			CHECK(policy_check(&both, &ends[k]) != POLICY_OK, special[i]);
			if (is_v4_text(special[i]))
				CHECK(policy_check(&open, &ends[k]) == POLICY_OK, special[i]);
		}
	}
}

/* TURN-219: nothing opens these, whatever is allowed. */
static void test_never(void)
{
	const struct prefix all[] = { block("0.0.0.0/0"), block("::/0") };

	for (size_t i = 0; i < COUNT(never); i++) {
		const struct prefix p = block(never[i]);
		const struct prefix allow[] = { all[0], all[1], p };
		const struct policy open = { .allow = allow, .n_allow = 3 };
		const struct addr last = last_of(&p);

		CHECK(policy_check(&open, &p.addr) == POLICY_NEVER, never[i]);
		CHECK(policy_check(&open, &last) == POLICY_NEVER, never[i]);
	}
	const struct addr one = block("::1").addr;
	const struct policy open = { .allow = all, .n_allow = 2 };
	CHECK(policy_check(&open, &one) == POLICY_NEVER, "::1");
}

static const struct {
	const char *name, *peer;
	enum policy_verdict verdict;
	const char *allow[3], *deny[2], *nat64, *sixrd, *link;
	bool loopback;
} cases[] = {
	/* clang-format off */
	{ .name = "public IPv4",              .peer = "8.8.8.8",              .verdict = POLICY_OK },
	{ .name = "public IPv6",              .peer = "2a00:1450::1",         .verdict = POLICY_OK },
	{ .name = "public IPv4 denied",       .peer = "8.8.8.8",              .verdict = POLICY_DENIED,   .deny = { "8.0.0.0/8" } },
	{ .name = "longer allow wins",        .peer = "8.8.8.8",              .verdict = POLICY_OK,       { "8.8.8.0/24" }, { "8.0.0.0/8" } },
	{ .name = "longer deny wins",         .peer = "8.8.8.8",              .verdict = POLICY_DENIED,   { "8.0.0.0/8" }, { "8.8.8.0/24" } },
	{ .name = "deny on a tie",            .peer = "8.8.8.8",              .verdict = POLICY_DENIED,   { "8.8.8.0/24" }, { "8.8.8.0/24" } },
	{ .name = "longest of several",       .peer = "10.1.2.3",             .verdict = POLICY_OK,       { "10.0.0.0/8", "10.1.2.0/24" }, { "10.1.0.0/16" } },
	{ .name = "private",                  .peer = "10.1.2.3",             .verdict = POLICY_SPECIAL },
	{ .name = "benchmarking, last",       .peer = "198.19.255.255",       .verdict = POLICY_SPECIAL },
	{ .name = "behind benchmarking",      .peer = "198.20.0.0",           .verdict = POLICY_OK },
	{ .name = "172.15",                   .peer = "172.15.255.255",       .verdict = POLICY_OK },
	{ .name = "172.31",                   .peer = "172.31.255.255",       .verdict = POLICY_SPECIAL },
	{ .name = "172.32",                   .peer = "172.32.0.0",           .verdict = POLICY_OK },
	{ .name = "carrier NAT, last",        .peer = "100.127.255.255",      .verdict = POLICY_SPECIAL },
	{ .name = "behind carrier NAT",       .peer = "100.128.0.0",          .verdict = POLICY_OK },
	{ .name = "host service",             .peer = "168.63.129.16",        .verdict = POLICY_SPECIAL },
	{ .name = "beside the host service",  .peer = "168.63.129.17",        .verdict = POLICY_OK },
	{ .name = "class E allowed",          .peer = "240.0.0.1",            .verdict = POLICY_OK,       { "240.0.0.0/4" } },
	{ .name = "limited broadcast",        .peer = "255.255.255.255",      .verdict = POLICY_NEVER,    { "240.0.0.0/4", "255.255.255.255" } },
	{ .name = "::/0 opens no IPv4",       .peer = "10.1.2.3",             .verdict = POLICY_SPECIAL,  { "::/0" } },
	{ .name = "0.0.0.0/0 opens no IPv6",  .peer = "fd00::1",              .verdict = POLICY_SPECIAL,  { "0.0.0.0/0" } },
	{ .name = "::/0 denies no IPv4",      .peer = "8.8.8.8",              .verdict = POLICY_OK,       .deny = { "::/0" } },
	{ .name = "unique local",             .peer = "fd00:18::7",           .verdict = POLICY_SPECIAL },
	{ .name = "unique local allowed",     .peer = "fd00:18::7",           .verdict = POLICY_OK,       { "fd00:18::/32" } },
	{ .name = "length of 33 bits, in",    .peer = "2a00:0:7fff::1",       .verdict = POLICY_DENIED,   .deny = { "2a00::/33" } },
	{ .name = "length of 33 bits, out",   .peer = "2a00:0:8000::1",       .verdict = POLICY_OK,       .deny = { "2a00::/33" } },
	{ .name = "documentation",            .peer = "2001:db8::1",          .verdict = POLICY_SPECIAL },
	{ .name = "behind documentation",     .peer = "2001:db9::1",          .verdict = POLICY_OK },
	{ .name = "behind 2001::/23",         .peer = "2001:200::1",          .verdict = POLICY_OK },
	{ .name = "documentation 3fff",       .peer = "3fff:fff::1",          .verdict = POLICY_SPECIAL },
	{ .name = "behind 3fff::/20",         .peer = "3fff:1000::1",         .verdict = POLICY_OK },
	{ .name = "not global unicast",       .peer = "4000::1",              .verdict = POLICY_SPECIAL },
	{ .name = "IPv4-compatible",          .peer = "::8.8.8.8",            .verdict = POLICY_NEVER,    { "::/0" } },
	{ .name = "IPv4-translated",          .peer = "::ffff:0:808:808",     .verdict = POLICY_NEVER,    { "::/0" } },
	{ .name = "6to4 of a public one",     .peer = "2002:808:808::1",      .verdict = POLICY_NEVER,    { "::/0", "2002::/16" } },
	{ .name = "Teredo",                   .peer = "2001:0:808:808::1",    .verdict = POLICY_NEVER,    { "::/0", "2001::/32" } },
	{ .name = "NAT64, not allowed",       .peer = "64:ff9b::808:808",     .verdict = POLICY_SPECIAL },
	{ .name = "NAT64, public inside",     .peer = "64:ff9b::808:808",     .verdict = POLICY_OK,       { "64:ff9b::/96" } },
	{ .name = "NAT64, private inside",    .peer = "64:ff9b::a01:203",     .verdict = POLICY_DISGUISE, { "64:ff9b::/96" } },
	{ .name = "NAT64, non-global never",  .peer = "64:ff9b::a01:203",     .verdict = POLICY_DISGUISE, { "64:ff9b::/96", "10.0.0.0/8" } },
	{ .name = "NAT64, denied inside",     .peer = "64:ff9b::808:808",     .verdict = POLICY_DISGUISE, { "64:ff9b::/96" }, { "8.8.8.0/24" } },
	{ .name = "NAT64, loopback inside",   .peer = "64:ff9b::7f00:1",      .verdict = POLICY_DISGUISE, { "64:ff9b::/96" }, .loopback = true },
	{ .name = "local NAT64, /48 entry",   .peer = "64:ff9b:1:808:8:800::", .verdict = POLICY_OK,      { "64:ff9b:1::/48" } },
	{ .name = "local NAT64, /48 private", .peer = "64:ff9b:1:a01:2:300::", .verdict = POLICY_DISGUISE, { "64:ff9b:1::/48" } },
	{ .name = "local NAT64, /96 entry",   .peer = "64:ff9b:1::808:808",   .verdict = POLICY_OK,       { "64:ff9b:1::/96" } },
	{ .name = "local NAT64, /96 private", .peer = "64:ff9b:1::a01:203",   .verdict = POLICY_DISGUISE, { "64:ff9b:1::/96" } },
	{ .name = "local NAT64, odd entry",   .peer = "64:ff9b:1:808:8:800::", .verdict = POLICY_DISGUISE, { "64:ff9b:1::/50" } },
	{ .name = "local NAT64, /40 entry",   .peer = "64:ff9b:1:808:8:800::", .verdict = POLICY_DISGUISE, { "64:ff9b::/40" } },
	{ .name = "local NAT64, wide entry",  .peer = "64:ff9b:1:808:8:800::", .verdict = POLICY_DISGUISE, { "::/0" } },
	{ .name = "local NAT64, named",       .peer = "64:ff9b:1:ab::808:808", .verdict = POLICY_OK,      { "::/0" }, .nat64 = "64:ff9b:1:ab::/96" },
	{ .name = "local NAT64, octet 8",     .peer = "64:ff9b:1:808:108:800::", .verdict = POLICY_DISGUISE, { "64:ff9b:1::/48" } },
	{ .name = "own NAT64 /32",            .peer = "2a00:64:a01:203::",    .verdict = POLICY_DISGUISE, .nat64 = "2a00:64::/32" },
	{ .name = "own NAT64 /32, public",    .peer = "2a00:64:808:808::",    .verdict = POLICY_OK,       .nat64 = "2a00:64::/32" },
	{ .name = "own NAT64 /40",            .peer = "2a00:64:a:102:3::",    .verdict = POLICY_DISGUISE, .nat64 = "2a00:64::/40" },
	{ .name = "own NAT64 /40, public",    .peer = "2a00:64:8:808:8::",    .verdict = POLICY_OK,       .nat64 = "2a00:64::/40" },
	{ .name = "own NAT64 /48",            .peer = "2a00:64:0:a01:2:300::", .verdict = POLICY_DISGUISE, .nat64 = "2a00:64::/48" },
	{ .name = "own NAT64 /56",            .peer = "2a00:64:0:a:1:203::",  .verdict = POLICY_DISGUISE, .nat64 = "2a00:64::/56" },
	{ .name = "own NAT64 /56, public",    .peer = "2a00:64:0:8:8:808::",  .verdict = POLICY_OK,       .nat64 = "2a00:64::/56" },
	{ .name = "own NAT64 /64",            .peer = "2a00:64:0:0:a:102:300:0", .verdict = POLICY_DISGUISE, .nat64 = "2a00:64::/64" },
	{ .name = "own NAT64 /64, public",    .peer = "2a00:64:0:0:8:808:800:0", .verdict = POLICY_OK,    .nat64 = "2a00:64::/64" },
	{ .name = "own NAT64 /96",            .peer = "2a00:64::a01:203",     .verdict = POLICY_DISGUISE, .nat64 = "2a00:64::/96" },
	{ .name = "own NAT64, allowed inside", .peer = "2a00:64::a01:203",    .verdict = POLICY_OK,       { "10.0.0.0/8" }, .nat64 = "2a00:64::/96" },
	{ .name = "own NAT64 in ULA",         .peer = "fd00:64::808:808",     .verdict = POLICY_SPECIAL,  .nat64 = "fd00:64::/96" },
	{ .name = "own NAT64 in ULA, open",   .peer = "fd00:64::808:808",     .verdict = POLICY_OK,       { "fd00:64::/96" }, .nat64 = "fd00:64::/96" },
	{ .name = "6rd /32",                  .peer = "2a00:6d:a01:203::1",   .verdict = POLICY_DISGUISE, .sixrd = "2a00:6d::/32" },
	{ .name = "6rd /32, public",          .peer = "2a00:6d:808:808::1",   .verdict = POLICY_OK,       .sixrd = "2a00:6d::/32" },
	{ .name = "6rd /30",                  .peer = "2a00:6c:2840:80c0::1", .verdict = POLICY_DISGUISE, .sixrd = "2a00:6c::/30" },
	{ .name = "ISATAP in public space",   .peer = "2a00::5efe:808:808",   .verdict = POLICY_DISGUISE },
	{ .name = "ISATAP, 0200",             .peer = "2a00::200:5efe:808:808", .verdict = POLICY_DISGUISE },
	{ .name = "ISATAP allowed",           .peer = "2a00::5efe:808:808",   .verdict = POLICY_OK,       { "2a00::/64" } },
	{ .name = "ISATAP allowed, private",  .peer = "2a00::5efe:a01:203",   .verdict = POLICY_DISGUISE, { "2a00::/64" } },
	{ .name = "ISATAP link-local",        .peer = "fe80::5efe:a01:203",   .verdict = POLICY_DISGUISE, { "fe80::/10" } },
	{ .name = "not ISATAP",               .peer = "2a00::100:5efe:a01:203", .verdict = POLICY_OK },
	{ .name = "own directed broadcast",   .peer = "198.18.0.255",         .verdict = POLICY_NEVER,    { "198.18.0.0/15" }, .link = "198.18.0.1/24" },
	{ .name = "own neighbour",            .peer = "198.18.0.254",         .verdict = POLICY_OK,       { "198.18.0.0/15" }, .link = "198.18.0.1/24" },
	{ .name = "another's broadcast",      .peer = "198.18.1.255",         .verdict = POLICY_OK,       { "198.18.0.0/15" }, .link = "198.18.0.1/24" },
	{ .name = "a /31 has no broadcast",   .peer = "198.18.0.1",           .verdict = POLICY_OK,       { "198.18.0.0/15" }, .link = "198.18.0.0/31" },
	{ .name = "loopback switched on",     .peer = "127.0.0.1",            .verdict = POLICY_OK,       .loopback = true },
	{ .name = "loopback on, denied",      .peer = "127.0.0.1",            .verdict = POLICY_DENIED,   .deny = { "127.0.0.0/8" }, .loopback = true },
	{ .name = "loopback by an entry",     .peer = "127.0.0.1",            .verdict = POLICY_NEVER,    { "127.0.0.1" } },
	{ .name = "loopback 6 switched on",   .peer = "::1",                  .verdict = POLICY_OK,       .loopback = true },
	{ .name = "::2 is not loopback",      .peer = "::2",                  .verdict = POLICY_NEVER,    { "::/0" }, .loopback = true },
	/* clang-format on */
};

static void test_cases(void)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct prefix allow[3], deny[2], nat64, sixrd, link;
		struct policy p = { .allow = allow,
			            .deny = deny,
			            .nat64 = &nat64,
			            .sixrd = &sixrd,
			            .links = &link,
			            .allow_loopback = cases[i].loopback };
		const struct addr peer = block(cases[i].peer).addr;

		while (p.n_allow < 3 && cases[i].allow[p.n_allow] != NULL) {
			allow[p.n_allow] = block(cases[i].allow[p.n_allow]);
			p.n_allow++;
		}
		while (p.n_deny < 2 && cases[i].deny[p.n_deny] != NULL) {
			deny[p.n_deny] = block(cases[i].deny[p.n_deny]);
			p.n_deny++;
		}
		if (cases[i].nat64 != NULL)
			nat64 = block(cases[i].nat64), p.n_nat64 = 1;
		if (cases[i].sixrd != NULL)
			sixrd = block(cases[i].sixrd), p.n_sixrd = 1;
		if (cases[i].link != NULL)
			link = block(cases[i].link), p.n_links = 1;
		CHECK(policy_check(&p, &peer) == cases[i].verdict, cases[i].name);
	}
}

/* TURN-220: every denied IPv4 block in every disguise, with every prefix opened. */
static void test_every_disguise(void)
{
	static const struct {
		const char *prefix;
		uint8_t at;
	} forms[] = {
		{ "::", 12 },
		{ "::ffff:0:0:0", 12 },
		{ "64:ff9b::", 12 },
		{ "64:ff9b:1::", 12 },
		{ "2002::", 2 },
		{ "2001::", 4 },
		{ "2a00:1::5efe:0:0", 12 },
		{ "2a00:1::200:5efe:0:0", 12 },
		{ "2a00:64::", 12 },
		{ "2a00:6d::", 4 },
	};
	const struct prefix allow[] = { block("::/0"), block("64:ff9b:1::/96") };
	const struct prefix nat64 = block("2a00:64::/96"), sixrd = block("2a00:6d::/32");
	const struct policy p = { .allow = allow,
		                  .n_allow = 2,
		                  .nat64 = &nat64,
		                  .n_nat64 = 1,
		                  .sixrd = &sixrd,
		                  .n_sixrd = 1 };

	for (size_t f = 0; f < COUNT(forms); f++) {
		struct addr a = block(forms[f].prefix).addr;
		const uint8_t public[4] = { 8, 8, 8, 8 };

		for (size_t i = 0; i < COUNT(special) + COUNT(never); i++) {
			const char *text =
				i < COUNT(special) ? special[i] : never[i - COUNT(special)];

			if (!is_v4_text(text))
				continue;
			const struct prefix inside = block(text);
			memcpy(a.ip + forms[f].at, inside.addr.ip + 12, 4);
			const enum policy_verdict v = policy_check(&p, &a);
			CHECK(v == POLICY_DISGUISE || v == POLICY_NEVER, forms[f].prefix);
		}
		memcpy(a.ip + forms[f].at, public, 4);
		const bool judged = f == 2 || f == 3 || f >= 6;
		CHECK((policy_check(&p, &a) == POLICY_OK) == judged, forms[f].prefix);
	}
}

/* TURN-064. */
static void test_tunnel_clients(void)
{
	const struct addr yes[] = { block("2001::1").addr, block("2002:c612:1::1").addr };
	const struct addr no[] = { block("2001:1::1").addr, block("2003::1").addr,
		                   block("32.1.0.0").addr };

	for (size_t i = 0; i < COUNT(yes); i++)
		CHECK(policy_client_is_tunnel(&yes[i]), "tunnel");
	for (size_t i = 0; i < COUNT(no); i++)
		CHECK(!policy_client_is_tunnel(&no[i]), "no tunnel");
	CHECK(strcmp(policy_verdict_name(POLICY_DISGUISE), "disguise") == 0, "name");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "TURN-217 table", test_cases },
		{ "TURN-218 every block", test_every_block },
		{ "TURN-219 not liftable", test_never },
		{ "TURN-220 every disguise", test_every_disguise },
		{ "TURN-222 slow model", test_against_slow_model },
		{ "TURN-064 tunnel clients", test_tunnel_clients },
		CU_TEST_INFO_NULL,
	};
	return run_suite("include/policy", tests);
}
