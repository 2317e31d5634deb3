/* Whom the relay will talk to. */
#include "policy.h"

#define IP4(a, b, c, d, bits)                                                           \
	{                                                                               \
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, a, b, c, d } }, 96 + bits \
	}
#define HI(w) ((w) >> 8)
#define LO(w) ((w)&0xFF)
/* The first four words of the address; the rest is zero. */
#define IP6(a, b, c, d, bits)                                                        \
	{                                                                            \
		{ { HI(a), LO(a), HI(b), LO(b), HI(c), LO(c), HI(d), LO(d) } }, bits \
	}

/*
 * The blocks of the special-purpose registries and what is no media peer beside them. Read from the
 * registries of 2024-10-22; they are checked again at each release.
 */
static const struct prefix special4[] = {
	IP4(10, 0, 0, 0, 8),       /* private, RFC 1918 */
	IP4(172, 16, 0, 0, 12),    /* private */
	IP4(192, 168, 0, 0, 16),   /* private */
	IP4(100, 64, 0, 0, 10),    /* shared, RFC 6598; holds a cloud's metadata service */
	IP4(169, 254, 0, 0, 16),   /* link-local; holds cloud metadata */
	IP4(192, 0, 0, 0, 24),     /* IETF protocol assignments */
	IP4(192, 0, 2, 0, 24),     /* documentation, RFC 5737 */
	IP4(198, 51, 100, 0, 24),  /* documentation */
	IP4(203, 0, 113, 0, 24),   /* documentation */
	IP4(192, 31, 196, 0, 24),  /* AS112 */
	IP4(192, 175, 48, 0, 24),  /* AS112 */
	IP4(192, 52, 193, 0, 24),  /* AMT */
	IP4(192, 88, 99, 0, 24),   /* former 6to4 relay anycast, RFC 7526 */
	IP4(198, 18, 0, 0, 15),    /* benchmarking, RFC 2544 */
	IP4(240, 0, 0, 0, 4),      /* reserved */
	IP4(168, 63, 129, 16, 32), /* a cloud's host service */
};
static const struct prefix special6[] = {
	IP6(0x2001, 0, 0, 0, 23),         /* IETF protocol assignments */
	IP6(0x2001, 0xDB8, 0, 0, 32),     /* documentation, RFC 3849 */
	IP6(0x3FFF, 0, 0, 0, 20),         /* documentation, RFC 9637 */
	IP6(0x2620, 0x4F, 0x8000, 0, 48), /* AS112 */
};
static const struct prefix global6 = IP6(0x2000, 0, 0, 0, 3); /* all else is special */

/* No entry opens these (TURN-219). */
static const struct prefix never4[] = {
	IP4(0, 0, 0, 0, 8),
	IP4(224, 0, 0, 0, 4),
	IP4(255, 255, 255, 255, 32),
};
static const struct prefix teredo = IP6(0x2001, 0, 0, 0, 32), sixto4 = IP6(0x2002, 0, 0, 0, 16);
static const struct prefix never6[] = {
	IP6(0, 0, 0, 0, 96), /* unspecified and IPv4-compatible; ::1 is asked about before */
	{ { { 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF } }, 96 }, /* IPv4-translated, RFC 2765 */
	IP6(0xFF00, 0, 0, 0, 8),
};

static const struct prefix loopback4 = IP4(127, 0, 0, 0, 8);
static const struct prefix loopback6 = { { { [15] = 1 } }, 128 };
static const struct prefix nat64_known = IP6(0x64, 0xFF9B, 0, 0, 96); /* RFC 6052 */
static const struct prefix nat64_local = IP6(0x64, 0xFF9B, 1, 0, 48); /* RFC 8215 */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The longest block that holds the address, or NULL. */
static const struct prefix *longest(const struct prefix *list, size_t n, const struct addr *a)
{
	const struct prefix *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (prefix_contains(&list[i], a) && (best == NULL || list[i].len > best->len))
			best = &list[i];
	return best;
}

/* Directed broadcast of a network of our own. A /31 and a /32 have none. */
static bool is_own_broadcast(const struct policy *p, const struct addr *a)
{
	for (unsigned i = 0; i < p->n_links; i++) {
		bool ones =
			addr_is4(a) && p->links[i].len < 127 && prefix_contains(&p->links[i], a);

		for (unsigned bit = p->links[i].len; ones && bit < 128; bit++)
			ones = a->ip[bit / 8] & (0x80u >> bit % 8);
		if (ones)
			return true;
	}
	return false;
}

/* What both families share. *opened is the allow entry that lets the address through, if any. */
static enum policy_verdict judge(const struct policy *p, const struct addr *a, bool special,
                                 const struct prefix **opened)
{
	const struct prefix *deny = longest(p->deny, p->n_deny, a);

	*opened = longest(p->allow, p->n_allow, a);
	if (deny != NULL && (*opened == NULL || deny->len >= (*opened)->len))
		return POLICY_DENIED;
	return special && *opened == NULL ? POLICY_SPECIAL : POLICY_OK;
}

static enum policy_verdict check4(const struct policy *p, const struct addr *a)
{
	const struct prefix *opened;

	if (longest(never4, COUNT(never4), a) != NULL || is_own_broadcast(p, a))
		return POLICY_NEVER;
	if (prefix_contains(&loopback4, a))
		return p->allow_loopback ? judge(p, a, false, &opened) : POLICY_NEVER;
	return judge(p, a, longest(special4, COUNT(special4), a) != NULL, &opened);
}

/* The IPv4 address inside, judged by itself. Behind a translator nobody's loopback is ours. */
static bool is_inside_good(const struct policy *p, const uint8_t ip4[4])
{
	struct policy abroad = *p;
	const struct addr a = addr_from4(ip4);

	abroad.allow_loopback = false;
	return check4(&abroad, &a) == POLICY_OK;
}

/* RFC 6052 §2.2: behind the prefix, octet 8 skipped; false if that octet is not zero. */
static bool nat64_inside(const struct addr *a, unsigned bits, uint8_t ip4[4])
{
	unsigned at = bits / 8;

	if (bits < 96 && a->ip[8] != 0)
		return false;
	for (unsigned i = 0; i < 4; i++, at++) {
		if (at == 8)
			at++;
		ip4[i] = a->ip[at];
	}
	return true;
}

static void sixrd_inside(const struct addr *a, unsigned bits, uint8_t ip4[4])
{
	memset(ip4, 0, 4);
	for (unsigned i = 0; i < 32; i++)
		if (a->ip[(bits + i) / 8] & (0x80u >> (bits + i) % 8))
			ip4[i / 8] |= (uint8_t)(0x80u >> i % 8);
}

/* RFC 5214 §6.1: an interface identifier of 0000:5EFE or 0200:5EFE and an IPv4 address. */
static bool is_isatap(const struct addr *a)
{
	return (a->ip[8] & 0xFD) == 0 && a->ip[9] == 0 && a->ip[10] == 0x5E && a->ip[11] == 0xFE;
}

static bool is_rfc6052_length(unsigned bits)
{
	return bits == 96 || (bits >= 32 && bits <= 64 && bits % 8 == 0);
}

/* TURN-220: every IPv4 address that may hide in this one is good too. */
static bool is_disguise_good(const struct policy *p, const struct addr *a,
                             const struct prefix *opened)
{
	const struct prefix *nat64 = longest(p->nat64, p->n_nat64, a);
	const struct prefix *sixrd = longest(p->sixrd, p->n_sixrd, a);
	uint8_t ip4[4];

	if (prefix_contains(&nat64_known, a)) {
		struct policy bare = { .links = p->links, .n_links = p->n_links };

		/* RFC 6052 §3.1: it never stands for an address that is not global. */
		if (!is_inside_good(&bare, a->ip + 12) || !is_inside_good(p, a->ip + 12))
			return false;
	}
	if (nat64 == NULL && prefix_contains(&nat64_local, a)) {
		if (opened == NULL || opened->len < nat64_local.len)
			return false; /* allowed, but nobody said where the IPv4 address stands */
		nat64 = opened;
	}
	if (nat64 != NULL && (!is_rfc6052_length(nat64->len) || !nat64_inside(a, nat64->len, ip4) ||
	                      !is_inside_good(p, ip4)))
		return false;
	if (sixrd != NULL) {
		sixrd_inside(a, sixrd->len, ip4);
		if (!is_inside_good(p, ip4))
			return false;
	}
	return !is_isatap(a) || (opened != NULL && is_inside_good(p, a->ip + 12));
}

static enum policy_verdict check6(const struct policy *p, const struct addr *a)
{
	const struct prefix *opened;

	if (prefix_contains(&loopback6, a))
		return p->allow_loopback ? judge(p, a, false, &opened) : POLICY_NEVER;
	if (longest(never6, COUNT(never6), a) != NULL || policy_client_is_tunnel(a))
		return POLICY_NEVER;
	const bool special =
		!prefix_contains(&global6, a) || longest(special6, COUNT(special6), a) != NULL;
	const enum policy_verdict v = judge(p, a, special, &opened);
	if (v != POLICY_OK)
		return v;
	return is_disguise_good(p, a, opened) ? POLICY_OK : POLICY_DISGUISE;
}

enum policy_verdict policy_check(const struct policy *p, const struct addr *peer)
{
	return addr_is4(peer) ? check4(p, peer) : check6(p, peer);
}

const char *policy_verdict_name(enum policy_verdict v)
{
	static const char *const names[] = {
		[POLICY_OK] = "ok",
		[POLICY_SPECIAL] = "special",
		[POLICY_DENIED] = "denied",
		[POLICY_NEVER] = "never",
		[POLICY_DISGUISE] = "disguise",
	};

	return names[v];
}

bool policy_client_is_tunnel(const struct addr *client)
{
	return prefix_contains(&teredo, client) || prefix_contains(&sixto4, client);
}
