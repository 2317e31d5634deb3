/* A captured packet, down to its UDP datagram. */
#include <pcap/dlt.h>

#include "pkt-gen/capture.h"

enum {
	ETHERTYPE4 = 0x0800,
	ETHERTYPE6 = 0x86DD,
	HOP_OPTIONS = 0,
	UDP = 17,
	ROUTING = 43,
	FRAGMENT = 44,
	AUTHENTICATION = 51,
	DESTINATION = 60,
	TAGS_MAX = 4,
	EXTENSIONS_MAX = 8,
};

/* What is left of a packet: `n` octets that were captured of `whole`. */
struct rest {
	const uint8_t *p;
	size_t n, whole;
};

const char *capture_what(enum capture c)
{
	static const char *const whats[] = {
#define X(name, what) what,
		CAPTURE_OUTCOMES(X)
#undef X
	};

	return c < CAPTURE_COUNT ? whats[c] : "";
}

bool capture_knows(int link)
{
	switch (link) {
	case DLT_EN10MB:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_NULL:
	case DLT_LOOP: return true;
	default: return false;
	}
}

static bool skip(struct rest *r, size_t n)
{
	if (r->n < n)
		return false;
	r->p += n;
	r->n -= n;
	r->whole -= n;
	return true;
}

/* Behind it there shall be n octets: CAPTURE_UDP if there are, else why not. */
static enum capture needs(const struct rest *r, size_t n)
{
	return r->n >= n ? CAPTURE_UDP : r->whole >= n ? CAPTURE_CUT : CAPTURE_MALFORMED;
}

/* Down to IP. The ethertype, or 0. */
static unsigned open_link(int link, struct rest *r)
{
	unsigned type;

	switch (link) {
	case DLT_EN10MB:
		if (!skip(r, PACKET_ETH))
			return 0;
		type = be16_load(r->p - 2);
		break;
	case DLT_LINUX_SLL:
		if (!skip(r, 16))
			return 0;
		type = be16_load(r->p - 2);
		break;
	case DLT_LINUX_SLL2:
		if (!skip(r, 20))
			return 0;
		type = be16_load(r->p - 20);
		break;
	case DLT_NULL:
	case DLT_LOOP:
		if (!skip(r, 4))
			return 0;
		type = 0;
		break;
	default: type = 0; break;
	}
	for (unsigned i = 0; i < TAGS_MAX && (type == 0x8100 || type == 0x88A8 || type == 0x9100);
	     i++) {
		if (!skip(r, 4))
			return 0;
		type = be16_load(r->p - 2);
	}
	if (type != 0 || r->n == 0)
		return type;
	return r->p[0] >> 4 == 4 ? ETHERTYPE4 : r->p[0] >> 4 == 6 ? ETHERTYPE6 : 0;
}

/* What is behind the end of the IP packet is no part of it: Ethernet's padding. */
static enum capture trim(struct rest *r, size_t len)
{
	if (len > r->whole)
		return CAPTURE_MALFORMED;
	r->whole = len;
	r->n = r->n < len ? r->n : len;
	return CAPTURE_UDP;
}

static enum capture open4(struct rest *r, struct packet *out)
{
	enum capture c = needs(r, 20);

	if (c != CAPTURE_UDP)
		return c;
	const uint8_t *ip = r->p;
	const size_t head = (ip[0] & 15u) * 4u;
	const size_t len = be16_load(ip + 2);

	/* A length of zero is what a capture shows of a packet that the device was to cut up. */
	if (ip[0] >> 4 != 4 || head < 20 || (len != 0 && len < head))
		return CAPTURE_MALFORMED;
	if (len != 0 && (c = trim(r, len)) != CAPTURE_UDP)
		return c;
	if ((be16_load(ip + 6) & 0x3FFF) != 0)
		return CAPTURE_FRAGMENT;
	if (ip[9] != UDP)
		return CAPTURE_OTHER;
	c = needs(r, head);
	if (c != CAPTURE_UDP)
		return c;
	out->from.addr = addr_from4(ip + 12);
	out->to.addr = addr_from4(ip + 16);
	skip(r, head);
	return CAPTURE_UDP;
}

/* Past the extension headers that may stand before UDP. */
static enum capture skip_extensions(struct rest *r, unsigned next)
{
	for (unsigned i = 0; next != UDP; i++) {
		enum capture c = needs(r, 8);
		size_t len;

		if (i == EXTENSIONS_MAX)
			return CAPTURE_MALFORMED;
		if (next != HOP_OPTIONS && next != ROUTING && next != DESTINATION &&
		    next != AUTHENTICATION && next != FRAGMENT)
			return CAPTURE_OTHER;
		if (c != CAPTURE_UDP)
			return c;
		len = (r->p[1] + 1u) * 8u;
		if (next == AUTHENTICATION)
			len = (r->p[1] + 2u) * 4u;
		if (next == FRAGMENT) {
			if ((be16_load(r->p + 2) & 0xFFF9) != 0)
				return CAPTURE_FRAGMENT;
			len = 8;
		}
		next = r->p[0];
		c = needs(r, len);
		if (c != CAPTURE_UDP)
			return c;
		skip(r, len);
	}
	return CAPTURE_UDP;
}

static enum capture open6(struct rest *r, struct packet *out)
{
	enum capture c = needs(r, 40);

	if (c != CAPTURE_UDP)
		return c;
	const uint8_t *ip = r->p;
	const size_t len = be16_load(ip + 4);

	if (ip[0] >> 4 != 6)
		return CAPTURE_MALFORMED;
	skip(r, 40);
	if (len != 0 && (c = trim(r, len)) != CAPTURE_UDP)
		return c;
	memcpy(out->from.addr.ip, ip + 8, 16);
	memcpy(out->to.addr.ip, ip + 24, 16);
	return skip_extensions(r, ip[6]);
}

enum capture capture_datagram(int link, const uint8_t *p, size_t captured, size_t len,
                              struct packet *out)
{
	struct rest r = { .p = p, .n = captured, .whole = len < captured ? captured : len };
	struct packet found = { .len = 0 };
	enum capture c;

	switch (open_link(link, &r)) {
	case ETHERTYPE4: c = open4(&r, &found); break;
	case ETHERTYPE6: c = open6(&r, &found); break;
	default: return CAPTURE_OTHER;
	}
	if (c == CAPTURE_UDP)
		c = needs(&r, 8);
	if (c != CAPTURE_UDP)
		return c;

	const size_t udp_len = be16_load(r.p + 4);
	if (udp_len < 8)
		return CAPTURE_MALFORMED;
	c = needs(&r, udp_len);
	if (c != CAPTURE_UDP)
		return c;
	found.from.port = be16_load(r.p);
	found.to.port = be16_load(r.p + 2);
	found.octets = r.p + 8;
	found.len = udp_len - 8;
	*out = found;
	return CAPTURE_UDP;
}
