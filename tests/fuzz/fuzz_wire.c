/*
 * Properties of include/wire, for any octets:
 *   demux     exactly one outcome, and what it says of STUN and ChannelData is what the readers say
 *   stun      what can be read can be written and reads the same; the scan, the iterators and the
 *             finder agree; what is well formed can be decoded, and an address goes round
 *   checksum  an incremental update equals the sum computed anew
 *   frame     a stream's front is the same however much lies behind it
 */
#include "tests/fuzz/must.h"
#include "wire/attr.h"
#include "wire/checksum.h"
#include "wire/crc.h"
#include "wire/demux.h"
#include "wire/frame.h"
#include "wire/integrity.h"

static void demux_property(const uint8_t *data, size_t size)
{
	for (unsigned serve = 0; serve < 8; serve++) {
		const uint16_t max = serve & DEMUX_SERVE_RFC5766 ? CHANNEL_MAX_5766 : CHANNEL_MAX;
		const enum demux is = demux_datagram(data, size, serve);
		struct channel_data cd = { .data = data };
		struct stun_msg msg;

		MUST(is < DEMUX_COUNT && demux_name(is)[0] != '\0');
		MUST((is == DEMUX_STUN) == stun_open(data, size, &msg));
		MUST((is == DEMUX_CLASSIC) ==
		     ((serve & DEMUX_SERVE_RFC3489) != 0 && stun_open_classic(data, size, &msg)));
		MUST((is == DEMUX_CHANNEL) == channel_open(data, size, max, &cd));
		MUST(is != DEMUX_DTLS || (serve & DEMUX_SERVE_DTLS) != 0);
		MUST((size == 0) == (is == DEMUX_EMPTY));
		if (is == DEMUX_CHANNEL)
			MUST(cd.data + cd.len <= data + size);
	}
}

static void decode_property(const struct stun_msg *msg, const struct stun_attr *attr)
{
	uint8_t buf[64];
	struct stun_builder b;
	struct stun_msg again;
	struct stun_attr found;
	struct endpoint e, f;
	struct turn_icmp icmp;
	const uint8_t *reason;
	size_t reason_len;
	const unsigned family = stun_xor_addr(msg, attr, &e);

	MUST((family != 0) == (stun_addr(attr, &f) != 0));
	if (family != 0) {
		stun_begin(&b, buf, sizeof(buf), msg->type, msg->txid);
		stun_put_xor_addr(&b, STUN_XOR_MAPPED_ADDRESS, &e);
		MUST(stun_open(buf, stun_finish(&b), &again));
		MUST(stun_find(&again, STUN_XOR_MAPPED_ADDRESS, &found));
		MUST(stun_xor_addr(&again, &found, &f) == addr_family(&e.addr));
		MUST(endpoint_equal(&e, &f));
		MUST(found.len != attr->len ||
		     memcmp(found.value + 1, attr->value + 1, attr->len - 1u) == 0);
	}
	if (stun_error_code(attr, &reason, &reason_len) != 0)
		MUST(reason + reason_len == attr->value + attr->len);
	MUST(stun_icmp(attr, &icmp) == (attr->len == 8));
	if (stun_well_formed(attr) && attr->type == STUN_PASSWORD_ALGORITHM)
		MUST(stun_algorithm_chosen(attr, attr, attr->value, attr->len) ==
		     be16_load(attr->value));
}

static void scan_property(const struct stun_msg *msg)
{
	struct stun_iter it = stun_attrs(msg), counted = stun_attrs(msg);
	struct stun_attr attr, found;
	struct stun_marks marks;
	struct stun_unknown unknown;
	const bool whole = stun_scan(msg, &marks);
	unsigned all = 0, some = 0;

	while (stun_next(&it, &attr))
		all++;
	MUST(whole == !it.bad);
	if (!whole)
		return;
	MUST(it.pos == msg->end);
	while (stun_next_counted(&counted, &attr)) {
		some++;
		MUST(stun_find(msg, attr.type, &found) && found.value <= attr.value);
		MUST(attr.value <= marks.counted || stun_seals(attr.type));
	}
	MUST(some <= all);
	const struct stun_attr *marked[] = { &marks.integrity, &marks.sha256, &marks.fingerprint };
	for (unsigned i = 0; i < 3; i++) {
		if (marked[i]->value == NULL)
			continue;
		MUST(stun_find(msg, marked[i]->type, &found) && found.value == marked[i]->value);
		const struct stun_integrity in = stun_integrity_locate(msg, marked[i]);
		MUST(in.rest == msg->octets + 4 && in.rest + in.rest_len + 4 == in.mac);
		MUST(be16_load(in.head + 2) + 20 == in.mac + in.mac_len - msg->octets);
	}
	stun_unknown(msg, TURN_KNOWN, &unknown);
	MUST(unknown.listed <= STUN_UNKNOWN_MAX && unknown.any == (unknown.listed > 0));
	for (unsigned i = 0; i < unknown.listed; i++)
		MUST(stun_find(msg, unknown.type[i], &found) && stun_required(found.type));
}

/* Read, write, read: the same but for padding. Then sealed with a FINGERPRINT that fits. */
static void stun_property(const uint8_t *data, size_t size)
{
	static uint8_t copy[STUN_LEN_MAX];
	struct stun_msg in, out;
	struct stun_attr a, b;
	struct stun_builder builder;
	struct stun_marks marks;

	if (!stun_open(data, size, &in))
		return;
	scan_property(&in);
	MUST(stun_type(stun_method(in.type), stun_class(in.type)) == in.type);
	stun_begin(&builder, copy, sizeof(copy), in.type, in.txid);
	struct stun_iter it = stun_attrs(&in);
	while (stun_next(&it, &a)) {
		decode_property(&in, &a);
		stun_put(&builder, a.type, a.value, a.len);
	}
	if (it.bad)
		return;
	const size_t len = stun_finish(&builder);
	MUST(len == size && stun_open(copy, len, &out) && out.type == in.type);
	struct stun_iter x = stun_attrs(&in), y = stun_attrs(&out);
	while (stun_next(&x, &a)) {
		MUST(stun_next(&y, &b) && a.type == b.type && a.len == b.len);
		MUST(memcmp(a.value, b.value, a.len) == 0);
		for (size_t i = b.len; i < pad4(b.len); i++)
			MUST(b.value[i] == 0);
	}
	MUST(!stun_next(&y, &b) && !y.bad);

	const bool had_one = stun_find(&in, STUN_FINGERPRINT, &a);
	stun_put_fingerprint(&builder);
	if (stun_finish(&builder) == 0) {
		MUST(len + 8 > STUN_LEN_MAX);
		return;
	}
	MUST(stun_open(copy, stun_finish(&builder), &out) && stun_scan(&out, &marks));
	MUST(stun_fingerprint_check(&out, &marks) ==
	     (had_one ? STUN_FINGERPRINT_WRONG : STUN_FINGERPRINT_RIGHT));
	copy[len - 1] ^= 1;
	if (!had_one && stun_open(copy, len + 8, &out) && stun_scan(&out, &marks))
		MUST(stun_fingerprint_check(&out, &marks) != STUN_FINGERPRINT_RIGHT);
}

/*
 * data[0], data[1] choose what is replaced and what is cut off; the rest is summed. Both sums stand
 * for the same number, of which one's complement has two forms of zero.
 */
static void checksum_property(const uint8_t *data, size_t size)
{
	static uint8_t after[65536];

	if (size < 6 || size > sizeof(after))
		return;
	const uint8_t *before = data + 2;
	const size_t n = size - 2, at = (data[0] % n) & ~(size_t)1;
	const size_t room = n - at, changed = data[1] % (room + 1);
	const size_t kept = at + changed < n ? at + changed + (n - at - changed) / 2 : n;
	uint64_t change = 0;

	memcpy(after, before, n);
	for (size_t i = 0; i < changed; i++)
		after[at + i] = (uint8_t)~after[at + i] ^ data[0];
	change = csum_sub(change, before + at, changed);
	change = csum_add(change, after + at, changed);
	change = csum_sub_at(change, before + kept, n - kept, kept);
	const uint16_t was = csum_finish(csum_add(0, before, n));
	const uint16_t is = csum_finish(csum_add(0, after, kept));
	const uint16_t updated = csum_update(was, change);
	MUST(updated % 0xFFFF == is % 0xFFFF);
	MUST(was == 0 || csum_udp_update(was, change) != 0);
	MUST(csum_udp_update(0, change) == 0);
	/* Its own checksum beside it makes a sum right. */
	MUST(csum_right(csum_add(0, before, n) + was));
	MUST(csum_fold(csum_sub(csum_add(0, before, n), before, n)) % 0xFFFF == 0);
}

static void frame_property(const uint8_t *data, size_t size)
{
	size_t len = 0, part_len = 0;
	const enum frame is = frame_next(data, size, &len);
	const size_t look = size < 64 ? size : 64;

	if (is == FRAME_STUN || is == FRAME_CHANNEL)
		MUST(len >= 4 && len <= size && len <= FRAME_LEN_MAX && len % 4 == 0);
	for (size_t n = 0; n <= look; n++) {
		const enum frame part = frame_next(data, n, &part_len);

		MUST(part == FRAME_WAIT || (part == is && part_len == len));
	}
	if (is == FRAME_STUN) {
		struct stun_msg msg;
		MUST(stun_open(data, len, &msg));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	demux_property(data, size);
	stun_property(data, size);
	checksum_property(data, size);
	frame_property(data, size);
	return 0;
}
