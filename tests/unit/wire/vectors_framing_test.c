/* include/wire against the vectors for ChannelData, demultiplexing, streams and checksums. */
#include "tests/unit/wire/each.h"
#include "wire/checksum.h"
#include "wire/demux.h"
#include "wire/frame.h"

/* ---- ChannelData, demultiplexing, streams */

static void test_channeldata(void)
{
	unsigned n = 0;

	EACH(v, "channeldata")
	{
		struct channel_data cd;
		const bool opens = channel_open(v->octets, v->len, CHANNEL_MAX, &cd);

		CHECK(opens == (strcmp(v->action, "accept") == 0), v->name);
		n++;
		if (!opens)
			continue;
		CHECK(cd.number == number(v->json, "channel"), v->name);
		CHECK(cd.len == number(v->json, "length"), v->name);
		CHECK(hex_equal(vectors_text(v->json, "data"), cd.data, cd.len), v->name);
		CHECK(hex_equal(vectors_text(v->json, "padding"), cd.data + cd.len,
		                v->len - CHANNEL_HDR_LEN - cd.len),
		      v->name);
		uint8_t hdr[CHANNEL_HDR_LEN];
		channel_put(hdr, cd.number, cd.len);
		CHECK(memcmp(hdr, v->octets, sizeof(hdr)) == 0, v->name);
	}
	printf("\n    channeldata: %u ", n);
	CHECK(n == 27, "channeldata");
}

static void test_demux(void)
{
	unsigned n = 0;

	EACH(v, "demux")
	{
		const unsigned serve =
			json_is_true(json_object_get(v->json, "dtls")) ? DEMUX_SERVE_DTLS : 0;
		const enum demux is = demux_datagram(v->octets, v->len, serve);
		const bool drop = strncmp(v->action, "drop ", 5) == 0;

		CHECK(strcmp(demux_name(is), drop ? v->action + 5 : v->action) == 0, v->name);
		CHECK(drop == demux_refuses(is), v->name);
		n++;
	}
	printf("\n    demux: %u ", n);
	CHECK(n == 30, "demux");
}

/*
 * Feeds octets `step` at a time and compares what frame_next() cuts out. Only what has come is in
 * the buffer, so that a look ahead shows under ASan.
 */
static void cut(const struct vector *v, size_t first, size_t step)
{
	const json_t *frames = json_object_get(v->json, "frames");
	const bool fresh = json_is_true(json_object_get(v->json, "new_connection"));
	size_t at = 0, got = first, i = 0, len;
	enum frame is = FRAME_WAIT;

	if (fresh && frame_sniff(v->octets[0]) != SNIFF_STUN)
		is = FRAME_CLOSE;
	while (is != FRAME_CLOSE) {
		uint8_t *part = malloc(got - at);
		memcpy(part, v->octets + at, got - at);
		is = frame_next(part, got - at, &len);
		free(part);
		if (is == FRAME_STUN || is == FRAME_CHANNEL) {
			CHECK(hex_equal(json_string_value(json_array_get(frames, i)) ?: "",
			                v->octets + at, len),
			      v->name);
			at += len;
			i++;
		} else if (is == FRAME_WAIT) {
			if (got == v->len)
				break;
			got = got + step < v->len ? got + step : v->len;
		}
	}
	const char *state = is == FRAME_CLOSE ? "close" : at == v->len ? "idle" : "wait";
	CHECK(strcmp(state, v->action) == 0, v->name);
	CHECK(i == json_array_size(frames), v->name);
	CHECK(hex_equal(vectors_text(v->json, "rest"), v->octets + at, v->len - at), v->name);
}

static void test_stream(void)
{
	static const char *const sniffs[] = { "stun", "tls", "close" };
	unsigned n = 0, cuts = 0;

	EACH(v, "stream")
	{
		n++;
		if (strncmp(v->name, "stream-sniff-", 13) == 0) {
			CHECK(strcmp(sniffs[frame_sniff(v->octets[0])], v->action) == 0, v->name);
			continue;
		}
		for (size_t at = 0; at <= v->len; at++, cuts++)
			cut(v, at, v->len);
		cut(v, 1, 1);
	}
	printf("\n    stream: %u, cut at %u places ", n, cuts);
	CHECK(n == 17, "stream");
}

/* ---- Checksums */

struct packet {
	uint8_t *ip;
	size_t len, addr_len, hdr_len;
	const uint8_t *src, *udp;
	uint16_t udp_len;
};

static struct packet packet(const char *hex)
{
	struct packet p;

	p.ip = vectors_hex(hex, &p.len);
	p.addr_len = p.ip[0] >> 4 == 4 ? 4 : 16;
	p.hdr_len = p.addr_len == 4 ? (p.ip[0] & 15) * 4u : 40;
	p.src = p.ip + (p.addr_len == 4 ? 12 : 8);
	p.udp = p.ip + p.hdr_len;
	p.udp_len = be16_load(p.udp + 4);
	return p;
}

static const char *state(const struct packet *p)
{
	if (be16_load(p->udp + 6) == 0)
		return "none";
	return csum_udp_right(p->src, p->src + p->addr_len, p->addr_len, p->udp, p->udp_len)
	               ? "ok"
	               : "wrong";
}

/* Everything under the UDP checksum but payload and the field itself: addresses, ports, length
 * twice. */
static uint64_t covered(uint64_t sum, const struct packet *p,
                        uint64_t (*op)(uint64_t, const void *, size_t),
                        uint64_t (*op16)(uint64_t, uint16_t))
{
	sum = op(sum, p->src, 2 * p->addr_len);
	sum = op(sum, p->udp, 4);
	return op16(op16(sum, p->udp_len), p->udp_len);
}

static uint16_t updated(const struct vector *v, const struct packet *before,
                        const struct packet *after)
{
	size_t removed_len, added_len;
	uint8_t *removed = vectors_hex(vectors_text(v->json, "removed"), &removed_len);
	uint8_t *added = vectors_hex(vectors_text(v->json, "added"), &added_len);
	uint64_t change = covered(0, before, csum_sub, csum_sub16);

	change = covered(change, after, csum_add, csum_add16);
	change = csum_sub(change, removed, removed_len);
	change = csum_add(change, added, added_len);
	free(removed);
	free(added);

	/* The same from the packet itself, padding where it lies (DEMUX-075). */
	const uint8_t *payload = before->udp + 8;
	if (strncmp(vectors_text(v->json, "op"), "ChannelData", 11) == 0) {
		const size_t data = be16_load(payload + 2);
		uint64_t direct = covered(0, before, csum_sub, csum_sub16);

		direct = covered(direct, after, csum_add, csum_add16);
		direct = csum_sub(direct, payload, 4);
		direct =
			csum_sub_at(direct, payload + 4 + data, before->udp_len - 12u - data, data);
		CHECK(csum_fold(direct) == csum_fold(change), v->name);
	}
	return csum_udp_update(csum_load(before->udp + 6), change);
}

static void rewritten(const struct vector *v)
{
	struct packet before = packet(vectors_text(v->json, "before"));
	struct packet after = packet(vectors_text(v->json, "after"));
	const bool to6 = before.addr_len == 4 && after.addr_len == 16;
	uint8_t field[2];

	CHECK(strcmp(state(&before), vectors_text(v->json, "state_before")) == 0, v->name);
	CHECK(strcmp(state(&after), vectors_text(v->json, "state_after")) == 0, v->name);
	CHECK(hex_equal(vectors_text(v->json, "udp_sum_before"), before.udp + 6, 2), v->name);
	if (to6 && csum_load(before.udp + 6) == 0) { /* DEMUX-073 */
		uint8_t *udp = malloc(after.udp_len);

		memcpy(udp, after.udp, after.udp_len);
		csum_store(udp + 6, 0);
		csum_store(field, csum_udp(after.src, after.src + 16, 16, udp, after.udp_len));
		free(udp);
	} else {
		csum_store(field, updated(v, &before, &after));
	}
	CHECK(hex_equal(vectors_text(v->json, "udp_sum_after"), field, 2), v->name);
	if (before.addr_len == 4)
		CHECK(csum_right(csum_add(0, before.ip, before.hdr_len)), v->name);
	if (before.addr_len == 4 && after.addr_len == 4) {
		uint64_t change = csum_sub(0, before.ip, 10);

		change = csum_sub(change, before.ip + 12, 8);
		change = csum_add(change, after.ip, 10);
		change = csum_add(change, after.ip + 12, 8);
		CHECK(csum_update(csum_load(before.ip + 10), change) == csum_load(after.ip + 10),
		      v->name);
	}
	free(before.ip);
	free(after.ip);
}

static void single_step(const struct vector *v)
{
	size_t n;
	uint8_t *hc = vectors_hex(vectors_text(v->json, "old_sum"), &n);
	uint8_t *old = vectors_hex(vectors_text(v->json, "old"), &n);
	uint8_t *new = vectors_hex(vectors_text(v->json, "new"), &n);
	uint8_t field[2];

	csum_store(field, csum_update(csum_load(hc), csum_add(csum_sub(0, old, n), new, n)));
	CHECK(hex_equal(vectors_text(v->json, "new_sum"), field, 2), v->name);
	/* By words in host order, as ports and lengths are given. */
	uint64_t change = 0;
	for (size_t i = 0; i < n; i += 2)
		change = csum_add16(csum_sub16(change, be16_load(old + i)), be16_load(new + i));
	csum_store(field, csum_update(csum_load(hc), change));
	CHECK(hex_equal(vectors_text(v->json, "new_sum"), field, 2), v->name);
	free(hc);
	free(old);
	free(new);
}

static void test_sum(void)
{
	unsigned steps = 0, pairs = 0, single = 0, left = 0;

	EACH(v, "sum")
	{
		if (json_object_get(v->json, "old_sum") != NULL) {
			single_step(v);
			steps++;
		} else if (json_object_get(v->json, "after") != NULL) {
			rewritten(v);
			pairs++;
		} else if (strncmp(v->why, "udp-", 4) == 0) {
			printf("\n    left to the data plane's classifier (%s): %s", v->why,
			       v->name);
			left++;
		} else {
			struct packet p = packet(vectors_text(v->json, "before"));
			const bool accept = strcmp(v->action, "accept") == 0;

			CHECK(csum_right(csum_add(0, p.ip, p.hdr_len)) == accept, v->name);
			if (accept) { /* DEMUX-007: the UDP length says where the data ends */
				CHECK(strcmp(state(&p), "ok") == 0, v->name);
				CHECK(hex_equal(vectors_text(v->json, "data"), p.udp + 8,
				                p.udp_len - 8u),
				      v->name);
			}
			free(p.ip);
			single++;
		}
	}
	printf("\n    sum: %u steps, %u rewrites, %u packets, %u left ", steps, pairs, single,
	       left);
	CHECK(steps == 7, "steps");
	CHECK(pairs == 25, "rewrites");
	CHECK(single == 2, "packets");
	CHECK(left == 3, "left");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "channeldata", test_channeldata },
		{ "demux", test_demux },
		{ "stream", test_stream },
		{ "sum", test_sum },
		CU_TEST_INFO_NULL,
	};

	all = vectors_load();
	const int status = run_suite("wire/vectors_framing", tests);
	vectors_free(all);
	return status;
}
