/* A capture becomes a plan: who is the server, who its clients, what they sent and when. */
#include <stdlib.h>

#include <pcap/pcap.h>

#include "log.h"
#include "pkt-gen/replay_parts.h"
#include "wire/attr.h"

/* --- numbers for keys --- */

static uint32_t hash(const uint8_t key[REPLAY_KEY])
{
	uint64_t h = UINT64_C(0xCBF29CE484222325);

	for (unsigned i = 0; i < REPLAY_KEY; i++)
		h = (h ^ key[i]) * UINT64_C(0x100000001B3);
	return (uint32_t)(h ^ h >> 32);
}

static uint32_t place(const struct index *x, const uint8_t key[REPLAY_KEY])
{
	uint32_t at = hash(key) & (x->slots - 1);

	while (x->slot[at] != REPLAY_NONE && memcmp(x->key[x->slot[at]], key, REPLAY_KEY) != 0)
		at = (at + 1) & (x->slots - 1);
	return at;
}

int32_t index_find(const struct index *x, const uint8_t key[REPLAY_KEY])
{
	return x->slots == 0 ? REPLAY_NONE : x->slot[place(x, key)];
}

static bool grow(struct index *x)
{
	const int32_t cap = x->cap != 0 ? x->cap * 2 : 64;
	const uint32_t slots = (uint32_t)cap * 2;
	uint8_t(*key)[REPLAY_KEY] = realloc(x->key, (size_t)cap * REPLAY_KEY);
	int32_t *slot;

	if (key == NULL)
		return false;
	x->key = key;
	slot = malloc(slots * sizeof(*slot));
	if (slot == NULL)
		return false;
	free(x->slot);
	x->slot = slot;
	x->slots = slots;
	x->cap = cap;
	for (uint32_t i = 0; i < slots; i++)
		slot[i] = REPLAY_NONE;
	for (int32_t i = 0; i < x->n; i++)
		slot[place(x, x->key[i])] = i;
	return true;
}

int32_t index_add(struct index *x, const uint8_t key[REPLAY_KEY])
{
	const int32_t found = index_find(x, key);

	if (found != REPLAY_NONE)
		return found;
	if (x->n == x->cap && !grow(x))
		return REPLAY_NONE;
	memcpy(x->key[x->n], key, REPLAY_KEY);
	x->slot[place(x, key)] = x->n;
	return x->n++;
}

void index_free(struct index *x)
{
	free(x->key);
	free(x->slot);
	*x = (struct index){ .n = 0 };
}

void index_endpoint(uint8_t key[REPLAY_KEY], const struct endpoint *e)
{
	memcpy(key, e->addr.ip, 16);
	memcpy(key + 16, &e->port, 2);
}

void index_txid(uint8_t key[REPLAY_KEY], int32_t client, uint16_t method,
                const uint8_t txid[STUN_TXID_LEN])
{
	memcpy(key, &client, 4);
	memcpy(key + 4, txid, STUN_TXID_LEN);
	memcpy(key + 16, &method, 2);
}

static int32_t add_endpoint(struct index *x, const struct endpoint *e)
{
	uint8_t key[REPLAY_KEY];

	index_endpoint(key, e);
	return index_add(x, key);
}

/* --- the packets as they were --- */

struct raw {
	uint64_t at_ns;
	size_t octets;
	uint16_t len;
	int32_t from, to;
};

struct capture_file {
	struct raw *raw;
	int32_t n, cap;
	struct index ends;
	uint64_t first_ns, last_ns;
};

static struct endpoint end_at(const struct capture_file *f, int32_t i)
{
	struct endpoint e;

	memcpy(e.addr.ip, f->ends.key[i], 16);
	memcpy(&e.port, f->ends.key[i] + 16, 2);
	return e;
}

static bool keep_octets(struct replay *r, const uint8_t *octets, size_t len)
{
	while (r->octets == NULL || r->octets_n + len > r->octets_cap) {
		const size_t cap = r->octets_cap != 0 ? r->octets_cap * 2 : 65536;
		uint8_t *more = realloc(r->octets, cap);

		if (more == NULL)
			return false;
		r->octets = more;
		r->octets_cap = cap;
	}
	if (len > 0)
		memcpy(r->octets + r->octets_n, octets, len);
	r->octets_n += len;
	return true;
}

static bool keep(struct replay *r, struct capture_file *f, uint64_t at_ns, const struct packet *p)
{
	struct raw raw = { .octets = r->octets_n, .len = (uint16_t)p->len };

	if (p->len > REPLAY_PAYLOAD_MAX) {
		r->too_long++;
		return true;
	}
	if (f->n == f->cap) {
		const int32_t cap = f->cap != 0 ? f->cap * 2 : 256;
		struct raw *more = realloc(f->raw, (size_t)cap * sizeof(*more));

		if (more == NULL)
			return false;
		f->raw = more;
		f->cap = cap;
	}
	/* Time does not go back, whatever the file says. */
	if (f->n == 0)
		f->first_ns = f->last_ns = at_ns;
	f->last_ns = at_ns > f->last_ns ? at_ns : f->last_ns;
	raw.at_ns = f->last_ns - f->first_ns;
	raw.from = add_endpoint(&f->ends, &p->from);
	raw.to = add_endpoint(&f->ends, &p->to);
	if (raw.from == REPLAY_NONE || raw.to == REPLAY_NONE || !keep_octets(r, p->octets, p->len))
		return false;
	f->raw[f->n++] = raw;
	return true;
}

static bool read_all(struct replay *r, pcap_t *pcap, const char *path, struct capture_file *f)
{
	const int link = pcap_datalink(pcap);
	struct pcap_pkthdr *head;
	const u_char *octets;
	int rc;

	if (!capture_knows(link)) {
		log_error("replay", "link",
		          "file=%s error=\"link type %s; Ethernet, SLL, SLL2, raw IP are read\"",
		          path,
		          pcap_datalink_val_to_name(link) ? pcap_datalink_val_to_name(link)
		                                          : "unknown");
		return false;
	}
	while ((rc = pcap_next_ex(pcap, &head, &octets)) == 1) {
		struct packet p;
		const enum capture c = capture_datagram(link, octets, head->caplen, head->len, &p);

		r->seen[c]++;
		if (c != CAPTURE_UDP)
			continue;
		if (f->n == REPLAY_ITEMS_MAX) {
			log_warning("replay", "long", "file=%s taken=%d", path, f->n);
			return true;
		}
		if (!keep(r, f,
		          (uint64_t)head->ts.tv_sec * UINT64_C(1000000000) +
		                  (uint64_t)head->ts.tv_usec,
		          &p)) {
			log_error("replay", "memory", "file=%s", path);
			return false;
		}
	}
	/* What was read until here is as good as it was. */
	if (rc == PCAP_ERROR)
		log_warning("replay", "cut", "file=%s after=%d error=\"%s\"", path, f->n,
		            pcap_geterr(pcap));
	return true;
}

/* --- who is the server --- */

struct votes {
	uint32_t turn, binding, channel;
};

static bool is_turn(unsigned method)
{
	return method == TURN_ALLOCATE || method == TURN_REFRESH ||
	       method == TURN_CREATE_PERMISSION || method == TURN_CHANNEL_BIND;
}

static bool more(const struct votes *a, const struct votes *b)
{
	if (a->turn != b->turn)
		return a->turn > b->turn;
	return a->binding != b->binding ? a->binding > b->binding : a->channel > b->channel;
}

static bool find_server(struct replay *r, const struct capture_file *f, const char *path)
{
	struct votes *v = calloc((size_t)f->ends.n + 1, sizeof(*v));
	int32_t best = 0;

	for (int32_t i = 0; v != NULL && i < f->n; i++) {
		const struct raw *raw = &f->raw[i];
		const uint8_t *p = r->octets + raw->octets;
		struct channel_data cd;
		struct stun_msg msg;

		if (stun_open(p, raw->len, &msg)) {
			const enum stun_class cls = stun_class(msg.type);
			const bool asks = cls == STUN_REQUEST;

			if (is_turn(stun_method(msg.type)) && cls != STUN_INDICATION)
				v[asks ? raw->to : raw->from].turn++;
			else if (stun_method(msg.type) == STUN_BINDING && asks)
				v[raw->to].binding++;
		} else if (channel_open(p, raw->len, CHANNEL_MAX_5766, &cd)) {
			v[raw->to].channel++;
		}
	}
	for (int32_t i = 1; v != NULL && i < f->ends.n; i++)
		best = more(&v[i], &v[best]) ? i : best;
	const bool any = v != NULL && f->ends.n != 0 &&
	                 (v[best].turn | v[best].binding | v[best].channel) != 0;
	free(v);
	if (any)
		r->captured = end_at(f, best);
	else
		log_error("replay", "empty",
		          "file=%s datagrams=%d error=\"no STUN and no ChannelData in it\"", path,
		          f->n);
	return any;
}

/* --- the plan --- */

#define MORE(array, n, cap)                                 \
	((n) < (cap) || ((cap) = (cap) != 0 ? (cap)*2 : 64, \
	                 more_room((void **)&(array), (size_t)(cap) * sizeof(*(array)))))

static bool more_room(void **array, size_t octets)
{
	void *room = realloc(*array, octets);

	if (room != NULL)
		*array = room;
	return room != NULL;
}

static bool add_item(struct replay *r, const struct replay_item *item)
{
	if (!MORE(r->item, r->items, r->items_cap))
		return false;
	r->item[r->items++] = *item;
	return true;
}

/* Peers are numbered by address and by endpoint, before any is sent to. */
static bool add_peer(struct replay *r, const struct endpoint *e)
{
	const struct endpoint ip = { .addr = e->addr };

	return add_endpoint(&r->peers, e) != REPLAY_NONE &&
	       add_endpoint(&r->peer_ips, &ip) != REPLAY_NONE;
}

static bool add_peers_of(struct replay *r, const struct stun_msg *msg)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr;
	struct endpoint e;

	while (stun_next(&it, &attr))
		if (attr.type == TURN_XOR_PEER_ADDRESS && stun_xor_addr(msg, &attr, &e) != 0 &&
		    !add_peer(r, &e))
			return false;
	return true;
}

static bool add_request(struct replay *r, struct replay_item *item, const struct stun_msg *msg)
{
	const uint16_t method = (uint16_t)stun_method(msg->type);
	struct stun_attr attr;
	uint8_t key[REPLAY_KEY];
	int32_t before = r->txids.n;

	index_txid(key, item->client, method, msg->txid);
	item->what = index_add(&r->txids, key);
	if (item->what == REPLAY_NONE || !MORE(r->transaction, item->what, r->transactions_cap))
		return false;
	if (item->what < before)
		return true; /* a retransmission */
	r->transaction[item->what] = (struct replay_transaction){
		.client = item->client,
		.item = r->items,
		.method = method,
		.code = -1,
		.authenticated = method != STUN_BINDING &&
		                 (stun_find(msg, STUN_MESSAGE_INTEGRITY, &attr) ||
		                  stun_find(msg, STUN_MESSAGE_INTEGRITY_SHA256, &attr)),
	};
	return true;
}

static bool from_client(struct replay *r, const struct raw *raw, const struct endpoint *from)
{
	struct replay_item item = { .at_ns = raw->at_ns,
		                    .octets = raw->octets,
		                    .len = raw->len,
		                    .kind = REPLAY_DATA,
		                    .what = REPLAY_NONE,
		                    .next = REPLAY_NONE };
	struct stun_msg msg;

	item.client = add_endpoint(&r->clients, from);
	if (item.client == REPLAY_NONE)
		return false;
	if (stun_open(r->octets + raw->octets, raw->len, &msg)) {
		const enum stun_class cls = stun_class(msg.type);

		if (cls == STUN_REQUEST || cls == STUN_INDICATION) {
			item.kind = cls == STUN_REQUEST ? REPLAY_REQUEST : REPLAY_INDICATION;
			if (!add_peers_of(r, &msg))
				return false;
		}
		if (cls == STUN_REQUEST && !add_request(r, &item, &msg))
			return false;
	}
	return add_item(r, &item);
}

static bool add_relayed(struct replay *r, int32_t client, int32_t transaction,
                        const struct stun_msg *msg)
{
	struct stun_iter it = stun_attrs(msg);
	struct stun_attr attr;
	struct endpoint e, ip;

	while (stun_next(&it, &attr)) {
		int32_t i;

		if (attr.type != TURN_XOR_RELAYED_ADDRESS || stun_xor_addr(msg, &attr, &e) == 0)
			continue;
		ip = (struct endpoint){ .addr = e.addr };
		i = add_endpoint(&r->relays, &e);
		if (i == REPLAY_NONE || add_endpoint(&r->relay_ips, &ip) == REPLAY_NONE ||
		    !MORE(r->relayed, i, r->relayed_cap))
			return false;
		r->relayed[i] =
			(struct replay_relayed){ .client = client, .transaction = transaction };
	}
	return true;
}

/* What the server said then: expected now, and where its clients were relayed. */
static bool from_server(struct replay *r, const struct raw *raw, const struct endpoint *to)
{
	const uint8_t *reason;
	uint8_t key[REPLAY_KEY];
	struct stun_attr attr;
	struct stun_msg msg;
	int32_t client, t;
	size_t n;

	if (!stun_open(r->octets + raw->octets, raw->len, &msg))
		return true;
	index_endpoint(key, to);
	client = index_find(&r->clients, key);
	if (client == REPLAY_NONE)
		return true;
	index_txid(key, client, (uint16_t)stun_method(msg.type), msg.txid);
	t = index_find(&r->txids, key);
	if (t == REPLAY_NONE || r->transaction[t].code >= 0)
		return true;
	if (stun_class(msg.type) == STUN_ERROR && stun_find(&msg, STUN_ERROR_CODE, &attr))
		r->transaction[t].code = (int16_t)stun_error_code(&attr, &reason, &n);
	if (stun_class(msg.type) != STUN_SUCCESS)
		return true;
	r->transaction[t].code = 0;
	return r->transaction[t].method != TURN_ALLOCATE || add_relayed(r, client, t, &msg);
}

static bool from_peer(struct replay *r, const struct raw *raw, const struct endpoint *from,
                      int32_t relayed)
{
	const struct replay_item item = { .at_ns = raw->at_ns,
		                          .octets = raw->octets,
		                          .len = raw->len,
		                          .kind = REPLAY_PEER,
		                          .client = r->relayed[relayed].client,
		                          .what = relayed,
		                          .peer = add_endpoint(&r->peers, from),
		                          .next = REPLAY_NONE };

	return item.peer != REPLAY_NONE && add_peer(r, from) && add_item(r, &item);
}

static bool plan(struct replay *r, const struct capture_file *f, const char *path)
{
	for (int32_t i = 0; i < f->n; i++) {
		const struct endpoint from = end_at(f, f->raw[i].from);
		const struct endpoint to = end_at(f, f->raw[i].to);
		uint8_t key[REPLAY_KEY];
		int32_t relayed;
		bool good = true;

		index_endpoint(key, &to);
		relayed = index_find(&r->relays, key);
		if (endpoint_equal(&to, &r->captured))
			good = from_client(r, &f->raw[i], &from);
		else if (endpoint_equal(&from, &r->captured))
			good = from_server(r, &f->raw[i], &to);
		else if (relayed != REPLAY_NONE)
			good = from_peer(r, &f->raw[i], &from, relayed);
		else
			r->foreign++;
		if (!good) {
			log_error("replay", "memory", "file=%s", path);
			return false;
		}
	}
	if (r->items != 0)
		return true;
	log_error("replay", "empty", "file=%s error=\"nothing in it goes to the server\"", path);
	return false;
}

bool replay_load(struct replay *r, FILE *in, const char *path)
{
	struct capture_file f = { .n = 0 };
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap =
		pcap_fopen_offline_with_tstamp_precision(in, PCAP_TSTAMP_PRECISION_NANO, error);
	bool good;

	if (pcap == NULL) {
		log_error("replay", "file", "file=%s error=\"%s\"", path, error);
		fclose(in);
		return false;
	}
	good = read_all(r, pcap, path, &f) && find_server(r, &f, path) && plan(r, &f, path);
	pcap_close(pcap); /* closes the file */
	free(f.raw);
	index_free(&f.ends);
	return good;
}
