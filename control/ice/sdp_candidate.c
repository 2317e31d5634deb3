/* Candidate lines (RFC 8839 §5.1, RFC 6544 §4.5). */
#include "control/ice/sdp.h"
#include "control/ice/text.h"

const char *const ice_type_name[ICE_TYPES] = { "host", "srflx", "prflx", "relay" };

static bool type_of(struct text t, enum ice_type *out)
{
	for (unsigned i = 0; i < ICE_TYPES; i++)
		if (text_is(t, ice_type_name[i])) {
			*out = (enum ice_type)i;
			return true;
		}
	return false;
}

/* ICE-063: nobody answers there, or everybody does. */
static bool is_nowhere(const struct endpoint *e)
{
	static const uint8_t zero[16];
	const uint8_t *const ip = e->addr.ip;

	if (e->port == 0)
		return true;
	if (addr_is4(&e->addr))
		return ip[12] == 0 || (ip[12] >= 224 && ip[12] <= 239) ||
		       memcmp(ip + 12, "\377\377\377\377", 4) == 0;
	return ip[0] == 0xFF || memcmp(ip, zero, 16) == 0;
}

/* What stands behind the type, in pairs of name and value; what is not known is passed over. */
static void extensions(struct text rest, struct ice_candidate *c, struct text *tcptype)
{
	struct text name, value;
	uint64_t n;

	while (text_word(&rest, &name) && text_word(&rest, &value)) {
		if (text_is(name, "raddr"))
			text_addr(value, &c->related.addr);
		else if (text_is(name, "rport") && text_number(value, 5, 65535, &n))
			c->related.port = (uint16_t)n;
		else if (text_is(name, "tcptype"))
			*tcptype = value;
	}
}

static bool protocol_of(struct text transport, struct text tcptype, enum ice_protocol *out)
{
	if (text_is(transport, "udp"))
		*out = ICE_UDP;
	else if (text_is(transport, "tcp") && text_is(tcptype, "active"))
		*out = ICE_TCP_ACTIVE;
	else if (text_is(transport, "tcp") && text_is(tcptype, "passive"))
		*out = ICE_TCP_PASSIVE;
	else
		return false;
	return true;
}

static enum sdp_line skip(unsigned *why)
{
	(*why)++;
	return SDP_SKIPPED;
}

enum sdp_line sdp_candidate_parse(const char *line, size_t len, struct ice_candidate *out,
                                  struct sdp_skipped *skipped)
{
	struct text rest = { line, len }, word[8], tcptype = { "", 0 };
	struct ice_candidate c = { .component = 0 };
	uint64_t component, priority, port;

	text_cut(&rest, "a=");
	if (!text_cut(&rest, "candidate:"))
		return SDP_BAD;
	for (unsigned i = 0; i < 8; i++)
		if (!text_word(&rest, &word[i]))
			return skip(&skipped->syntax);
	if (!text_ice(word[0], 1, ICE_FOUNDATION_MAX, c.foundation) ||
	    !text_number(word[1], 3, 256, &component) || component == 0 ||
	    !text_number(word[3], 10, UINT32_MAX, &priority) ||
	    !text_number(word[5], 5, 65535, &port) || !text_is(word[6], "typ"))
		return skip(&skipped->syntax);
	extensions(rest, &c, &tcptype);
	if (!protocol_of(word[2], tcptype, &c.protocol))
		return skip(&skipped->transport);
	if (!type_of(word[7], &c.type))
		return skip(&skipped->type);
	if (!text_addr(word[4], &c.at.addr))
		return skip(memchr(word[4].at, ':', word[4].len) ? &skipped->address
		                                                 : &skipped->name);
	c.at.port = (uint16_t)port;
	if (is_nowhere(&c.at))
		return skip(&skipped->address);
	c.component = (uint16_t)component;
	c.priority = priority ? (uint32_t)priority : 1; /* ICE-042 */
	*out = c;
	return SDP_CANDIDATE;
}

bool sdp_candidate_print(const struct ice_candidate *c, bool hide, char *out, size_t cap)
{
	struct text_out o = { out, cap, 0 };
	char at[ADDR_TEXT_MAX], related[ADDR_TEXT_MAX];

	text_put(&o, "candidate:%s %u %s %u %s %u typ %s", c->foundation, c->component,
	         c->protocol == ICE_UDP ? "UDP" : "TCP", c->priority, addr_print(&c->at.addr, at),
	         c->at.port, ice_type_name[c->type]);
	if (c->type != ICE_HOST) {
		if (hide || c->related.port == 0)
			text_put(&o, " raddr %s rport 9", addr_is4(&c->at.addr) ? "0.0.0.0" : "::");
		else
			text_put(&o, " raddr %s rport %u", addr_print(&c->related.addr, related),
			         c->related.port);
	}
	if (c->protocol != ICE_UDP)
		text_put(&o, " tcptype %s", c->protocol == ICE_TCP_ACTIVE ? "active" : "passive");
	return text_end(&o) != 0;
}
