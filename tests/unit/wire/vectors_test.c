/*
 * include/wire against the STUN vectors, judged, read and rebuilt, and the tables of types and
 * keys; vectors_framing_test.c has the other kinds. What was checked is counted by kind, and the
 * counts are asserted, so that a vector cannot go missing.
 */
#include <arpa/inet.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/unit/wire/each.h"
#include "tests/unit/wire/judge.h"
#include "wire/crc.h"
#include "wire/integrity.h"

/* ---- STUN: the verdict */

static bool unknown_equal(const struct stun_unknown *u, const json_t *want)
{
	const size_t n = json_array_size(want);
	const size_t listed = n < STUN_UNKNOWN_MAX ? n : STUN_UNKNOWN_MAX;

	if (u->listed != listed || u->any != (n > 0))
		return false;
	for (size_t i = 0; i < listed; i++)
		if (u->type[i] != strtoul(json_string_value(json_array_get(want, i)), NULL, 16))
			return false;
	return true;
}

static void test_verdicts(void)
{
	unsigned accepted = 0, refused = 0, left = 0;

	EACH(v, "stun")
	{
		const struct verdict is = judge(v);

		if (strcmp(is.action, "left") == 0) {
			printf("\n    left to the server (RFC 7635): %s", v->name);
			left++;
			continue;
		}
		const bool right = strcmp(is.action, v->action) == 0 && is.code == v->code &&
		                   strcmp(judge_why(is.why), judge_why(v->why)) == 0;
		if (!right)
			printf("\n    %s: %s %u %s instead of %s %u %s", v->name, is.action,
			       is.code, is.why, v->action, v->code, v->why);
		CHECK(right, v->name);
		if (v->code == 420)
			CHECK(unknown_equal(&is.unknown,
			                    json_object_get(json_object_get(v->json, "expect"),
			                                    "unknown")),
			      v->name);
		if (strcmp(v->action, "accept") == 0)
			accepted++;
		else
			refused++;
	}
	printf("\n    stun: %u accepted, %u refused, %u left to the server ", accepted, refused,
	       left);
	CHECK(accepted == 151, "accepted");
	CHECK(refused == 142, "refused");
	CHECK(left == 4, "left");
}

/* ---- STUN: what is in it */

static bool address_equal(unsigned family, const struct endpoint *e, const json_t *want)
{
	uint8_t ip[16] = { [10] = 0xFF, [11] = 0xFF };
	const char *text = vectors_text(want, "address");
	const int ok =
		family == 4 ? inet_pton(AF_INET, text, ip + 12) : inet_pton(AF_INET6, text, ip);

	return ok == 1 && number(want, "family") == family && number(want, "port") == e->port &&
	       memcmp(ip, e->addr.ip, 16) == 0;
}

static bool xored(uint16_t type)
{
	return type == TURN_XOR_PEER_ADDRESS || type == TURN_XOR_RELAYED_ADDRESS ||
	       type == STUN_XOR_MAPPED_ADDRESS;
}

static json_t *error_value(const struct stun_attr *attr)
{
	const uint8_t *reason = NULL;
	size_t len = 0;
	const unsigned code = stun_error_code(attr, &reason, &len);

	if (attr->type == TURN_ADDRESS_ERROR_CODE)
		return json_pack("{s:i,s:s%,s:i}", "code", code, "reason", reason, len, "family",
		                 attr->value[0]);
	return json_pack("{s:i,s:s%}", "code", code, "reason", reason, len);
}

static json_t *algorithms_value(const struct stun_attr *attr)
{
	struct stun_algorithm_iter it = stun_algorithms(attr);
	struct stun_algorithm a;
	json_t *list = json_array();

	while (stun_algorithms_next(&it, &a)) {
		char hex[2 * 256 + 1] = "";

		for (unsigned i = 0; i < a.parameters_len && i < 256; i++)
			sprintf(hex + 2 * i, "%02x", a.parameters[i]);
		json_array_append_new(
			list, json_pack("{s:i,s:s}", "algorithm", a.number, "parameters", hex));
	}
	return list;
}

static json_t *unknown_value(const struct stun_attr *attr)
{
	json_t *list = json_array();

	for (unsigned i = 0; i + 2 <= attr->len; i += 2)
		json_array_append_new(list, json_sprintf("0x%04X", be16_load(attr->value + i)));
	return list;
}

static json_t *hex_value(const struct stun_attr *attr)
{
	char *hex = calloc(1, 2 * (size_t)attr->len + 1);

	for (size_t i = 0; i < attr->len; i++)
		sprintf(hex + 2 * i, "%02x", attr->value[i]);
	json_t *text = json_string(hex);
	free(hex);
	return text;
}

/* The attribute in the file's form, read with wire/attr.h. NULL: an address. */
static json_t *value(const struct stun_attr *attr)
{
	struct turn_icmp icmp;
	uint16_t v16;
	uint32_t v32 = 0;
	uint8_t v8;
	bool flag;

	if (!stun_well_formed(attr))
		return hex_value(attr);
	stun_u32(attr, &v32);
	switch (attr->type) {
	case STUN_USERNAME:
	case STUN_REALM:
	case STUN_NONCE:
	case STUN_SOFTWARE:
	case STUN_ALTERNATE_DOMAIN:
	case STUN_THIRD_PARTY_AUTHORIZATION:
		return json_stringn((const char *)attr->value, attr->len);
	case TURN_LIFETIME:
	case STUN_PRIORITY:
	case TURN_CONNECTION_ID:
	case STUN_FINGERPRINT: return json_integer(v32);
	case TURN_CHANNEL_NUMBER: return stun_channel(attr, &v16) ? json_integer(v16) : NULL;
	case TURN_REQUESTED_ADDRESS_FAMILY:
	case TURN_ADDITIONAL_ADDRESS_FAMILY:
	case TURN_REQUESTED_TRANSPORT: return stun_u8(attr, &v8) ? json_integer(v8) : NULL;
	case TURN_EVEN_PORT:
		return stun_even_port(attr, &flag) ? json_pack("{s:b}", "reserve_next", flag)
		                                   : NULL;
	case TURN_DONT_FRAGMENT:
	case STUN_USE_CANDIDATE: return json_null();
	case STUN_RESPONSE_PORT: return stun_response_port(attr, &v16) ? json_integer(v16) : NULL;
	case STUN_ERROR_CODE:
	case TURN_ADDRESS_ERROR_CODE: return error_value(attr);
	case STUN_UNKNOWN_ATTRIBUTES: return unknown_value(attr);
	case STUN_PASSWORD_ALGORITHM:
	case STUN_PASSWORD_ALGORITHMS: return algorithms_value(attr);
	case TURN_ICMP_ATTR:
		return stun_icmp(attr, &icmp)
		               ? json_pack("{s:i,s:i,s:I}", "type", icmp.type, "code", icmp.code,
		                           "data", (json_int_t)icmp.data)
		               : NULL;
	case STUN_CHANGE_REQUEST:
		return json_pack("{s:b,s:b}", "change_ip", v32 & STUN_CHANGE_IP, "change_port",
		                 v32 & STUN_CHANGE_PORT);
	case STUN_TRANSACTION_TRANSMIT_COUNTER:
		return json_pack("{s:i,s:i}", "req", v32 >> 8 & 0xFF, "resp", v32 & 0xFF);
	case STUN_ECN_CHECK: return json_pack("{s:i,s:b}", "ecf", v32 >> 1 & 3, "valid", v32 & 1);
	default: return hex_value(attr);
	}
}

static bool value_equal(const struct stun_msg *msg, const struct stun_attr *attr,
                        const json_t *want)
{
	struct endpoint e;

	if (json_is_object(want) && json_object_get(want, "address") != NULL) {
		const unsigned family =
			xored(attr->type) ? stun_xor_addr(msg, attr, &e) : stun_addr(attr, &e);

		return family != 0 && address_equal(family, &e, want);
	}
	json_t *is = value(attr);
	const bool same = json_equal(is, want == NULL ? json_null() : want) != 0;
	json_decref(is);
	return same;
}

static unsigned fields_equal(const struct vector *v, const struct stun_msg *msg)
{
	const json_t *header = json_object_get(v->json, "message"), *want;
	static const char *const classes[] = { "request", "indication", "success", "error" };
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr;
	size_t i;

	CHECK(msg->type == strtoul(vectors_text(header, "type"), NULL, 16), v->name);
	CHECK(strcmp(classes[stun_class(msg->type)], vectors_text(header, "class")) == 0, v->name);
	CHECK(stun_len(msg) == STUN_HDR_LEN + number(header, "length"), v->name);
	CHECK(hex_equal(vectors_text(header, "transaction_id"), msg->txid, STUN_TXID_LEN), v->name);
	json_array_foreach(json_object_get(v->json, "attributes"), i, want)
	{
		if (!stun_next(&it, &attr)) {
			CHECK(false, v->name);
			break;
		}
		CHECK(attr.type == strtoul(vectors_text(want, "type"), NULL, 16), v->name);
		CHECK(attr.value - STUN_ATTR_HDR_LEN - msg->octets == (long)number(want, "offset"),
		      v->name);
		CHECK(attr.len == number(want, "length"), v->name);
		const bool same = value_equal(msg, &attr, json_object_get(want, "value"));
		if (!same)
			printf("\n    %s: value of 0x%04X", v->name, attr.type);
		CHECK(same, v->name);
	}
	CHECK(!stun_next(&it, &attr) && !it.bad, v->name);
	return (unsigned)i;
}

static void test_fields(void)
{
	unsigned messages = 0, attributes = 0;

	EACH(v, "stun")
	{
		struct stun_msg msg = { 0 };

		if (strcmp(v->action, "accept") != 0)
			continue;
		CHECK(judge_open(v, &msg), v->name);
		attributes += fields_equal(v, &msg);
		messages++;
	}
	printf("\n    stun: %u messages, %u attributes read ", messages, attributes);
	CHECK(messages == 152, "messages");
	CHECK(attributes == 527, "attributes");
}

/* STUN-016, STUN-010, STUN-044. */
static void test_first_counts(void)
{
	unsigned effective = 0, answers = 0;

	EACH(v, "stun")
	{
		const json_t *want =
			json_object_get(json_object_get(v->json, "effective"), "LIFETIME");
		const struct vector *answer = vectors_find(all, vectors_text(v->json, "answer"));
		struct stun_msg msg, reply;
		struct stun_attr attr;
		uint32_t is;

		if (want != NULL) {
			CHECK(judge_open(v, &msg) && stun_find(&msg, TURN_LIFETIME, &attr) &&
			              stun_u32(&attr, &is) && is == json_integer_value(want),
			      v->name);
			effective++;
		}
		if (answer != NULL) {
			CHECK(judge_open(v, &msg) && judge_open(answer, &reply), v->name);
			CHECK(memcmp(msg.octets + 4, reply.octets + 4, 16) == 0, v->name);
			CHECK(stun_method(msg.type) == stun_method(reply.type) &&
			              stun_class(reply.type) >= STUN_SUCCESS,
			      v->name);
			answers++;
		}
	}
	CHECK(effective == 1, "effective");
	CHECK(answers == 10, "answers");
}

/* ---- STUN: built again from its description */

static void put_mac(struct stun_builder *b, uint16_t type, const json_t *keys, const char *hex)
{
	const char *name = type == STUN_MESSAGE_INTEGRITY ? "sha1_key" : "sha256_key";
	uint8_t mac[EVP_MAX_MD_SIZE];
	size_t covered, len;
	unsigned mac_len;

	if (json_object_get(keys, name) == NULL ||
	    strlen(hex) != (type == STUN_MESSAGE_INTEGRITY ? 40 : 64)) {
		uint8_t *octets = vectors_hex(hex, &len);
		stun_put(b, type, octets, (uint16_t)len);
		free(octets);
		return;
	}
	uint8_t *dst = stun_reserve_integrity(b, type, &covered);
	uint8_t *key = vectors_hex(vectors_text(keys, name), &len);
	HMAC(type == STUN_MESSAGE_INTEGRITY ? EVP_sha1() : EVP_sha256(), key, (int)len, b->buf,
	     covered, mac, &mac_len);
	free(key);
	if (dst != NULL)
		memcpy(dst, mac, mac_len);
}

static void put_address(struct stun_builder *b, uint16_t type, const json_t *want)
{
	struct endpoint e = { .port = (uint16_t)number(want, "port") };
	uint8_t ip4[4];

	if (inet_pton(AF_INET, vectors_text(want, "address"), ip4) == 1)
		e.addr = addr_from4(ip4);
	else
		inet_pton(AF_INET6, vectors_text(want, "address"), e.addr.ip);
	if (xored(type))
		stun_put_xor_addr(b, type, &e);
	else
		stun_put_addr(b, type, &e);
}

static void put_list(struct stun_builder *b, uint16_t type, const json_t *want)
{
	struct stun_unknown u = { .listed = 0 };
	uint16_t algorithms[8];
	unsigned n = 0;
	const json_t *item;
	size_t i;

	json_array_foreach(want, i, item)
	{
		if (json_is_string(item) && u.listed < STUN_UNKNOWN_MAX)
			u.type[u.listed++] = (uint16_t)strtoul(json_string_value(item), NULL, 16);
		else if (n < 8)
			algorithms[n++] = (uint16_t)number(item, "algorithm");
	}
	if (type == STUN_UNKNOWN_ATTRIBUTES)
		stun_put_unknown(b, &u);
	else
		stun_put_algorithms(b, type, algorithms, n);
}

static void put_octets(struct stun_builder *b, uint16_t type, const json_t *attr,
                       const json_t *want)
{
	const char *text = json_is_string(want) ? json_string_value(want) : "";
	size_t len = strlen(text);

	/* Text as it is; anything else is hex, twice as long as the attribute. */
	if (len == number(attr, "length")) {
		stun_put(b, type, text, (uint16_t)len);
		return;
	}
	uint8_t *octets = vectors_hex(text, &len);
	stun_put(b, type, octets, (uint16_t)len);
	free(octets);
}

static void put_number(struct stun_builder *b, uint16_t type, const json_t *attr, uint32_t v)
{
	uint8_t port[2];

	switch (type) {
	case STUN_FINGERPRINT: stun_put_fingerprint(b); return;
	case TURN_CHANNEL_NUMBER: stun_put_u32(b, type, v << 16); return;
	case TURN_REQUESTED_ADDRESS_FAMILY:
	case TURN_ADDITIONAL_ADDRESS_FAMILY:
	case TURN_REQUESTED_TRANSPORT: stun_put_u8(b, type, (uint8_t)v); return;
	case STUN_RESPONSE_PORT:
		be16_store(port, (uint16_t)v);
		if (number(attr, "length") == 2)
			stun_put(b, type, port, 2);
		else
			stun_put_u32(b, type, v << 16);
		return;
	default: stun_put_u32(b, type, v);
	}
}

static void put(struct stun_builder *b, const json_t *attr, const json_t *keys)
{
	const uint16_t type = (uint16_t)strtoul(vectors_text(attr, "type"), NULL, 16);
	const json_t *want = json_object_get(attr, "value");
	const struct turn_icmp icmp = { (uint8_t)number(want, "type"),
		                        (uint8_t)number(want, "code"), number(want, "data") };
	const uint8_t even = json_is_true(json_object_get(want, "reserve_next")) ? 0x80 : 0;

	if (type == STUN_MESSAGE_INTEGRITY || type == STUN_MESSAGE_INTEGRITY_SHA256)
		put_mac(b, type, keys, json_string_value(want));
	else if (json_is_object(want) && json_object_get(want, "address") != NULL)
		put_address(b, type, want);
	else if (type == STUN_ERROR_CODE)
		stun_put_error(b, number(want, "code"), vectors_text(want, "reason"));
	else if (type == TURN_ADDRESS_ERROR_CODE)
		stun_put_address_error(b, (uint8_t)number(want, "family"), number(want, "code"),
		                       vectors_text(want, "reason"));
	else if (type == TURN_ICMP_ATTR)
		stun_put_icmp(b, &icmp);
	else if (type == TURN_EVEN_PORT)
		stun_put(b, type, &even, 1);
	else if (type == STUN_CHANGE_REQUEST)
		stun_put_u32(b, type,
		             (json_is_true(json_object_get(want, "change_ip")) ? 4u : 0) |
		                     (json_is_true(json_object_get(want, "change_port")) ? 2u : 0));
	else if (type == STUN_TRANSACTION_TRANSMIT_COUNTER)
		stun_put_u32(b, type, number(want, "req") << 8 | number(want, "resp"));
	else if (type == STUN_ECN_CHECK)
		stun_put_u32(b, type,
		             number(want, "ecf") << 1 |
		                     json_is_true(json_object_get(want, "valid")));
	else if (json_is_array(want))
		put_list(b, type, want);
	else if (json_is_integer(want))
		put_number(b, type, attr, (uint32_t)json_integer_value(want));
	else
		put_octets(b, type, attr, want);
}

/* Octets that we never send, or that the description does not hold. */
static bool not_ours(const char *name)
{
	static const char *const names[] = {
		/* padding that is not zero (STUN-014) */
		"rfc5769-2.1-request",
		"rfc5769-2.2-ipv4-response",
		"rfc5769-2.3-ipv6-response",
		"pad-nonzero",
		/* reserved bits that are not zero (STUN-022) */
		"reserved-bits-set",
		"reserved-bits-set-error",
		"chanbind-rffu-set",
		/* IPv4 in IPv6 clothes is sent as IPv4 (STUN-058) */
		"xor-extremes-v6-mapped",
		/* an algorithm with parameters: none that we offer has any (STUN-110) */
		"err-401-unknown-algorithm",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void test_rebuilt(void)
{
	unsigned same = 0, other = 0;

	EACH(v, "stun")
	{
		const json_t *keys = json_object_get(v->json, "keys"), *attr;
		struct stun_builder b;
		struct stun_msg msg = { 0 };
		size_t i;

		if (strcmp(v->action, "accept") != 0 || !judge_open(v, &msg))
			continue;
		uint8_t *buf = malloc(v->len);
		memset(buf, 0xA5, v->len);
		if (be32_load(msg.octets + 4) == STUN_COOKIE)
			stun_begin(&b, buf, v->len, msg.type, msg.txid);
		else
			stun_begin_classic(&b, buf, v->len, stun_class(msg.type), &msg);
		json_array_foreach(json_object_get(v->json, "attributes"), i, attr)
			put(&b, attr, keys);
		const bool equal = stun_finish(&b) == v->len && memcmp(buf, v->octets, v->len) == 0;
		if (equal == not_ours(v->name))
			printf("\n    %s: %s", v->name, equal ? "rebuilt" : "not rebuilt");
		CHECK(equal != not_ours(v->name), v->name);
		*(equal ? &same : &other) += 1;
		free(buf);
	}
	printf("\n    stun: %u rebuilt octet by octet, %u not ours ", same, other);
	CHECK(same == 143, "rebuilt");
	CHECK(other == 9, "not ours");
}

/* ---- What is not checked, and the tables */

static void test_tokens(void)
{
	unsigned n = 0;

	EACH(v, "token")
	{
		printf("\n    skipped (RFC 7635 is not served): %s", v->name);
		n++;
	}
	printf("\n    token: %u skipped ", n);
	CHECK(n == 16, "token");
	CHECK(all->n == 297 + 27 + 17 + 30 + 16 + 37, "every kind is known");
}

static void test_tables(void)
{
	const json_t *tables = json_object_get(all->doc, "tables"), *row;
	static const char *const classes[] = { "request", "indication", "success", "error" };
	size_t i, types, keys;

	json_array_foreach(json_object_get(tables, "msgtypes"), i, row)
	{
		const unsigned type = (unsigned)strtoul(vectors_text(row, "type"), NULL, 16);
		unsigned cls = 0;

		while (strcmp(classes[cls], vectors_text(row, "class")) != 0)
			cls++;
		CHECK(stun_type(number(row, "method"), (enum stun_class)cls) == type, "msgtypes");
		CHECK(stun_method((uint16_t)type) == number(row, "method"), "msgtypes");
		CHECK(stun_class((uint16_t)type) == cls, "msgtypes");
		CHECK(type >> 8 == number(row, "first_octet"), "msgtypes");
	}
	types = i;
	json_array_foreach(json_object_get(tables, "keys"), i, row)
	{
		char text[4096];
		uint8_t key[EVP_MAX_MD_SIZE];
		const int n =
			snprintf(text, sizeof(text), "%s:%s:%s", vectors_text(row, "username"),
		                 vectors_text(row, "realm"), vectors_text(row, "password"));

		EVP_Digest(text, (size_t)n, key, NULL, EVP_md5(), NULL);
		CHECK(hex_equal(vectors_text(row, "md5"), key, 16), "keys: md5");
		EVP_Digest(text, (size_t)n, key, NULL, EVP_sha256(), NULL);
		CHECK(hex_equal(vectors_text(row, "sha256"), key, 32), "keys: sha256");
	}
	keys = i;
	CHECK(types == 84, "msgtypes");
	CHECK(keys == 6, "keys");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "stun: verdicts", test_verdicts },
		{ "stun: fields", test_fields },
		{ "stun: the first counts, answers belong", test_first_counts },
		{ "stun: built again", test_rebuilt },
		{ "token", test_tokens },
		{ "tables", test_tables },
		CU_TEST_INFO_NULL,
	};

	all = vectors_load();
	const int status = run_suite("wire/vectors", tests);
	vectors_free(all);
	return status;
}
