#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/unit/wire/judge.h"
#include "wire/crc.h"
#include "wire/demux.h"
#include "wire/integrity.h"

struct hearing {
	struct stun_msg msg;
	struct stun_marks marks;
	const json_t *receiver;
	bool indication, classic;
	struct verdict verdict;
};

static bool is(const json_t *receiver, const char *feature)
{
	return json_is_true(json_object_get(receiver, feature));
}

static bool decide(struct hearing *h, const char *action, const char *why, unsigned code)
{
	h->verdict.action = action;
	h->verdict.why = why;
	h->verdict.code = code;
	return false;
}

/* An indication is never answered (STUN-036). */
static bool refuse(struct hearing *h, const char *why, unsigned code)
{
	return h->indication ? decide(h, "discard", why, 0) : decide(h, "error", why, code);
}

static bool text_equal(const json_t *text, const struct stun_attr *attr)
{
	return json_string_length(text) == attr->len &&
	       memcmp(json_string_value(text), attr->value, attr->len) == 0;
}

const char *judge_why(const char *why)
{
	static const char *const lengths[] = { "short", "length-unaligned", "length-mismatch" };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		if (strcmp(why, lengths[i]) == 0)
			return "lengths";
	return strcmp(why, "class") == 0 ? "method" : why;
}

bool judge_mac(const struct stun_msg *msg, const struct stun_attr *attr, const void *key,
               size_t key_len)
{
	const struct stun_integrity in = stun_integrity_locate(msg, attr);
	const EVP_MD *md = attr->type == STUN_MESSAGE_INTEGRITY ? EVP_sha1() : EVP_sha256();
	uint8_t *input = malloc(sizeof(in.head) + in.rest_len);
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;

	memcpy(input, in.head, sizeof(in.head));
	memcpy(input + sizeof(in.head), in.rest, in.rest_len);
	HMAC(md, key, (int)key_len, input, sizeof(in.head) + in.rest_len, mac, &mac_len);
	free(input);
	return stun_integrity_len_ok(attr->type, in.mac_len) &&
	       CRYPTO_memcmp(mac, in.mac, in.mac_len) == 0;
}

bool judge_open(const struct vector *v, struct stun_msg *msg)
{
	if (stun_open(v->octets, v->len, msg))
		return true;
	if (!is(v->receiver, "rfc3489"))
		return false;
	return is(v->receiver, "client") ? stun_open_any(v->octets, v->len, msg)
	                                 : stun_open_classic(v->octets, v->len, msg);
}

static bool frame(struct hearing *h, const struct vector *v)
{
	const unsigned serve = is(v->receiver, "rfc3489") ? DEMUX_SERVE_RFC3489 : 0;

	if (!judge_open(v, &h->msg)) {
		switch (demux_datagram(v->octets, v->len, serve)) {
		case DEMUX_EMPTY:
		case DEMUX_STUN_MALFORMED: return decide(h, "discard", "lengths", 0);
		case DEMUX_STUN_BAD_COOKIE: return decide(h, "discard", "cookie", 0);
		case DEMUX_STUN:
		case DEMUX_CLASSIC: return decide(h, "discard", "opens differently", 0);
		default: return decide(h, "discard", "not-stun", 0);
		}
	}
	if (!stun_scan(&h->msg, &h->marks))
		return decide(h, "discard", "attribute-overrun", 0);
	h->indication = stun_class(h->msg.type) == STUN_INDICATION;
	h->classic = be32_load(h->msg.octets + 4) != STUN_COOKIE;
	return true;
}

static bool serves(const struct hearing *h)
{
	const enum stun_class cls = stun_class(h->msg.type);
	const unsigned method = stun_method(h->msg.type);

	if (is(h->receiver, "codec"))
		return true;
	if (is(h->receiver, "client"))
		return cls >= STUN_SUCCESS ||
		       (cls == STUN_INDICATION && (method == STUN_BINDING || method == TURN_DATA ||
		                                   method == TURN_CONNECTION_ATTEMPT));
	if (json_array_size(json_object_get(h->receiver, "methods")) == 1)
		return method == STUN_BINDING && turn_serves(h->msg.type);
	return json_array_size(json_object_get(h->receiver, "methods")) > 7
	               ? turn_serves_tcp(h->msg.type)
	               : turn_serves(h->msg.type);
}

/* First octet of the security features in a nonce cookie (STUN-104). */
static unsigned features(const struct stun_attr *nonce)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (nonce->len < 13 || memcmp(nonce->value, "obMatJos2", 9) != 0)
		return 0;
	const char *hi = memchr(base64, nonce->value[9], 64);
	const char *lo = memchr(base64, nonce->value[10], 64);
	return hi == NULL || lo == NULL
	               ? 0
	               : (unsigned)(hi - base64) << 2 | (unsigned)(lo - base64) >> 4;
}

static bool mac_lengths(const struct hearing *h)
{
	const struct stun_attr *macs[] = { &h->marks.integrity, &h->marks.sha256 };

	for (size_t i = 0; i < 2; i++)
		if (macs[i]->value != NULL && !stun_integrity_len_ok(macs[i]->type, macs[i]->len))
			return false;
	return true;
}

/* STUN-062, STUN-064: SHA-256 decides, whole. */
static bool integrity(struct hearing *h, const void *key, size_t key_len)
{
	const struct stun_attr *sha256 = &h->marks.sha256;
	const struct stun_attr *mac = sha256->value != NULL ? sha256 : &h->marks.integrity;

	if (sha256->value != NULL && sha256->len != STUN_SHA256_LEN)
		return false;
	return judge_mac(&h->msg, mac, key, key_len);
}

static bool short_term(struct hearing *h)
{
	const bool any = h->marks.integrity.value != NULL || h->marks.sha256.value != NULL;
	const char *name, *password = NULL;
	struct stun_attr user;
	json_t *of;

	if (!stun_find(&h->msg, STUN_USERNAME, &user) || !any)
		return refuse(h, "credentials-missing", 400);
	if (!mac_lengths(h))
		return refuse(h, "integrity-length", 400);
	json_object_foreach(json_object_get(h->receiver, "users"), name,
	                    of) if (strlen(name) == user.len &&
	                            memcmp(name, user.value, user.len) == 0) password =
		json_string_value(of);
	if (password == NULL)
		return refuse(h, "user", 401);
	return integrity(h, password, strlen(password)) || refuse(h, "integrity", 401);
}

static unsigned digest(const EVP_MD *md, const char *name, const char *realm, const char *password,
                       uint8_t out[EVP_MAX_MD_SIZE])
{
	char text[2048];
	unsigned len = 0;
	const int n = password == NULL
	                      ? snprintf(text, sizeof(text), "%s:%s", name, realm)
	                      : snprintf(text, sizeof(text), "%s:%s:%s", name, realm, password);

	EVP_Digest(text, (size_t)n, out, &len, md, NULL);
	return len;
}

static bool named(const struct stun_attr *user, const struct stun_attr *hash, const char *name,
                  const char *realm)
{
	uint8_t want[EVP_MAX_MD_SIZE];

	if (user->value != NULL)
		return strlen(name) == user->len && memcmp(name, user->value, user->len) == 0;
	digest(EVP_sha256(), name, realm, NULL, want);
	return memcmp(want, hash->value, 32) == 0;
}

/* Step c (STUN-088). Returns the algorithm of the key; 0: 400. */
static unsigned algorithm(const struct hearing *h, const struct stun_attr *nonce)
{
	struct stun_attr one, list;
	const bool has_one = stun_find(&h->msg, STUN_PASSWORD_ALGORITHM, &one);
	const bool has_list = stun_find(&h->msg, STUN_PASSWORD_ALGORITHMS, &list);
	const char *given;
	json_t *sent;
	unsigned chosen = 0;

	if ((features(nonce) & 0x80) == 0 || (!has_one && !has_list))
		return STUN_ALGORITHM_MD5;
	if (!has_one || !has_list)
		return 0;
	json_object_foreach(json_object_get(h->receiver, "nonces"), given, sent)
	{
		size_t len;
		uint8_t *octets;

		if (strlen(given) != nonce->len || memcmp(given, nonce->value, nonce->len) != 0 ||
		    !json_is_string(sent))
			continue;
		octets = vectors_hex(json_string_value(sent), &len);
		chosen = stun_algorithm_chosen(&one, &list, octets, len);
		free(octets);
	}
	return chosen;
}

static bool known_nonce(const struct hearing *h, const struct stun_attr *nonce)
{
	const char *given;
	json_t *sent;

	json_object_foreach(json_object_get(h->receiver, "nonces"), given,
	                    sent) if (strlen(given) == nonce->len &&
	                              memcmp(given, nonce->value, nonce->len) == 0) return true;
	return false;
}

/* RFC 8489 §9.2.4, steps a to f (STUN-086 to STUN-091). */
static bool long_term(struct hearing *h)
{
	struct stun_attr user, hash, realm, nonce, token;
	const json_t *ours = json_object_get(h->receiver, "realm");
	const char *name, *password = NULL, *who = NULL;
	uint8_t key[EVP_MAX_MD_SIZE];
	json_t *of;

	if (h->indication)
		return true;
	if (h->marks.integrity.value == NULL && h->marks.sha256.value == NULL)
		return refuse(h, "no-credentials", 401);
	if (!mac_lengths(h))
		return refuse(h, "integrity-length", 400);
	stun_find(&h->msg, STUN_USERNAME, &user);
	stun_find(&h->msg, STUN_USERHASH, &hash);
	if ((user.value == NULL && hash.value == NULL) || !stun_find(&h->msg, STUN_REALM, &realm) ||
	    !stun_find(&h->msg, STUN_NONCE, &nonce))
		return refuse(h, "credentials-missing", 400);
	if (user.value != NULL && hash.value != NULL)
		return refuse(h, "user-and-hash", 400);
	if (!stun_well_formed(user.value != NULL ? &user : &hash) || !stun_well_formed(&realm) ||
	    !stun_well_formed(&nonce))
		return refuse(h, "malformed", 400);
	const unsigned chosen = algorithm(h, &nonce);
	if (chosen == 0)
		return refuse(h, "password-algorithms", 400);
	if (json_object_get(h->receiver, "oauth") != NULL &&
	    stun_find(&h->msg, STUN_ACCESS_TOKEN, &token))
		return decide(h, "left", "", 0);
	json_object_foreach(json_object_get(h->receiver, "users"), name, of)
	{
		if (named(&user, &hash, name, json_string_value(ours))) {
			who = name;
			password = json_string_value(of);
		}
	}
	if (who == NULL)
		return refuse(h, "user", 401);
	if (!text_equal(ours, &realm))
		return refuse(h, "realm", 401);
	const unsigned len = digest(chosen == STUN_ALGORITHM_MD5 ? EVP_md5() : EVP_sha256(), who,
	                            json_string_value(ours), password, key);
	if (!integrity(h, key, len))
		return refuse(h, "integrity", 401);
	return known_nonce(h, &nonce) || refuse(h, "nonce", 438);
}

static uint64_t known(const json_t *receiver)
{
	uint64_t types = TURN_KNOWN;

	if (is(receiver, "rfc5780") || is(receiver, "client"))
		types |= STUN_BIT(STUN_CHANGE_REQUEST) | STUN_BIT(STUN_PADDING) |
		         STUN_BIT(STUN_RESPONSE_PORT);
	if (json_object_get(receiver, "oauth") != NULL || is(receiver, "client"))
		types |= STUN_BIT(STUN_ACCESS_TOKEN);
	if (is(receiver, "client"))
		types |= STUN_BIT(STUN_RESPONSE_ADDRESS) | STUN_BIT(STUN_SOURCE_ADDRESS) |
		         STUN_BIT(STUN_CHANGED_ADDRESS);
	return types;
}

static bool has(const struct hearing *h, uint16_t type)
{
	struct stun_attr attr;

	return stun_find(&h->msg, type, &attr);
}

/* Any attribute that counts and is of one of these types is well formed (STUN-020). */
static bool content(const struct hearing *h, const uint16_t *types, size_t n)
{
	struct stun_iter it = stun_attrs(&h->msg);
	struct stun_attr attr;

	while (stun_next_counted(&it, &attr))
		for (size_t i = 0; i < n; i++)
			if (types[i] == attr.type && !stun_well_formed(&attr))
				return false;
	return true;
}
#define CONTENT(h, ...)                               \
	content(h, (const uint16_t[]){ __VA_ARGS__ }, \
	        sizeof((const uint16_t[]){ __VA_ARGS__ }) / sizeof(uint16_t))

static bool allocate(struct hearing *h)
{
	struct stun_attr attr;
	bool reserve = false;
	uint8_t v = 0;

	if (!stun_find(&h->msg, TURN_REQUESTED_TRANSPORT, &attr) || !stun_u8(&attr, &v))
		return refuse(h, "transport-missing", 400);
	if (v != TURN_TRANSPORT_UDP &&
	    (v != TURN_TRANSPORT_TCP ||
	     json_array_size(json_object_get(h->receiver, "methods")) < 8))
		return refuse(h, "transport", 442);
	if (has(h, TURN_RESERVATION_TOKEN) &&
	    (has(h, TURN_EVEN_PORT) || has(h, TURN_REQUESTED_ADDRESS_FAMILY) ||
	     has(h, TURN_ADDITIONAL_ADDRESS_FAMILY)))
		return refuse(h, "reservation-conflict", 400);
	if (has(h, TURN_REQUESTED_ADDRESS_FAMILY) && has(h, TURN_ADDITIONAL_ADDRESS_FAMILY))
		return refuse(h, "family-conflict", 400);
	if (stun_find(&h->msg, TURN_REQUESTED_ADDRESS_FAMILY, &attr) && stun_u8(&attr, &v) &&
	    v != TURN_FAMILY_IPV4 && v != TURN_FAMILY_IPV6)
		return refuse(h, "family", 440);
	if (stun_find(&h->msg, TURN_EVEN_PORT, &attr) && stun_even_port(&attr, &reserve) &&
	    reserve && has(h, TURN_ADDITIONAL_ADDRESS_FAMILY))
		return refuse(h, "even-port-conflict", 400);
	if (stun_find(&h->msg, TURN_ADDITIONAL_ADDRESS_FAMILY, &attr) && stun_u8(&attr, &v) &&
	    v != TURN_FAMILY_IPV6)
		return refuse(h, "additional-family", 400);
	if (stun_find(&h->msg, TURN_MOBILITY_TICKET, &attr) && attr.len > 0)
		return refuse(h, "ticket", 400);
	return true;
}

/* What a method asks of its request before any state. */
static bool method(struct hearing *h)
{
	struct stun_attr attr;
	uint16_t number;

	if (!CONTENT(h, TURN_LIFETIME, TURN_REQUESTED_ADDRESS_FAMILY, TURN_EVEN_PORT,
	             TURN_REQUESTED_TRANSPORT, TURN_DONT_FRAGMENT, TURN_RESERVATION_TOKEN,
	             TURN_ADDITIONAL_ADDRESS_FAMILY, STUN_CHANGE_REQUEST, STUN_RESPONSE_PORT,
	             TURN_XOR_PEER_ADDRESS, TURN_CHANNEL_NUMBER))
		return refuse(h, "malformed", 400);
	switch (stun_method(h->msg.type)) {
	case STUN_BINDING:
		if (is(h->receiver, "rfc5780") && has(h, STUN_RESPONSE_PORT) &&
		    has(h, STUN_PADDING))
			return refuse(h, "port-and-padding", 400);
		return true;
	case TURN_ALLOCATE: return allocate(h);
	case TURN_CREATE_PERMISSION:
	case TURN_CONNECT: return has(h, TURN_XOR_PEER_ADDRESS) || refuse(h, "peer-missing", 400);
	case TURN_CHANNEL_BIND:
		if (!stun_find(&h->msg, TURN_CHANNEL_NUMBER, &attr) ||
		    !stun_channel(&attr, &number))
			return refuse(h, "channel-missing", 400);
		if (!has(h, TURN_XOR_PEER_ADDRESS))
			return refuse(h, "peer-missing", 400);
		return (number >= CHANNEL_MIN && number <= CHANNEL_MAX) ||
		       refuse(h, "channel-range", 400);
	case TURN_SEND:
		if (!has(h, TURN_XOR_PEER_ADDRESS))
			return refuse(h, "peer-missing", 400);
		return has(h, TURN_DATA_ATTR) || refuse(h, "data-missing", 400);
	case TURN_CONNECTION_BIND:
		return has(h, TURN_CONNECTION_ID) || refuse(h, "connection-id-missing", 400);
	default: return true;
	}
}

static bool keyed_integrity(struct hearing *h, const json_t *keys, bool *signed_)
{
	const struct stun_attr *macs[] = { &h->marks.integrity, &h->marks.sha256 };
	const char *const names[] = { "sha1_key", "sha256_key" };

	*signed_ = false;
	for (size_t i = 0; i < 2; i++) {
		size_t len;

		if (macs[i]->value == NULL || json_object_get(keys, names[i]) == NULL)
			continue;
		uint8_t *key = vectors_hex(vectors_text(keys, names[i]), &len);
		const bool right = judge_mac(&h->msg, macs[i], key, len);
		free(key);
		if (!right)
			return decide(h, "discard", "integrity", 0);
		*signed_ = true;
	}
	if (stun_fingerprint_check(&h->msg, &h->marks) == STUN_FINGERPRINT_WRONG)
		return decide(h, "discard", "fingerprint", 0);
	return true;
}

static bool client(struct hearing *h, const json_t *keys)
{
	const enum stun_class cls = stun_class(h->msg.type);
	struct stun_attr attr;
	bool was_signed;

	if (!keyed_integrity(h, keys, &was_signed))
		return false;
	if (json_object_size(keys) > 0 && !was_signed)
		return decide(h, "discard", "integrity-missing", 0);
	if (stun_unknown(&h->msg, known(h->receiver), &h->verdict.unknown))
		return decide(h, "discard", "unknown-required", 0);
	if (!CONTENT(h, STUN_ERROR_CODE, STUN_XOR_MAPPED_ADDRESS, TURN_XOR_RELAYED_ADDRESS,
	             TURN_XOR_PEER_ADDRESS, STUN_MAPPED_ADDRESS, TURN_LIFETIME,
	             STUN_ALTERNATE_SERVER, STUN_PASSWORD_ALGORITHMS, STUN_UNKNOWN_ATTRIBUTES))
		return decide(h, "discard", "malformed", 0);
	if (cls == STUN_ERROR && !has(h, STUN_ERROR_CODE))
		return decide(h, "discard", "error-code-missing", 0);
	if (cls == STUN_ERROR && stun_find(&h->msg, STUN_NONCE, &attr) &&
	    (features(&attr) & 0x80) != 0 && !has(h, STUN_PASSWORD_ALGORITHMS))
		return decide(h, "discard", "bid-down", 0);
	if (cls == STUN_SUCCESS && stun_method(h->msg.type) == STUN_BINDING &&
	    !has(h, STUN_XOR_MAPPED_ADDRESS) &&
	    !(is(h->receiver, "rfc3489") && has(h, STUN_MAPPED_ADDRESS)))
		return decide(h, "discard", "mapped-missing", 0);
	if (cls == STUN_INDICATION && stun_method(h->msg.type) == TURN_DATA &&
	    !(has(h, TURN_XOR_PEER_ADDRESS) && (has(h, TURN_DATA_ATTR) || has(h, TURN_ICMP_ATTR))))
		return decide(h, "discard", "malformed", 0);
	return true;
}

static bool codec(struct hearing *h, const json_t *keys)
{
	struct stun_iter it = stun_attrs(&h->msg);
	struct stun_attr attr;
	bool was_signed;

	while (stun_next_counted(&it, &attr))
		if (!stun_well_formed(&attr))
			return decide(h, "discard", "malformed", 0);
	return keyed_integrity(h, keys, &was_signed);
}

static bool server(struct hearing *h)
{
	const char *auth = vectors_text(h->receiver, "auth");
	const enum stun_fingerprint fp = stun_fingerprint_check(&h->msg, &h->marks);

	if (fp == STUN_FINGERPRINT_WRONG)
		return decide(h, "discard", "fingerprint", 0);
	if (fp == STUN_FINGERPRINT_NONE && is(h->receiver, "fingerprint"))
		return decide(h, "discard", "fingerprint-missing", 0);
	if (strcmp(auth, "short") == 0 && !short_term(h))
		return false;
	/* STUN-101: a Binding request needs no credentials on a relay. */
	if (strcmp(auth, "long") == 0 && stun_method(h->msg.type) != STUN_BINDING && !long_term(h))
		return false;
	if (stun_unknown(&h->msg, known(h->receiver), &h->verdict.unknown))
		return refuse(h, "unknown-required", 420);
	return method(h);
}

struct verdict judge(const struct vector *v)
{
	struct hearing h = { .receiver = v->receiver,
		             .verdict = { .action = "accept", .why = "" } };
	const json_t *keys = json_object_get(v->json, "keys");

	if (!frame(&h, v))
		return h.verdict;
	if (!serves(&h))
		decide(&h, "discard", "method", 0);
	else if (is(v->receiver, "codec"))
		codec(&h, keys);
	else if (is(v->receiver, "client"))
		client(&h, keys);
	else
		server(&h);
	return h.verdict;
}
