/*
 * Properties of a frame's way through worker and service turn: each has exactly one outcome, no
 * packet buffer is lost, and what leaves has right lengths and comes from our own addresses.
 *
 * Input: frames, each {length 2 octets, octets}. Destination MAC, IPv4 header checksum and UDP
 * checksum are made right where the first octet of the frame says so, or nothing would come far;
 * so are integrity and fingerprint of a check (4), for legs of ICE sessions.
 */
#include "tests/fuzz/must.h"
#include "tests/unit/dataplane/leg_bed.h"
#include "wire/checksum.h"
#include "wire/crc.h"
#include "wire/integrity.h"
#include "wire/stun.h"

/* All to all: two with peers on the wire, one with a client of ours, one over IPv6. */
static void legs(void)
{
	for (unsigned i = 0; i < LEGS; i++) {
		struct leg_wanted w = leg_make(i, true, LEGS, (unsigned[]){ A, B, C, SIX });

		w.c.port = (uint16_t)(50020 + i);
		w.c.deadline_s = bed.worker[0].now_s + 86400;
		for (unsigned k = 0; k < LEGS; k++)
			w.to[k].port = (uint16_t)(50020 + k);
		if (i == C) {
			const struct endpoint e = bed_ep("198.18.0.1:50000");

			memcpy(w.c.peer_ip, e.addr.ip, 16);
			w.c.peer_port = e.port;
		}
		leg_set_ok(&w);
	}
	const struct cmd_flow p = bed_permission("198.18.0.9:40000", "198.18.0.1:50022");
	struct cmd_flow c = bed_channel("198.18.0.9:40000", 0x4005, "198.18.0.1:50022");

	bed_set(&p);
	bed_set(&c);
}

static void begin(void)
{
	static const char *const client[2] = { "198.18.0.9:40000", "[fd00:18::9]:40000" };
	static const char *const peer[2] = { "198.18.1.5:5000", "[fd00:18::1:5]:5000" };

	bed_start(NULL);
	for (unsigned c = 0; c < 2; c++)
		for (unsigned p = 0; p < 2; p++) {
			const struct cmd_flow a = bed_allocation(client[c], (uint16_t)p,
			                                         (uint16_t)(50000 + 2 * c + p));
			const struct cmd_flow perm = bed_permission(client[c], peer[p]);
			const struct cmd_flow ch =
				bed_channel(client[c], (uint16_t)(0x4000 + p), peer[p]);

			bed_set(&a);
			bed_set(&perm);
			bed_set(&ch);
		}
	legs();
}

/* The last octets of a STUN message become right MESSAGE-INTEGRITY and FINGERPRINT. */
static void sign(uint8_t *msg, uint32_t len)
{
	enum { INTEGRITY = 24, FINGERPRINT = 8 };
	const struct crypto_hmac_sha1 key = leg_key_for(LEG_PWD);

	if (len < STUN_HDR_LEN + INTEGRITY + FINGERPRINT || len > 1400 || len % 4 || msg[0] > 3)
		return;
	uint8_t *const mi = msg + len - FINGERPRINT - INTEGRITY, *const fp = mi + INTEGRITY;

	be16_store(msg + 2, (uint16_t)(len - STUN_HDR_LEN - FINGERPRINT));
	be16_store(mi, STUN_MESSAGE_INTEGRITY);
	be16_store(mi + 2, INTEGRITY - 4);
	crypto_hmac_sha1(&key, &(struct crypto_piece){ msg, (size_t)(mi - msg) }, 1, mi + 4);
	be16_store(msg + 2, (uint16_t)(len - STUN_HDR_LEN));
	be16_store(fp, STUN_FINGERPRINT);
	be16_store(fp + 2, 4);
	be32_store(fp + 4, crc32_ieee(msg, (size_t)(fp - msg)) ^ STUN_FINGERPRINT_XOR);
}

static void repair(uint8_t *f, uint32_t len)
{
	const uint8_t how = f[0];

	if (len < 14 + 40 + 8)
		return;
	memcpy(f, "\2\0\0\0\0\1", 6);
	if (!(how & 1))
		return;
	uint8_t *ip = f + 14;

	if (ip[0] >> 4 == 4) {
		const uint32_t head = (ip[0] & 15u) * 4;

		if (head < 20 || head > 60 || 14 + head > len)
			return;
		csum_store(ip + 10, 0);
		csum_store(ip + 10, csum_finish(csum_add(0, ip, head)));
	}
	if (how & 2 && (ip[0] == 0x45 || ip[0] >> 4 == 6)) {
		uint8_t *udp = ip + (ip[0] == 0x45 ? 20 : 40);

		if (be16_load(udp + 4) < 8 || udp + be16_load(udp + 4) > f + len)
			return;
		if (how & 4)
			sign(udp + 8, be16_load(udp + 4) - 8u);
		bed_fix(f);
	}
}

static uint64_t outcomes(void)
{
	uint64_t sum = 0;
#define ADD(id, name, help) sum += bed_count(STAT_##id);
	STATS_OUTCOME(ADD)
	STATS_DROP(ADD)
#undef ADD
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	static uint8_t f[4096];

	if (!started)
		begin();
	started = true;
	while (size >= 2) {
		struct rte_mbuf *m, *out[BED_REPLIES];
		uint32_t len = (uint32_t)data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		len = RTE_MIN(RTE_MIN(len, (uint32_t)size), (uint32_t)sizeof(f));
		memcpy(f, data, len);
		data += len;
		size -= len;
		if (len)
			repair(f, len);
		m = bed_mbuf(f, len);
		bed_zero();
		worker_burst(&bed.worker[0], &bed.port, &m, 1);
		bed_turn();
		/* A datagram that became whole is one more; so is what a neighbour cost. */
		const uint64_t more =
			bed_count(STAT_REASSEMBLED) + bed_count(STAT_NEIGHBOUR_UNRESOLVED) +
			bed_count(STAT_REASSEMBLY_BAD) + bed_count(STAT_REASSEMBLY_FULL) +
			(bed_count(STAT_FRAGMENT_HELD)
		                 ? bed_count(STAT_IP_MALFORMED) + bed_count(STAT_SOURCE_ROUTE)
		                 : 0);

		MUST(outcomes() >= 1 && outcomes() <= 1 + more);
		const unsigned n = bed_sent(out);

		for (unsigned i = 0; i < n; i++) {
			const uint8_t *ip = rte_pktmbuf_mtod(out[i], const uint8_t *) + 14;
			struct addr src;

			if (ip[0] >> 4 == 4) {
				MUST(be16_load(ip + 2) + 14u == out[i]->pkt_len);
				src = addr_from4(ip + 12);
			} else {
				MUST(be16_load(ip + 4) + 54u == out[i]->pkt_len);
				memcpy(src.ip, ip + 8, 16);
			}
			MUST(out[i]->pkt_len <= 1514 && local_find(bed.dp.local, &src) != NULL);
		}
		bed_free(out, n);
		alignas(8) static uint8_t body[RING_RECORD_MAX];
		uint16_t kind;

		while (bed_punt(&kind, body, sizeof(body)) >= 0)
			;
		bed_free(bed.kernel, bed.n_kernel);
		bed.n_kernel = 0;
	}
	MUST(bed_used() == 0);
	return 0;
}
