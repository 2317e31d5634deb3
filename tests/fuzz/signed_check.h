/*
 * A check whose attributes are the fuzzer's, under the right name and password: what lies behind
 * the integrity is reached by it.
 */
#pragma once

#include <stdio.h>

#include "control/ice/ice.h"
#include "crypto.h"
#include "wire/crc.h"
#include "wire/integrity.h"
#include "wire/stun_build.h"

static inline size_t signed_check(const struct ice_stream_description *s, const uint8_t *in,
                                  size_t len, uint8_t *out, size_t cap)
{
	struct crypto_hmac_sha1 key;
	struct stun_builder b;
	uint8_t txid[STUN_TXID_LEN] = { 0 };
	char name[64];
	size_t covered;

	memcpy(txid, in, len < 12 ? len : 12);
	stun_begin(&b, out, cap, stun_type(STUN_BINDING, STUN_REQUEST), txid);
	snprintf(name, sizeof(name), "%.20s:peer", s->ufrag);
	stun_put(&b, STUN_USERNAME, name, (uint16_t)strlen(name));
	for (size_t i = 12; i + 3 <= len && b.len < 600; i += 3u + (in[i + 2] & 15)) {
		const uint16_t type = (uint16_t)(in[i] << 8 | in[i + 1]);
		const size_t left = len - i - 3, n = in[i + 2] & 15;

		stun_put(&b, type, in + i + 3, (uint16_t)(n < left ? n : left));
	}
	crypto_hmac_sha1_key(&key, s->pwd, strlen(s->pwd));
	uint8_t *const mac = stun_reserve_integrity(&b, STUN_MESSAGE_INTEGRITY, &covered);

	if (mac)
		crypto_hmac_sha1(&key, &(struct crypto_piece){ out, covered }, 1, mac);
	stun_put_fingerprint(&b);
	return stun_finish(&b);
}
