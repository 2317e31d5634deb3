/* One address form: compare, print, parse. */
#include <arpa/inet.h>
#include <stdio.h>

#include "addr.h"

static bool prefix_is4(const struct prefix *p)
{
	return p->len >= 96 && addr_is4(&p->addr);
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	const unsigned octets = p->len / 8, bits = p->len % 8;

	/* ::/0 is all of IPv6; that the mapped form of IPv4 lies inside it is an accident. */
	if (prefix_is4(p) != addr_is4(a))
		return false;
	if (memcmp(p->addr.ip, a->ip, octets) != 0)
		return false;
	return bits == 0 || ((p->addr.ip[octets] ^ a->ip[octets]) & (0xFF00u >> bits) & 0xFF) == 0;
}

static bool addr_parse_n(const char *text, size_t len, struct addr *out)
{
	char copy[INET6_ADDRSTRLEN];
	struct addr a = { 0 };

	if (len == 0 || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (memchr(copy, ':', len) == NULL) {
		uint8_t ip4[4];

		if (inet_pton(AF_INET, copy, ip4) != 1)
			return false;
		*out = addr_from4(ip4);
		return true;
	}
	if (inet_pton(AF_INET6, copy, a.ip) != 1 || addr_is4(&a))
		return false;
	*out = a;
	return true;
}

bool addr_parse(const char *text, struct addr *out)
{
	return addr_parse_n(text, strlen(text), out);
}

/* Digits only, no leading zero, at most `max`; the whole text. */
static bool number_parse(const char *text, unsigned max, unsigned *out)
{
	unsigned n = 0;

	if (*text == '\0' || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
		if (n > max)
			return false;
	}
	*out = n;
	return true;
}

bool endpoint_parse(const char *text, struct endpoint *out)
{
	const char *end, *colon;
	struct endpoint e;
	unsigned port;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || end[1] != ':')
			return false;
		colon = end + 1;
		text++;
	} else {
		end = colon = strchr(text, ':');
		if (colon == NULL)
			return false;
	}
	/* Brackets go with IPv6 and with nothing else. */
	if (!addr_parse_n(text, (size_t)(end - text), &e.addr) ||
	    addr_is4(&e.addr) != (end == colon) || !number_parse(colon + 1, 65535, &port) ||
	    port == 0)
		return false;
	e.port = (uint16_t)port;
	*out = e;
	return true;
}

bool cidr_parse(const char *text, struct prefix *out)
{
	const char *slash = strchr(text, '/');
	struct prefix p;
	unsigned len;

	if (!addr_parse_n(text, slash != NULL ? (size_t)(slash - text) : strlen(text), &p.addr))
		return false;
	const unsigned bits = addr_is4(&p.addr) ? 32 : 128;
	if (slash == NULL)
		len = bits;
	else if (!number_parse(slash + 1, bits, &len))
		return false;
	p.len = (uint8_t)(128 - bits + len);
	*out = p;
	return true;
}

bool prefix_parse(const char *text, struct prefix *out)
{
	struct prefix p;

	if (!cidr_parse(text, &p))
		return false;
	for (unsigned bit = p.len; bit < 128; bit++)
		if (p.addr.ip[bit / 8] & (0x80u >> bit % 8))
			return false;
	*out = p;
	return true;
}

char *addr_print(const struct addr *a, char text[ADDR_TEXT_MAX])
{
	if (addr_is4(a))
		inet_ntop(AF_INET, a->ip + 12, text, ADDR_TEXT_MAX);
	else
		inet_ntop(AF_INET6, a->ip, text, ADDR_TEXT_MAX);
	return text;
}

char *endpoint_print(const struct endpoint *e, char text[ENDPOINT_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX];

	addr_print(&e->addr, addr);
	snprintf(text, ENDPOINT_TEXT_MAX, addr_is4(&e->addr) ? "%s:%u" : "[%s]:%u", addr, e->port);
	return text;
}

char *prefix_print(const struct prefix *p, char text[PREFIX_TEXT_MAX])
{
	char addr[ADDR_TEXT_MAX];

	addr_print(&p->addr, addr);
	snprintf(text, PREFIX_TEXT_MAX, "%s/%u", addr, p->len - (prefix_is4(p) ? 96u : 0u));
	return text;
}
