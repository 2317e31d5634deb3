/* Whole UDP frames in plain memory. */
#include "pkt-gen/packet.h"

enum { ETHERTYPE4 = 0x0800, ETHERTYPE6 = 0x86DD, PROTOCOL_UDP = 17, HOPS = 64 };

/* Headers with a right IPv4 checksum and no UDP checksum; where UDP begins. */
static uint8_t *put_heads(uint8_t *out, const uint8_t macs[12], const struct endpoint *from,
                          const struct endpoint *to, size_t len)
{
	uint8_t *ip = out + PACKET_ETH, *udp;
	const uint16_t udp_len = (uint16_t)(8 + len);

	memcpy(out, macs, 12);
	if (addr_is4(&to->addr)) {
		udp = ip + 20;
		be16_store(out + 12, ETHERTYPE4);
		memset(ip, 0, 20);
		ip[0] = 0x45;
		be16_store(ip + 2, (uint16_t)(20 + udp_len));
		ip[8] = HOPS;
		ip[9] = PROTOCOL_UDP;
		memcpy(ip + 12, from->addr.ip + 12, 4);
		memcpy(ip + 16, to->addr.ip + 12, 4);
		csum_store(ip + 10, csum_finish(csum_add(0, ip, 20)));
	} else {
		udp = ip + 40;
		be16_store(out + 12, ETHERTYPE6);
		memset(ip, 0, 8);
		ip[0] = 0x60;
		be16_store(ip + 4, udp_len);
		ip[6] = PROTOCOL_UDP;
		ip[7] = HOPS;
		memcpy(ip + 8, from->addr.ip, 16);
		memcpy(ip + 24, to->addr.ip, 16);
	}
	be16_store(udp, from->port);
	be16_store(udp + 2, to->port);
	be16_store(udp + 4, udp_len);
	be16_store(udp + 6, 0);
	return udp;
}

size_t packet_make(uint8_t *out, size_t cap, const uint8_t macs[12], const struct endpoint *from,
                   const struct endpoint *to, const void *octets, size_t len)
{
	const size_t whole = packet_len(to, len);
	const bool is4 = addr_is4(&to->addr);
	uint8_t *udp;

	if (whole > cap || len > 65000)
		return 0;
	udp = put_heads(out, macs, from, to, len);
	if (len > 0)
		memcpy(udp + 8, octets, len);
	csum_store(udp + 6, csum_udp(from->addr.ip + (is4 ? 12 : 0), to->addr.ip + (is4 ? 12 : 0),
	                             is4 ? 4 : 16, udp, (uint16_t)(8 + len)));
	return whole;
}

bool packet_read(const uint8_t *frame, size_t len, struct packet *out)
{
	const uint8_t *ip = frame + PACKET_ETH, *udp;
	uint16_t udp_len;

	if (len < PACKET_HEAD4)
		return false;
	if (be16_load(frame + 12) == ETHERTYPE4) {
		const unsigned whole = be16_load(ip + 2);

		if (ip[0] != 0x45 || ip[9] != PROTOCOL_UDP || (be16_load(ip + 6) & 0x3FFF) != 0 ||
		    whole > len - PACKET_ETH || whole < 28)
			return false;
		out->from.addr = addr_from4(ip + 12);
		out->to.addr = addr_from4(ip + 16);
		udp = ip + 20;
		len = whole - 20;
	} else if (be16_load(frame + 12) == ETHERTYPE6 && len >= PACKET_HEAD6) {
		const unsigned payload = be16_load(ip + 4);

		if (ip[0] >> 4 != 6 || ip[6] != PROTOCOL_UDP || payload > len - PACKET_ETH - 40 ||
		    payload < 8)
			return false;
		memcpy(out->from.addr.ip, ip + 8, 16);
		memcpy(out->to.addr.ip, ip + 24, 16);
		udp = ip + 40;
		len = payload;
	} else {
		return false;
	}
	udp_len = be16_load(udp + 4);
	if (udp_len < 8 || udp_len > len)
		return false;
	out->from.port = be16_load(udp);
	out->to.port = be16_load(udp + 2);
	out->octets = udp + 8;
	out->len = udp_len - 8u;
	return true;
}

void packet_template(struct packet_template *t, const uint8_t macs[12], const struct addr *to,
                     const void *octets, size_t len)
{
	const struct endpoint nobody = { .port = 0 }, target = { .addr = *to };
	const bool six = !addr_is4(to);
	uint8_t *udp = put_heads(t->octets, macs, &nobody, &target, len);

	if (len > 0)
		memcpy(udp + 8, octets, len);
	t->six = six;
	t->len = (uint16_t)packet_len(&target, len);
	if (!six)
		csum_store(t->octets + PACKET_ETH + 10, 0);
	t->ip_sum = csum_add(0, t->octets + PACKET_ETH, 20);
	t->udp_sum = csum_add(csum_pseudo_udp(to->ip, to->ip, 0, (uint16_t)(8 + len)),
	                      to->ip + (six ? 0 : 12), six ? 16 : 4);
	t->udp_sum = csum_add(t->udp_sum, udp, 8 + len);
}
