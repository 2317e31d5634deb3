/* Damaged packets: a sound payload of a kind, then damage to it or to the headers around it. */
#include "pkt-gen/mutant.h"
#include "pkt-gen/packet.h"
#include "wire/crc.h"
#include "wire/integrity.h"

enum {
	PAYLOAD_MAX = 512,
	ROOM = 640, /* of a payload with what damage adds */
	UDP = 17,
	FRAGMENT = 44,
};

static uint64_t draw(struct mutants *g)
{
	uint64_t z = g->random += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* 0..n-1 */
static unsigned below(struct mutants *g, unsigned n)
{
	return (unsigned)((draw(g) >> 32) * n >> 32);
}

static void fill(struct mutants *g, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		const uint64_t r = draw(g);

		memcpy(out + i, &r, len - i < 8 ? len - i : 8);
	}
}

/* --- sound payloads --- */

static void begin(struct mutants *g, struct stun_builder *b, uint8_t *out, unsigned method,
                  enum stun_class cls)
{
	uint8_t txid[STUN_TXID_LEN];

	fill(g, txid, sizeof(txid));
	stun_begin(b, out, PAYLOAD_MAX, stun_type(method, cls), txid);
}

/* Name, realm, nonce and a MAC that nobody made: sound to look at, wrong to verify. */
static void put_credentials(struct mutants *g, struct stun_builder *b, const char *user)
{
	char nonce[40];
	uint8_t *mac;
	size_t covered;

	for (unsigned i = 0; i < sizeof(nonce); i++)
		nonce[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/"[below(
			g, 64)];
	if (user != NULL && strlen(user) < 128)
		stun_put(b, STUN_USERNAME, user, (uint16_t)strlen(user));
	stun_put(b, STUN_REALM, "example.org", 11);
	stun_put(b, STUN_NONCE, nonce, sizeof(nonce));
	mac = stun_reserve_integrity(b, STUN_MESSAGE_INTEGRITY, &covered);
	if (mac != NULL)
		fill(g, mac, STUN_SHA1_LEN);
}

static void put_allocate(struct mutants *g, struct stun_builder *b)
{
	const uint8_t reserve = TURN_EVEN_PORT_RESERVE;
	uint8_t token[TURN_RESERVATION_TOKEN_LEN];

	stun_put_u8(b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP);
	stun_put_u32(b, TURN_LIFETIME, below(g, 7200));
	stun_put(b, TURN_DONT_FRAGMENT, NULL, 0);
	stun_put(b, TURN_EVEN_PORT, &reserve, 1);
	fill(g, token, sizeof(token));
	stun_put(b, TURN_RESERVATION_TOKEN, token, sizeof(token));
	stun_put_u8(b, TURN_REQUESTED_ADDRESS_FAMILY, (uint8_t)(1 + below(g, 2)));
	stun_put_u8(b, TURN_ADDITIONAL_ADDRESS_FAMILY, TURN_FAMILY_IPV6);
	stun_put(b, STUN_SOFTWARE, "mutant", 6);
}

/* A request or an indication, credentials left to the caller. */
static void put_message(struct mutants *g, struct stun_builder *b, enum mutant_kind kind,
                        const struct mutant_source *source)
{
	const uint16_t algorithms[2] = { STUN_ALGORITHM_MD5, STUN_ALGORITHM_SHA256 };
	uint8_t octets[64];

	switch (kind) {
	case MUTANT_allocate: put_allocate(g, b); break;
	case MUTANT_bare: stun_put_u8(b, TURN_REQUESTED_TRANSPORT, TURN_TRANSPORT_UDP); break;
	case MUTANT_refresh: stun_put_u32(b, TURN_LIFETIME, below(g, 2) * 600); break;
	case MUTANT_permission:
		for (unsigned i = 0; i < 3; i++)
			stun_put_xor_addr(b, TURN_XOR_PEER_ADDRESS, &source->peer);
		break;
	case MUTANT_channel_bind:
		stun_put_u32(b, TURN_CHANNEL_NUMBER, (uint32_t)source->channel << 16);
		stun_put_xor_addr(b, TURN_XOR_PEER_ADDRESS, &source->peer);
		break;
	case MUTANT_connect: stun_put_xor_addr(b, TURN_XOR_PEER_ADDRESS, &source->peer); break;
	case MUTANT_send:
	case MUTANT_data:
		fill(g, octets, sizeof(octets));
		stun_put_xor_addr(b, TURN_XOR_PEER_ADDRESS, &source->peer);
		stun_put(b, TURN_DATA_ATTR, octets, (uint16_t)below(g, sizeof(octets)));
		break;
	case MUTANT_success:
		stun_put_xor_addr(b, STUN_XOR_MAPPED_ADDRESS, &source->from);
		stun_put_xor_addr(b, TURN_XOR_RELAYED_ADDRESS, &source->peer);
		stun_put_algorithms(b, STUN_PASSWORD_ALGORITHMS, algorithms, 2);
		break;
	case MUTANT_error:
		stun_put_error(b, STUN_UNKNOWN_ATTRIBUTE, stun_reason(STUN_UNKNOWN_ATTRIBUTE));
		stun_put_addr(b, STUN_ALTERNATE_SERVER, &source->peer);
		break;
	default: break;
	}
}

static const struct {
	uint16_t method;
	uint8_t cls;
	bool signed_;
} messages[MUTANT_KIND_COUNT] = {
	[MUTANT_binding] = { STUN_BINDING, STUN_REQUEST, false },
	[MUTANT_allocate] = { TURN_ALLOCATE, STUN_REQUEST, true },
	[MUTANT_bare] = { TURN_ALLOCATE, STUN_REQUEST, false },
	[MUTANT_refresh] = { TURN_REFRESH, STUN_REQUEST, true },
	[MUTANT_permission] = { TURN_CREATE_PERMISSION, STUN_REQUEST, true },
	[MUTANT_channel_bind] = { TURN_CHANNEL_BIND, STUN_REQUEST, true },
	[MUTANT_connect] = { TURN_CONNECT, STUN_REQUEST, true },
	[MUTANT_send] = { TURN_SEND, STUN_INDICATION, false },
	[MUTANT_data] = { TURN_DATA, STUN_INDICATION, false },
	[MUTANT_success] = { TURN_ALLOCATE, STUN_SUCCESS, true },
	[MUTANT_error] = { TURN_ALLOCATE, STUN_ERROR, false },
};

static size_t put_channel(struct mutants *g, const struct mutant_source *source, uint8_t *out)
{
	const uint16_t len = (uint16_t)below(g, 200);

	channel_put(out, source->channel, len);
	fill(g, out + CHANNEL_HDR_LEN, len);
	return CHANNEL_HDR_LEN + (size_t)len;
}

/* The beginning of what a relay sent to a peer, as a router would quote it. */
static size_t put_icmp(struct mutants *g, const struct mutant_source *source, uint8_t *out)
{
	static const uint8_t macs[12];
	uint8_t frame[128], data[16];
	struct endpoint relayed = { .addr = g->server.addr,
		                    .port = (uint16_t)(49152 + below(g, 16384)) };
	const bool is4 = addr_is4(&g->server.addr);
	size_t n;

	fill(g, data, sizeof(data));
	n = packet_make(frame, sizeof(frame), macs, &relayed,
	                addr_is4(&source->peer.addr) == is4 ? &source->peer : &source->from, data,
	                sizeof(data)) -
	    PACKET_ETH;
	memset(out, 0, 8);
	out[0] = is4 ? 3 : 1;
	out[1] = (uint8_t)below(g, 6);
	memcpy(out + 8, frame + PACKET_ETH, n);
	return 8 + n;
}

static size_t put_payload(struct mutants *g, enum mutant_kind kind,
                          const struct mutant_source *source, uint8_t *out)
{
	static const uint8_t dtls[13] = { 22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64 };
	struct stun_builder b;

	switch (kind) {
	case MUTANT_channel: return put_channel(g, source, out);
	case MUTANT_dtls:
		memcpy(out, dtls, sizeof(dtls));
		fill(g, out + sizeof(dtls), 64);
		return sizeof(dtls) + 64;
	case MUTANT_media:
		fill(g, out, 172);
		out[0] = 0x80;
		return 172;
	case MUTANT_classic:
		memset(out, 0, 4);
		out[1] = STUN_BINDING;
		fill(g, out + 4, 16);
		return STUN_HDR_LEN;
	case MUTANT_icmp: return put_icmp(g, source, out);
	default: break;
	}
	begin(g, &b, out, messages[kind].method, (enum stun_class)messages[kind].cls);
	put_message(g, &b, kind, source);
	if (messages[kind].signed_)
		put_credentials(g, &b, source->user);
	if (below(g, 2) != 0 || kind == MUTANT_binding)
		stun_put_fingerprint(&b);
	return stun_finish(&b);
}

/* --- damage to the payload --- */

/* Where the n-th attribute begins, taken modulo their number; 0: there is none. */
static size_t attribute(const uint8_t *p, size_t len, unsigned n)
{
	struct stun_attr attr;
	struct stun_msg msg;
	size_t at[64];
	unsigned found = 0;

	if (!stun_open(p, len, &msg))
		return 0;
	for (struct stun_iter it = stun_attrs(&msg); found < 64 && stun_next(&it, &attr);)
		at[found++] = (size_t)(attr.value - STUN_ATTR_HDR_LEN - p);
	return found != 0 ? at[n % found] : 0;
}

/* A length field's new value: near the right one, at an edge, or anything. */
static uint16_t wrong(struct mutants *g, uint16_t right)
{
	static const uint16_t edges[] = { 0, 1, 3, 4, 0x7FFF, 0x8000, 0xFFFC, 0xFFFF };

	switch (below(g, 3)) {
	case 0: return (uint16_t)(right + below(g, 17) - 8);
	case 1: return edges[below(g, sizeof(edges) / sizeof(edges[0]))];
	default: return (uint16_t)draw(g);
	}
}

static size_t twice(struct mutants *g, uint8_t *p, size_t len)
{
	const size_t at = attribute(p, len, below(g, 64));
	const size_t n = at != 0 ? STUN_ATTR_HDR_LEN + pad4(be16_load(p + at + 2)) : 0;

	if (n == 0 || len + n > ROOM)
		return len;
	memmove(p + len, p + at, n);
	be16_store(p + 2, (uint16_t)(be16_load(p + 2) + n));
	return len + n;
}

static size_t damage_payload(struct mutants *g, enum mutant_damage how, uint8_t *p, size_t len)
{
	const size_t at = attribute(p, len, below(g, 64));
	size_t more;

	if (len == 0)
		return 0;
	switch (how) {
	case DAMAGE_bits:
		for (unsigned i = below(g, 8) + 1; i > 0; i--)
			p[below(g, (unsigned)len)] ^= (uint8_t)(1u << below(g, 8));
		return len;
	case DAMAGE_octet: p[below(g, (unsigned)len)] = (uint8_t)draw(g); return len;
	case DAMAGE_cut: return below(g, (unsigned)len);
	case DAMAGE_longer:
		more = 1 + below(g, 64);
		more = len + more > ROOM ? ROOM - len : more;
		fill(g, p + len, more);
		return len + more;
	case DAMAGE_message_length:
		if (len >= 4)
			be16_store(p + 2, wrong(g, be16_load(p + 2)));
		return len;
	case DAMAGE_attribute_length:
		if (at != 0)
			be16_store(p + at + 2, wrong(g, be16_load(p + at + 2)));
		return len;
	case DAMAGE_attribute_type:
		if (at != 0)
			be16_store(p + at, (uint16_t)(below(g, 2) != 0 ? below(g, 64) : draw(g)));
		return len;
	case DAMAGE_attribute_twice: return twice(g, p, len);
	case DAMAGE_cookie:
		if (len >= 8)
			fill(g, p + 4, 4);
		return len;
	case DAMAGE_first_octet: p[0] = (uint8_t)draw(g); return len;
	default: return len;
	}
}

/* --- damage to the headers --- */

struct frame {
	uint8_t *octets;
	size_t len;
	bool six;
	size_t l4; /* where UDP or ICMP begins */
};

static void sum_ip(struct frame *f)
{
	uint8_t *ip = f->octets + PACKET_ETH;

	if (f->six)
		return;
	csum_store(ip + 10, 0);
	csum_store(ip + 10, csum_finish(csum_add(0, ip, f->l4 - PACKET_ETH)));
}

static void set_ip_len(struct frame *f)
{
	uint8_t *ip = f->octets + PACKET_ETH;

	be16_store(ip + (f->six ? 4 : 2), (uint16_t)(f->len - PACKET_ETH - (f->six ? 40u : 0u)));
	sum_ip(f);
}

/* Makes room of n octets in front of UDP. */
static bool open_gap(struct frame *f, size_t n)
{
	if (f->len + n > MUTANT_MAX)
		return false;
	memmove(f->octets + f->l4 + n, f->octets + f->l4, f->len - f->l4);
	f->len += n;
	f->l4 += n;
	return true;
}

static void put_options(struct mutants *g, struct frame *f)
{
	static const uint8_t headers[] = { 0, 43, 60, 51, 135, 59, 254 };
	uint8_t *ip = f->octets + PACKET_ETH;
	const size_t n = f->six ? 8 : 4u * (1 + below(g, 10));
	uint8_t *gap = f->octets + f->l4;

	if (!f->six && (ip[0] & 15u) * 4u + n > 60)
		return;
	if (!open_gap(f, n))
		return;
	fill(g, gap, n);
	if (f->six) {
		gap[0] = ip[6];
		gap[1] = (uint8_t)(below(g, 4) != 0 ? 0 : draw(g));
		ip[6] = headers[below(g, sizeof(headers))];
	} else {
		if (below(g, 2) != 0)
			memset(gap, 1, n); /* no operation, the harmless one */
		ip[0] = (uint8_t)(ip[0] + n / 4);
	}
	set_ip_len(f);
}

static void make_fragment(struct mutants *g, struct frame *f)
{
	uint8_t *ip = f->octets + PACKET_ETH;
	/* First, last, middle; at the very end of what an offset can say; overlapping the header.
	 */
	static const uint16_t places[] = { 0x0001, 0x0000, 0x0008, 0x0009, 0xFFF8, 0xFFF9, 0x0010 };
	const uint16_t place =
		below(g, 3) != 0 ? places[below(g, 7)] : (uint16_t)(draw(g) & 0xFFF9);
	const size_t l4 = f->l4;

	if (f->six) {
		if (!open_gap(f, 8))
			return;
		uint8_t *h = f->octets + l4;

		h[0] = ip[6];
		h[1] = 0;
		be16_store(h + 2, place);
		be32_store(h + 4, below(g, 64));
		ip[6] = FRAGMENT;
	} else {
		be16_store(ip + 4, (uint16_t)below(g, 64));
		be16_store(ip + 6, (uint16_t)((place & 1) << 13 | place >> 3));
	}
	if (below(g, 2) != 0 && f->len > l4 + 16)
		f->len = l4 + 8u * (1 + below(g, 2)); /* tiny */
	set_ip_len(f);
}

static void turn_header(struct mutants *g, struct frame *f)
{
	uint8_t *ip = f->octets + PACKET_ETH;
	const unsigned at = below(g, f->six ? 8 : 12); /* the addresses begin there */

	ip[at] = (uint8_t)draw(g);
	if (below(g, 4) != 0)
		sum_ip(f);
}

static void damage_headers(struct mutants *g, enum mutant_damage how, struct frame *f)
{
	uint8_t *ip = f->octets + PACKET_ETH, *udp = f->octets + f->l4;
	const size_t room = f->len - f->l4;

	switch (how) {
	case DAMAGE_udp_length:
		if (room >= 8)
			be16_store(udp + 4, wrong(g, be16_load(udp + 4)));
		break;
	case DAMAGE_udp_checksum:
		if (room >= 8)
			be16_store(udp + 6, (uint16_t)(below(g, 2) != 0 ? 0 : draw(g)));
		break;
	case DAMAGE_udp_port:
		if (room >= 8)
			be16_store(udp + 2, (uint16_t)draw(g));
		break;
	case DAMAGE_ip_length:
		be16_store(ip + (f->six ? 4 : 2), wrong(g, be16_load(ip + (f->six ? 4 : 2))));
		sum_ip(f);
		break;
	case DAMAGE_ip_checksum:
		if (!f->six)
			be16_store(ip + 10, (uint16_t)draw(g));
		break;
	case DAMAGE_ip_header: turn_header(g, f); break;
	case DAMAGE_ip_options: put_options(g, f); break;
	case DAMAGE_fragment: make_fragment(g, f); break;
	case DAMAGE_frame_cut: f->len -= below(g, (unsigned)(f->len - f->l4) + 1); break;
	case DAMAGE_frame_longer: {
		size_t more = 1 + below(g, 64);

		more = f->len + more > MUTANT_MAX ? MUTANT_MAX - f->len : more;
		fill(g, f->octets + f->len, more);
		f->len += more;
		break;
	}
	default: break;
	}
}

/* UDP becomes ICMP: the payload is the whole message. */
static void become_icmp(struct frame *f)
{
	uint8_t *ip = f->octets + PACKET_ETH, *icmp = f->octets + f->l4;
	uint64_t sum = 0;

	memmove(icmp, icmp + 8, f->len - f->l4 - 8);
	f->len -= 8;
	ip[f->six ? 6 : 9] = f->six ? 58 : 1;
	set_ip_len(f);
	if (f->six) {
		sum = csum_pseudo_udp(ip + 8, ip + 24, 16, (uint16_t)(f->len - f->l4));
		sum = csum_add16(csum_sub16(sum, UDP), 58);
	}
	csum_store(icmp + 2, 0);
	csum_store(icmp + 2, csum_finish(csum_add(sum, icmp, f->len - f->l4)));
}

size_t mutant_next(struct mutants *g, const struct mutant_source *source, uint8_t out[MUTANT_MAX])
{
	const enum mutant_kind kind = (enum mutant_kind)below(g, MUTANT_KIND_COUNT);
	enum mutant_damage how[2] = { (enum mutant_damage)below(g, MUTANT_DAMAGE_COUNT),
		                      DAMAGE_nothing };
	uint8_t payload[ROOM];
	size_t len;

	if (below(g, 4) == 0)
		how[1] = (enum mutant_damage)below(g, MUTANT_DAMAGE_COUNT);
	len = put_payload(g, kind, source, payload);
	for (unsigned i = 0; i < 2; i++)
		len = damage_payload(g, how[i], payload, len);

	struct frame f = { .octets = out, .six = !addr_is4(&g->server.addr) };
	f.len = packet_make(out, MUTANT_MAX, g->macs, &source->from, &g->server, payload, len);
	f.l4 = f.six ? PACKET_HEAD6 - 8 : PACKET_HEAD4 - 8;
	if (kind == MUTANT_icmp && len >= 4)
		become_icmp(&f);
	for (unsigned i = 0; i < 2; i++) {
		damage_headers(g, how[i], &f);
		if (i == 0 || how[1] != DAMAGE_nothing)
			g->damage[how[i]]++;
	}
	g->kind[kind]++;
	return f.len;
}
