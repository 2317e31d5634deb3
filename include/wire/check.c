/* Checks in, answers out. */
#include "wire/check.h"

#include "wire/crc.h"
#include "wire/integrity.h"

/* What a check may carry that must be understood. */
#define KNOWN                                                                \
	(STUN_BIT(STUN_USERNAME) | STUN_BIT(STUN_MESSAGE_INTEGRITY) |        \
	 STUN_BIT(STUN_MESSAGE_INTEGRITY_SHA256) | STUN_BIT(STUN_PRIORITY) | \
	 STUN_BIT(STUN_USE_CANDIDATE))

static void read_name(struct check *c, const struct stun_attr *attr)
{
	const uint8_t *const colon = attr->len ? memchr(attr->value, ':', attr->len) : NULL;

	if (c->has_name)
		return;
	c->has_name = true;
	if (!colon)
		return;
	c->ours = attr->value;
	c->ours_len = (uint16_t)(colon - attr->value);
	c->theirs = colon + 1;
	c->theirs_len = (uint16_t)(attr->len - c->ours_len - 1);
}

static void read_role(struct check *c, const struct stun_attr *attr, bool *has)
{
	if (attr->len != 8) {
		c->malformed = true;
		return;
	}
	if (!*has)
		c->tie = be64_load(attr->value);
	*has = true;
}

bool check_read(const struct stun_msg *msg, struct check *c)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr;

	*c = (struct check){ .msg = msg };
	if (!stun_scan(msg, &c->marks) ||
	    stun_fingerprint_check(msg, &c->marks) != STUN_FINGERPRINT_RIGHT)
		return false;
	while (stun_next_counted(&it, &attr)) {
		switch (attr.type) {
		case STUN_USERNAME: read_name(c, &attr); break;
		case STUN_PRIORITY:
			c->malformed |= attr.len != 4;
			if (!c->has_priority)
				c->has_priority = stun_u32(&attr, &c->priority);
			break;
		case STUN_USE_CANDIDATE:
			c->malformed |= attr.len != 0;
			c->use_candidate = true;
			break;
		case STUN_ICE_CONTROLLING: read_role(c, &attr, &c->has_controlling); break;
		case STUN_ICE_CONTROLLED: read_role(c, &attr, &c->has_controlled); break;
		default:
			if (!c->unknown && stun_required(attr.type) &&
			    (attr.type >= 64 || (KNOWN >> attr.type & 1) == 0))
				c->unknown = attr.type;
			break;
		}
	}
	return true;
}

bool check_verify(const struct stun_msg *msg, const struct stun_marks *marks,
                  const struct crypto_hmac_sha1 *key)
{
	uint8_t mac[CRYPTO_SHA1_LEN];

	if (!marks->integrity.value ||
	    !stun_integrity_len_ok(STUN_MESSAGE_INTEGRITY, marks->integrity.len))
		return false;
	const struct stun_integrity in = stun_integrity_locate(msg, &marks->integrity);
	const struct crypto_piece pieces[] = { { in.head, sizeof(in.head) },
		                               { in.rest, in.rest_len } };

	crypto_hmac_sha1(key, pieces, 2, mac);
	return crypto_equal(mac, in.mac, sizeof(mac));
}

unsigned check_judge(struct check *c, const struct crypto_hmac_sha1 *key)
{
	c->verified = false;
	if (!c->has_name || !c->marks.integrity.value)
		return 400;
	if (!key || !check_verify(c->msg, &c->marks, key))
		return 401;
	c->verified = true;
	if (c->unknown)
		return 420;
	if (c->malformed || (c->has_controlling && c->has_controlled)) /* ICE-089 */
		return 400;
	return 0;
}

size_t check_answer(const uint8_t *txid, const struct endpoint *from,
                    const struct crypto_hmac_sha1 *key, uint8_t *out)
{
	struct stun_builder b;
	size_t covered;
	uint8_t *mac;

	stun_begin(&b, out, CHECK_ANSWER_MAX, stun_type(STUN_BINDING, STUN_SUCCESS), txid);
	stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, from);
	mac = stun_reserve_integrity(&b, STUN_MESSAGE_INTEGRITY, &covered);
	crypto_hmac_sha1(key, &(struct crypto_piece){ out, covered }, 1, mac);
	stun_put_fingerprint(&b);
	return stun_finish(&b);
}
