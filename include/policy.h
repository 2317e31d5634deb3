/*
 * Whom the relay will talk to: the one function that judges a peer address.
 *
 * Source     RFC 8656 §21.4, RFC 6890, RFC 8190; requirements TURN-217 to TURN-223. Special blocks
 *            are denied unless an allow entry opens them; among allow and deny entries the longest
 *            prefix wins, deny on a tie. Some blocks no entry opens (TURN-219).
 * Threads    A policy is immutable after policy_init(); any thread may ask.
 * Ownership  The prefix arrays are borrowed and must outlive the policy.
 * Limits     struct addr cannot tell ::ffff:a.b.c.d from a.b.c.d: whoever reads an address of
 * family IPv6 from the wire refuses the mapped form there (TURN-219, TURN-220).
 */
#pragma once

#include "addr.h"

struct policy {
	const struct prefix *allow, *deny;
	unsigned n_allow, n_deny;
	bool allow_loopback; /* 127.0.0.0/8 and ::1; dangerous, off by default */
	/* The network's own translators: what is in them is judged by the IPv4 inside (TURN-221).
	 */
	const struct prefix *nat64, *sixrd;
	unsigned n_nat64, n_sixrd;
	const struct prefix *links; /* own networks: their directed broadcasts are no peers */
	unsigned n_links;
};

enum policy_verdict {
	POLICY_OK = 0,
	POLICY_SPECIAL,  /* a special-purpose block that no allow entry opens */
	POLICY_DENIED,   /* a configured deny entry */
	POLICY_NEVER,    /* unspecified, multicast, broadcast, mapped, tunnels: not liftable */
	POLICY_DISGUISE, /* an IPv6 address whose embedded IPv4 address is refused */
};

/*
 * Own addresses are not judged here: the caller refuses them first (TURN-215), except its relayed
 * addresses, which are always allowed (TURN-214).
 */
enum policy_verdict policy_check(const struct policy *p, const struct addr *peer);

/* A word for logs and counters: "special", "denied", "never", "disguise", "ok". */
const char *policy_verdict_name(enum policy_verdict v);

/* A client in Teredo or 6to4 space is refused (TURN-064). */
bool policy_client_is_tunnel(const struct addr *client);
