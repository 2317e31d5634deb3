/* Our own addresses, by id and by address. */
#include "dataplane/local.h"

#include <stdlib.h>

#include "dataplane/flow_table.h"

static unsigned home_of(const struct addr *a)
{
	uint64_t w[2];

	memcpy(w, a->ip, sizeof(w));
	return local_home(w[0], w[1]);
}

const struct local_slot *local_probe(const struct local_table *t, unsigned home,
                                     const struct addr *a)
{
	for (unsigned i = home; t->slot[i].used; i = (i + 1) % LOCAL_SLOTS)
		if (addr_equal(&t->slot[i].addr, a))
			return &t->slot[i];
	return NULL;
}

const struct local_slot *local_find(const struct local_table *t, const struct addr *a)
{
	const struct local_slot *s = local_probe(t, home_of(a), a);

	return s && !s->broadcast ? s : NULL;
}

/* The slot of an address, a new one if need be. NULL: the table is half full, as full as it gets.
 */
static struct local_slot *slot_for(struct local_table *t, const struct addr *a, unsigned *used)
{
	unsigned i = home_of(a);

	t->filter[i / 64] |= UINT64_C(1) << (i % 64);
	for (; t->slot[i].used; i = (i + 1) % LOCAL_SLOTS)
		if (addr_equal(&t->slot[i].addr, a))
			return &t->slot[i];
	if (++*used > LOCAL_ADDRESSES_MAX)
		return NULL;
	t->slot[i] = (struct local_slot){ .addr = *a, .used = true, .relay = LOCAL_NONE };
	memset(t->slot[i].listener, 0xFF, sizeof(t->slot[i].listener));
	return &t->slot[i];
}

/* The interface addresses, and the broadcast addresses of their networks (DEMUX-016). */
static bool add_port(struct local_table *t, const struct config_port *p, unsigned *used)
{
	for (unsigned i = 0; i < p->n_addresses; i++) {
		const struct prefix *net = &p->addresses[i];
		struct addr last = net->addr;

		struct local_slot *s = slot_for(t, &net->addr, used);
		if (!s)
			return false;
		s->broadcast = false;
		if (!addr_is4(&net->addr) || net->len > 126) /* /31 and /32 have none (RFC 3021) */
			continue;
		for (unsigned bit = net->len; bit < 128; bit++)
			last.ip[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		if (addr_equal(&last, &net->addr))
			continue;
		const unsigned before = *used;
		s = slot_for(t, &last, used);
		if (!s)
			return false;
		if (*used != before)
			s->broadcast = true;
	}
	return true;
}

static bool add_listener(struct local_table *t, const struct config_listener *c, unsigned *used)
{
	unsigned id = 0, n = 0;

	while (id < t->n_listeners && !(endpoint_equal(&t->listener[id].at, &c->at) &&
	                                t->listener[id].transport == c->transport))
		id++;
	if (id == LOCAL_LISTENERS_MAX)
		return false;
	if (id == t->n_listeners)
		t->n_listeners++;
	t->listener[id] = (struct local_listener){ .at = c->at,
		                                   .transport = (uint8_t)c->transport,
		                                   .live = true };
	struct local_slot *s = slot_for(t, &c->at.addr, used);
	if (!s)
		return false;
	s->broadcast = false;
	if (c->transport != TRANSPORT_UDP) /* the kernel's (DEMUX-064) */
		return true;
	while (n < LOCAL_PER_ADDRESS && s->listener[n] != LOCAL_NONE)
		if (s->port[n++] == c->at.port)
			return true;
	if (n == LOCAL_PER_ADDRESS)
		return false;
	s->listener[n] = (uint16_t)id;
	s->port[n] = c->at.port;
	return true;
}

/* Whether the host has this address too, or listens there: then only the range is the relay's. */
static bool shared(const struct config *cfg, const struct addr *a)
{
	for (unsigned p = 0; p < cfg->n_ports; p++)
		for (unsigned i = 0; i < cfg->ports[p].n_addresses; i++)
			if (addr_equal(&cfg->ports[p].addresses[i].addr, a))
				return true;
	for (unsigned i = 0; i < cfg->n_listeners; i++)
		if (addr_equal(&cfg->listeners[i].at.addr, a))
			return true;
	return false;
}

static bool add_relay(struct local_table *t, const struct config *cfg, const struct config_relay *c,
                      unsigned *used)
{
	const bool whole = !shared(cfg, &c->addr);
	unsigned id = 0;

	while (id < t->n_relays && !addr_equal(&t->relay[id].addr, &c->addr))
		id++;
	if (id == LOCAL_RELAYS_MAX)
		return false;
	if (id == t->n_relays)
		t->n_relays++;
	struct local_relay *r = &t->relay[id];
	*r = (struct local_relay){ .addr = c->addr,
		                   .advertise = c->advertise,
		                   .port_min = cfg->relay_port_min,
		                   .port_max = cfg->relay_port_max,
		                   .live = true };
	/* An address of its own: every port but the privileged ones, unless the range was chosen.
	 */
	if (whole && r->port_min == 49152 && r->port_max == 65535)
		r->port_min = 1024;
	struct local_slot *s = slot_for(t, &c->addr, used);
	if (!s)
		return false;
	s->broadcast = false;
	s->whole = whole;
	s->relay = (uint16_t)id;
	s->port_min = r->port_min;
	s->port_max = r->port_max;
	return true;
}

/* --- IPv4 in one step --- */

static uint32_t word_of(const struct addr *a)
{
	uint32_t ip;

	memcpy(&ip, a->ip + 12, sizeof(ip));
	return ip;
}

/* How many addresses have a home that another has already. */
static unsigned crowded(const struct local_table *t, uint32_t mix)
{
	uint64_t taken[LOCAL_HOMES4 / 64] = { 0 };
	unsigned n = 0;

	for (unsigned i = 0; i < LOCAL_SLOTS; i++) {
		if (!t->slot[i].used || !addr_is4(&t->slot[i].addr))
			continue;
		const unsigned home = word_of(&t->slot[i].addr) * mix >> 22;

		n += taken[home / 64] >> (home % 64) & 1;
		taken[home / 64] |= UINT64_C(1) << (home % 64);
	}
	return n;
}

static void choose_mix4(struct local_table *t)
{
	enum { TRIES = 64 };
	uint64_t x = UINT64_C(0x9E3779B97F4A7C15);
	unsigned least = UINT32_MAX;

	for (unsigned i = 0; i < TRIES && least > 0; i++) {
		const uint32_t mix = (uint32_t)(x >> 32) | 1;
		const unsigned n = crowded(t, mix);

		if (n < least) {
			least = n;
			t->mix4 = mix;
		}
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	}
}

static struct local_own4 own4_of(const struct local_slot *s)
{
	struct local_own4 o = { .ip = word_of(&s->addr),
		                .listen = LOCAL_NO_PORT,
		                .port_min = LOCAL_NO_PORT,
		                .listener = LOCAL_NONE,
		                .relay = s->relay };

	if (s->relay != LOCAL_NONE) {
		o.port_min = s->port_min;
		o.port_span = (uint32_t)s->port_max - s->port_min;
	}
	/* A relay's range comes before a listener in it. */
	if (s->listener[0] != LOCAL_NONE && s->port[0] - o.port_min > o.port_span) {
		o.listener = s->listener[0];
		o.listen = __builtin_bswap16(s->port[0]);
		o.tail = flow_key_tail(0, 0, o.listener, FLOW_CHANNEL);
	}
	return o;
}

static void build_own4(struct local_table *t)
{
	unsigned n = 1; /* own4[0] is nobody */

	for (unsigned i = 0; i < t->n_relays; i++)
		t->relay4[i] = word_of(&t->relay[i].addr);
	for (unsigned i = 0; i < t->n_listeners; i++)
		t->listen4[i] = (struct local_at4){ word_of(&t->listener[i].at.addr),
			                            __builtin_bswap16(t->listener[i].at.port) };
	choose_mix4(t);
	t->own4[0] = (struct local_own4){ .listen = LOCAL_NO_PORT,
		                          .port_min = LOCAL_NO_PORT,
		                          .listener = LOCAL_NONE,
		                          .relay = LOCAL_NONE };
	for (unsigned i = 0; i < 256; i++)
		if (i == 0 || i == 127 || i >= 224) /* TURN-227 */
			t->odd4[i] |= LOCAL_ODD_OCTET;
	for (unsigned i = 0; i < LOCAL_SLOTS; i++) {
		const struct local_slot *const s = &t->slot[i];

		if (!s->used || !addr_is4(&s->addr))
			continue;
		const unsigned home = local_home4(t, word_of(&s->addr));

		t->odd4[home] |= LOCAL_ODD_HOME;
		if (s->broadcast || t->home4[home] || n == LOCAL_OWN4_MAX)
			continue;
		t->home4[home] = (uint8_t)n;
		t->own4[n++] = own4_of(s);
	}
}

struct local_table *local_build(const struct config *cfg, const struct local_table *old)
{
	struct local_table *t = aligned_alloc(ABI_LINE, sizeof(*t));
	unsigned used = 0;
	bool fits = true;

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	if (old) {
		memcpy(t->listener, old->listener, sizeof(t->listener));
		memcpy(t->relay, old->relay, sizeof(t->relay));
		t->n_listeners = old->n_listeners;
		t->n_relays = old->n_relays;
	}
	for (unsigned i = 0; i < t->n_listeners; i++)
		t->listener[i].live = false;
	for (unsigned i = 0; i < t->n_relays; i++)
		t->relay[i].live = false;
	for (unsigned i = 0; fits && i < cfg->n_ports; i++)
		fits = add_port(t, &cfg->ports[i], &used);
	for (unsigned i = 0; fits && i < cfg->n_listeners; i++)
		fits = add_listener(t, &cfg->listeners[i], &used);
	for (unsigned i = 0; fits && i < cfg->n_relays; i++)
		fits = add_relay(t, cfg, &cfg->relays[i], &used);
	if (fits) {
		build_own4(t);
		return t;
	}
	free(t);
	return NULL;
}

void local_free(struct local_table *t)
{
	free(t);
}

uint16_t local_relay_of(const struct local_table *t, const struct addr *a)
{
	for (unsigned i = 0; i < t->n_relays; i++)
		if (t->relay[i].live &&
		    (addr_equal(&t->relay[i].addr, a) || addr_equal(&t->relay[i].advertise, a)))
			return (uint16_t)i;
	return LOCAL_NONE;
}

uint16_t local_relay_at(const struct local_table *t, const struct addr *a, uint16_t port)
{
	const uint16_t id = local_relay_of(t, a);

	return id != LOCAL_NONE && port >= t->relay[id].port_min && port <= t->relay[id].port_max
	               ? id
	               : LOCAL_NONE;
}
