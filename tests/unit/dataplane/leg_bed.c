#include "tests/unit/dataplane/leg_bed.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "wire/check.h"
#include "wire/crc.h"
#include "wire/integrity.h"
#include "wire/stun_build.h"

const char *const leg_peer[LEGS] = { "198.18.1.5:5000", "198.18.1.6:5001", "198.18.1.7:5002",
	                             "[fd00:18::1:5]:5003" };
const char *const leg_at[LEGS] = { "198.18.0.1:50000", "198.18.0.1:50001", "198.18.0.1:50002",
	                           "[fd00:18::1]:50003" };
struct punt_row leg_final[32];
unsigned leg_n_final;

static uint8_t in[BED_FRAME];

static uint16_t relay_of(unsigned leg)
{
	return leg == SIX ? 1 : 0;
}

struct leg_wanted leg_make(unsigned i, bool connected, unsigned n_to, const unsigned *to)
{
	static uint64_t tag = UINT64_C(8) << 60;
	const struct endpoint e = bed_ep(leg_peer[i]);
	struct leg_wanted w = { .c = { .tag = ++tag,
		                       .relay = relay_of(i),
		                       .port = (uint16_t)(50000 + i),
		                       .flags = LEG_ANSWERS | LEG_LITE,
		                       .deadline_s = bed.worker[0].now_s + 30 } };
	struct crypto_hmac_sha1 key;

	if (connected) {
		memcpy(w.c.peer_ip, e.addr.ip, 16);
		w.c.peer_port = e.port;
	}
	w.c.n_to = (uint8_t)n_to;
	for (unsigned k = 0; k < n_to; k++)
		w.to[k] = (struct cmd_leg_to){ relay_of(to[k]), (uint16_t)(50000 + to[k]) };
	crypto_hmac_sha1_key(&key, LEG_PWD, strlen(LEG_PWD));
	memcpy(w.c.key[0].inner, key.inner, sizeof(key.inner));
	memcpy(w.c.key[0].outer, key.outer, sizeof(key.outer));
	w.c.key[0].ufrag_len = (uint32_t)snprintf(w.c.key[0].ufrag, LEG_UFRAG_MAX, "leg%u", i);
	return w;
}

/* The status of the last event that is not of these, or -1. */
int leg_said(struct punt_row *ev)
{
	struct punt_row e;
	int status, last = -1;

	while ((status = bed_status(&e)) >= 0) {
		if (status == ROW_DELETED) {
			leg_final[leg_n_final++ % RTE_DIM(leg_final)] = e;
			continue;
		}
		*ev = e;
		last = status;
	}
	return last;
}

int leg_set(const struct leg_wanted *w, struct punt_row *ev)
{
	CHECK(bed_command(CMD_LEG, w, (uint32_t)(sizeof(w->c) + w->c.n_to * sizeof(w->to[0]))),
	      "room");
	bed_turn();
	return leg_said(ev);
}

uint32_t leg_set_ok(const struct leg_wanted *w)
{
	struct punt_row ev;

	CHECK(leg_set(w, &ev) == ROW_OK && ev.tag == w->c.tag && ev.row & ROW_WIDE, "set");
	return ev.row;
}

/* A to B and back, both connected. */
void leg_begin(struct leg_wanted *a, struct leg_wanted *b)
{
	bed_start(NULL);
	*a = leg_make(A, true, 1, &(unsigned){ B });
	*b = leg_make(B, true, 1, &(unsigned){ A });
	leg_set_ok(a);
	leg_set_ok(b);
	bed_zero();
}

void leg_put(const char *from, const char *to, const void *data, uint32_t len)
{
	struct rte_mbuf *m = bed_mbuf(in, bed_udp(in, from, to, data, len));

	worker_burst(&bed.worker[0], &bed.port, &m, 1);
	worker_flush(&bed.worker[0]);
}

struct crypto_hmac_sha1 leg_key_for(const char *pwd)
{
	struct crypto_hmac_sha1 key;

	crypto_hmac_sha1_key(&key, pwd, strlen(pwd));
	return key;
}

uint32_t leg_check(uint8_t *out, const char *name, const char *pwd, unsigned how)
{
	static uint8_t txid[12];
	const struct crypto_hmac_sha1 key = leg_key_for(pwd);
	struct stun_builder b;
	size_t covered;
	uint8_t *p;

	txid[0]++;
	stun_begin(&b, out, 512, stun_type(STUN_BINDING, STUN_REQUEST), txid);
	stun_put(&b, STUN_USERNAME, name, (uint16_t)strlen(name));
	if (!(how & CHECK_NO_PRIORITY))
		stun_put_u32(&b, STUN_PRIORITY, 7);
	p = stun_reserve(&b, how & CHECK_CONTROLLED ? STUN_ICE_CONTROLLED : STUN_ICE_CONTROLLING,
	                 8);
	memset(p, 1, 8);
	if (how & CHECK_USE)
		stun_put(&b, STUN_USE_CANDIDATE, NULL, 0);
	if (how & CHECK_STRANGE)
		stun_put(&b, 0x7777, "x", 1);
	p = stun_reserve_integrity(&b, STUN_MESSAGE_INTEGRITY, &covered);
	crypto_hmac_sha1(&key, &(struct crypto_piece){ out, covered }, 1, p);
	if (!(how & CHECK_NO_FINGERPRINT))
		stun_put_fingerprint(&b);
	const uint32_t len = (uint32_t)stun_finish(&b);

	if (how & CHECK_BAD_FINGERPRINT)
		out[len - 1] ^= 1;
	return len;
}
