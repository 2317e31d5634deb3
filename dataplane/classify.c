/* The decision table (DEMUX-001 to DEMUX-064), steps 1 to 21 as far as one frame shows them. */
#include "dataplane/classify.h"

#include "abi/stats.h"
#include "wire/attr.h"
#include "wire/checksum.h"
#include "wire/crc.h"

enum { ETH_LEN = 14, TAG_LEN = 4, IP4_LEN = 20, IP6_LEN = 40, UDP_LEN = 8 };
enum { ETHER_IP4 = 0x0800, ETHER_IP6 = 0x86DD, ETHER_VLAN = 0x8100, ETHER_QINQ = 0x88A8 };
enum { IP_ICMP = 1, IP_UDP = 17, IP_ICMP6 = 58 };
enum { EXTENSIONS_MAX = 8 };

#define COLD __attribute__((noinline, cold))

/* What the parts below hand on to each other. */
struct look {
	const struct local_table *local;
	const uint8_t *frame;
	unsigned serve;
	const struct local_slot *slot; /* of the destination */
	uint32_t ip_end;               /* where the IP packet ends, from the Ethernet header */
};

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

static inline void kernel(struct parsed *out)
{
	out->path = PATH_KERNEL;
}

static inline void drop(struct parsed *out, enum stat_id why)
{
	out->path = PATH_DROP;
	out->drop = (uint16_t)why;
}

unsigned classify_serve(const struct config *cfg)
{
	return (cfg->rfc5766_channels ? DEMUX_SERVE_RFC5766 : 0) |
	       (cfg->rfc3489 ? DEMUX_SERVE_RFC3489 : 0);
}

/* UDP to this address may be ours, by its port. */
static inline bool slot_serves(const struct local_slot *s)
{
	return s->relay != LOCAL_NONE || s->listener[0] != LOCAL_NONE;
}

/* A source that may be of ours or a broadcast address: which name its refusal has. */
static COLD bool own_source(const struct look *l, unsigned home, const struct addr *a,
                            struct parsed *out)
{
	const struct local_slot *s = local_probe(l->local, home, a);

	if (!s)
		return false;
	/* DEMUX-016: turned packets never come by wire; nor do those of our interfaces. */
	drop(out, s->broadcast ? STAT_BAD_SOURCE : STAT_LOOP);
	return true;
}

/* TURN-227: unspecified, loopback, multicast, broadcast, port 0. `key` holds the source. */
static inline bool bad_source(const struct look *l, struct parsed *out)
{
	const struct flow_key *k = &out->key;
	const uint64_t high = load64(k->ip), low = load64(k->ip + 8);
	bool bad = k->port == 0;

	if (out->family == 4)
		bad |= k->ip[12] == 0 || k->ip[12] == 127 || k->ip[12] >= 224;
	else
		bad |= k->ip[0] == 0xFF ||
		       (high == 0 && (be64_load(k->ip + 8) <= 1 || be32_load(k->ip + 8) == 0xFFFF));
	if (__builtin_expect(bad, 0)) {
		drop(out, STAT_BAD_SOURCE);
		return true;
	}
	const unsigned home = local_home(high, low);

	if (__builtin_expect(!local_may_hold(l->local, home), 1))
		return false;
	struct addr a;
	memcpy(a.ip, k->ip, 16);
	return own_source(l, home, &a, out);
}

/*
 * Step 19. All of the walk comes first: an attribute that overruns makes the message malformed
 * wherever it stands (STUN-015).
 */
static void send_indication(const struct look *l, const struct stun_msg *msg, struct parsed *out)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr a, peer = { .value = NULL }, data = { .value = NULL };
	bool unknown = false, fingerprint = false, sealed = false;

	out->dont_fragment = false;
	while (stun_next(&it, &a)) {
		const bool seals = stun_seals(a.type);

		if (sealed && !seals) /* STUN-017 */
			continue;
		sealed |= seals && a.type != STUN_FINGERPRINT;
		switch (a.type) {
		case TURN_XOR_PEER_ADDRESS:
			if (!peer.value)
				peer = a;
			break;
		case TURN_DATA_ATTR:
			if (!data.value)
				data = a;
			break;
		case TURN_DONT_FRAGMENT: out->dont_fragment = true; break;
		case STUN_FINGERPRINT: fingerprint = true; break;
		default:
			unknown |= stun_required(a.type) &&
			           (a.type > 63 || !(TURN_KNOWN >> a.type & 1));
		}
	}
	struct stun_marks marks;
	if (it.bad)
		return drop(out, STAT_STUN_MALFORMED);
	if (fingerprint && (!stun_scan(msg, &marks) ||
	                    stun_fingerprint_check(msg, &marks) == STUN_FINGERPRINT_WRONG))
		return drop(out, STAT_STUN_FINGERPRINT);
	if (unknown)
		return drop(out, STAT_STUN_UNKNOWN_ATTRIBUTE);
	const bool four = peer.value && peer.len == 8 && peer.value[1] == TURN_FAMILY_IPV4;
	const bool six = peer.value && peer.len == 20 && peer.value[1] == TURN_FAMILY_IPV6;

	if (!data.value || !(four || six) || be16_load(peer.value + 2) == STUN_COOKIE >> 16)
		return drop(out, STAT_SEND_MALFORMED); /* TURN-086; port 0: TURN-090 */
	out->path = PATH_SEND;
	out->peer_at = (uint32_t)(peer.value - l->frame);
	out->data_at = (uint32_t)(data.value - l->frame);
	out->data_len = data.len;
	out->key.channel = 0;
	out->key.kind = four ? FLOW_ALLOCATION4 : FLOW_ALLOCATION6;
}

/* Steps 17 to 21; what is left is answer.c's. */
static void stun(const struct look *l, const uint8_t *p, uint16_t n, struct parsed *out)
{
	struct stun_msg msg;
	struct stun_marks marks;

	if (!stun_open(p, n, &msg))
		return drop(out, STAT_STUN_MALFORMED);
	if (msg.type == stun_type(TURN_SEND, STUN_INDICATION))
		return send_indication(l, &msg, out);
	if (!stun_scan(&msg, &marks))
		return drop(out, STAT_STUN_MALFORMED);
	const enum stun_class cls = stun_class(msg.type);

	if (cls == STUN_SUCCESS || cls == STUN_ERROR)
		return drop(out, STAT_STUN_RESPONSE);
	if (!turn_serves(msg.type))
		return drop(out, STAT_STUN_METHOD);
	if (stun_fingerprint_check(&msg, &marks) == STUN_FINGERPRINT_WRONG)
		return drop(out, STAT_STUN_FINGERPRINT);
	out->path = PATH_ANSWER;
}

/* Steps 12 to 16: what is not ChannelData. */
static void listener(const struct look *l, const uint8_t *p, uint16_t n, struct parsed *out)
{
	static const uint16_t names[DEMUX_COUNT] = {
		[DEMUX_EMPTY] = STAT_DEMUX_EMPTY,
		[DEMUX_RESERVED] = STAT_DEMUX_RESERVED,
		[DEMUX_ZRTP] = STAT_DEMUX_ZRTP,
		[DEMUX_DTLS_OFF] = STAT_DEMUX_DTLS_OFF,
		[DEMUX_DTLS_MALFORMED] = STAT_DTLS_MALFORMED,
		[DEMUX_RTP] = STAT_DEMUX_RTP,
		[DEMUX_CD_MALFORMED] = STAT_CD_MALFORMED,
		[DEMUX_STUN_MALFORMED] = STAT_STUN_MALFORMED,
		[DEMUX_STUN_BAD_COOKIE] = STAT_STUN_BAD_COOKIE,
	};
	struct stun_msg msg;
	struct stun_marks marks;

	const enum demux what = demux_datagram(p, n, l->serve & ~(unsigned)DEMUX_SERVE_DTLS);

	switch (what) {
	case DEMUX_STUN: stun(l, p, n, out); break;
	case DEMUX_CLASSIC:
		if (!stun_open_classic(p, n, &msg) || !stun_scan(&msg, &marks))
			return drop(out, STAT_STUN_MALFORMED);
		out->path = PATH_ANSWER;
		break;
	case DEMUX_CHANNEL:
		out->path = PATH_CHANNEL;
		out->data_at = (uint32_t)(p + CHANNEL_HDR_LEN - l->frame);
		out->data_len = be16_load(p + 2);
		memcpy(&out->key.channel, p, 2);
		out->key.kind = FLOW_CHANNEL;
		break;
	default: drop(out, (enum stat_id)names[what]);
	}
}

/* Steps 9 to 12: an unfragmented UDP header at `at`, source address already in the key. */
static inline void udp(const struct look *l, uint32_t at, bool odd, struct parsed *out)
{
	const uint8_t *const h = l->frame + at;
	const uint32_t room = l->ip_end - at;
	const struct local_slot *const s = l->slot;

	if (room < UDP_LEN)
		return drop(out, STAT_UDP_MALFORMED);
	const uint16_t len = be16_load(h + 4), port = be16_load(h + 2);

	if (len < UDP_LEN || len > room)
		return drop(out, STAT_UDP_MALFORMED);
	if (out->family == 6 && csum_load(h + 6) == 0)
		return drop(out, STAT_UDP_ZERO_CHECKSUM6);
	out->udp_at = (uint16_t)at;
	out->payload = (uint16_t)(len - UDP_LEN);
	memcpy(&out->key.port, h, 2);
	const bool relayed = s->relay != LOCAL_NONE && port >= s->port_min && port <= s->port_max;
	const uint16_t id = relayed ? s->relay : local_listener_at(s, port);

	if (id == LOCAL_NONE) {
		if (s->whole) /* nobody else's port either (DEMUX-063) */
			return drop(out, STAT_RELAY_NO_ALLOCATION);
		return kernel(out);
	}
	out->local = id;
	if (bad_source(l, out))
		return;
	if (__builtin_expect(odd, 0)) {
		out->path = PATH_SLOW;
		return;
	}
	if (relayed) {
		out->path = PATH_PEER;
		out->data_at = at + UDP_LEN;
		out->data_len = out->payload;
		memcpy(&out->key.channel, h + 2, 2);
		return;
	}
	out->key.listener = id;
	listener(l, h + UDP_LEN, out->payload, out);
}

/*
 * Step 7: does the packet quoted at `at` come from a relayed address? One too short to tell the
 * port is the service turn's to refuse (DEMUX-035).
 */
static COLD void icmp(const struct look *l, uint32_t at, struct parsed *out)
{
	const uint8_t *const f = l->frame;
	const bool six = out->family == 6;
	const uint32_t quoted = at + 8, head = six ? IP6_LEN : IP4_LEN;

	if (l->ip_end < quoted + head)
		return kernel(out);
	const uint8_t type = f[at];
	const bool error = six ? type >= 1 && type <= 3 : type == 3 || type == 11;
	const uint8_t *const q = f + quoted;

	if (!error || q[0] >> 4 != out->family)
		return kernel(out);
	struct addr from = six ? (struct addr){ .ip = { 0 } } : addr_from4(q + 12);
	if (six)
		memcpy(from.ip, q + 8, 16);
	const struct local_slot *s = local_find(l->local, &from);

	/* We send no extension header but Fragment (TURN-138). */
	if (!s || s->relay == LOCAL_NONE)
		return kernel(out);
	uint32_t ports = quoted + (six ? IP6_LEN : (q[0] & 15u) * 4);
	uint8_t proto = six ? q[6] : q[9];

	if (six && proto == 44 && l->ip_end >= ports + 8) {
		proto = f[ports];
		ports += 8;
	}
	if (proto != IP_UDP)
		return kernel(out);
	out->path = PATH_ICMP;
	if (l->ip_end < ports + 2)
		return;
	const uint16_t port = be16_load(f + ports);
	if (port < s->port_min || port > s->port_max)
		kernel(out);
}

static inline void ip4(struct look *l, uint32_t len, struct parsed *out)
{
	const uint8_t *const ip = l->frame + ETH_LEN;

	out->family = 4;
	if (len < ETH_LEN + IP4_LEN)
		return drop(out, STAT_IP_MALFORMED);
	const uint32_t head = (ip[0] & 15u) * 4, total = be16_load(ip + 2);
	const uint16_t frag = be16_load(ip + 6) & 0x3FFF;

	if (ip[0] >> 4 != 4 || head < IP4_LEN || total > len - ETH_LEN ||
	    total < head + (frag & 0x1FFF ? 1 : 8))
		return drop(out, STAT_IP_MALFORMED);
	if (!csum_right(csum_add(0, ip, __builtin_expect(head == IP4_LEN, 1) ? IP4_LEN : head)))
		return drop(out, STAT_IP_MALFORMED);
	const struct addr to = addr_from4(ip + 16);
	const struct addr from = addr_from4(ip + 12);

	l->ip_end = ETH_LEN + total;
	l->slot = local_find(l->local, &to);
	if (!l->slot)
		return kernel(out);
	memcpy(out->key.ip, from.ip, 16);
	if (__builtin_expect(ip[9] != IP_UDP, 0)) {
		if (ip[9] == IP_ICMP && !frag && l->slot->relay != LOCAL_NONE)
			return icmp(l, ETH_LEN + head, out);
		return kernel(out);
	}
	if (__builtin_expect(frag, 0)) {
		out->path = slot_serves(l->slot) ? PATH_FRAGMENT : PATH_KERNEL;
		return;
	}
	udp(l, ETH_LEN + head, head != IP4_LEN, out);
}

/*
 * Extension headers, at most eight; `next` stands at ETH_LEN + IP6_LEN. Those of RFC 8200 and the
 * authentication header; what is behind an unknown one is not ours to know.
 */
static COLD void ip6_odd(struct look *l, uint8_t next, struct parsed *out)
{
	uint32_t at = ETH_LEN + IP6_LEN;

	for (unsigned i = 0; i < EXTENSIONS_MAX; i++) {
		const uint8_t *const h = l->frame + at;
		const uint32_t room = l->ip_end - at;

		if (next == IP_UDP)
			return udp(l, at, true, out);
		if (next == IP_ICMP6 && room >= 8 && l->slot->relay != LOCAL_NONE)
			return icmp(l, at, out);
		if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60)
			return kernel(out);
		if (room < 8)
			return drop(out, STAT_IP_MALFORMED);
		if (next == 44) {
			/* UDP, or what may still lead to UDP behind other headers. */
			const bool ours = h[0] == IP_UDP || h[0] == 0 || h[0] == 43 || h[0] == 60;

			out->path = ours && slot_serves(l->slot) ? PATH_FRAGMENT : PATH_KERNEL;
			return;
		}
		const uint32_t octets = next == 51 ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;
		if (octets > room)
			return drop(out, STAT_IP_MALFORMED);
		next = h[0];
		at += octets;
	}
	if (next == IP_UDP)
		return udp(l, at, true, out);
	/* More than we look past may hide UDP of ours, which the kernel would refuse. */
	if (slot_serves(l->slot) &&
	    (next == 0 || next == 43 || next == 44 || next == 51 || next == 60))
		return drop(out, STAT_IP_MALFORMED);
	kernel(out);
}

static inline void ip6(struct look *l, uint32_t len, struct parsed *out)
{
	const uint8_t *const ip = l->frame + ETH_LEN;

	out->family = 6;
	if (len < ETH_LEN + IP6_LEN || ip[0] >> 4 != 6 ||
	    be16_load(ip + 4) > len - ETH_LEN - IP6_LEN)
		return drop(out, STAT_IP_MALFORMED);
	struct addr to;

	memcpy(to.ip, ip + 24, 16);
	l->ip_end = ETH_LEN + IP6_LEN + be16_load(ip + 4);
	l->slot = local_find(l->local, &to);
	if (!l->slot || addr_is4(&to)) /* the mapped form is never on a wire */
		return kernel(out);
	memcpy(out->key.ip, ip + 8, 16);
	if (__builtin_expect(ip[6] != IP_UDP, 0))
		return ip6_odd(l, ip[6], out);
	udp(l, ETH_LEN + IP6_LEN, false, out);
}

/* Steps 1 to 3 of what is neither IPv4 nor IPv6 to our MAC: tags are looked at for their length. */
static COLD void foreign(const uint8_t *frame, uint32_t len, struct parsed *out)
{
	uint32_t need = ETH_LEN;

	for (unsigned tags = 0; len >= need && tags < 2; tags++) {
		const uint16_t type = be16_load(frame + need - 2);

		if (type != ETHER_VLAN && type != ETHER_QINQ)
			break;
		need += TAG_LEN;
	}
	if (len < need)
		return drop(out, STAT_FRAME_SHORT);
	kernel(out);
}

void classify(const struct local_table *local, const uint8_t *frame, uint32_t len,
              const uint8_t mac[6], unsigned serve, struct parsed *out)
{
	struct look l = { .local = local, .frame = frame, .serve = serve };

	if (__builtin_expect(len < ETH_LEN, 0) || memcmp(frame, mac, 6) != 0)
		return foreign(frame, len, out);
	switch (be16_load(frame + 12)) {
	case ETHER_IP4: return ip4(&l, len, out);
	case ETHER_IP6: return ip6(&l, len, out);
	default: return foreign(frame, len, out);
	}
}
