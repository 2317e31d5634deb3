/*
 * What an allocation costs in memory, both processes' structures together: a million allocations
 * with a permission and a channel each over 16 relay addresses, made by signed requests. The engine
 * and the store are control's, and what they command is carried out on the data plane's tables, in
 * this process. Counted is what became resident since before anything was made, huge pages too, so
 * whatever a table has beside what it uses is in the figure.
 *
 * Not counted: packet buffers, the rings, the programs themselves; they do not grow with the
 * number.
 */
#include <string.h>

#include "bench/bench.h"
#include "bench/scale_tables.h"
#include "control/turn/server.h"
#include "tests/rig/turn_rig.h"

enum {
	MANY = 1000000,
	FEW = 100000, /* --quick */
	USERS = 100,
	RELAYS = 16,
	CHANNEL = 0x4000,
};

/* --- the clients --- */

static struct config_user users[USERS];
static uint32_t n_clients;
static char password[] = "secret";

static void settle(struct rig *r)
{
	struct config *c = &r->cfg;

	for (unsigned i = 0; i < USERS; i++) {
		static char name[USERS][16];

		snprintf(name[i], sizeof(name[i]), "user%03u", i);
		users[i] = (struct config_user){ name[i], password };
	}
	c->users = users;
	c->n_users = USERS;
	c->limit_allocations = n_clients;
	c->limit_allocations_per_user = n_clients;
	c->relay_port_min = 1024;
	c->relay_port_max = 65535;
	for (unsigned i = 0; i < RELAYS; i++)
		c->relays[i].addr = c->relays[i].advertise = rig_peer4(i, 1).addr;
	c->n_relays = RELAYS;
	r->on_flow = scale_carry_out;
	scale_make(c);
}

static struct endpoint peer_of(uint32_t i)
{
	struct endpoint e = rig_peer4(32 + i % 200, 1);

	e.port = (uint16_t)(1024 + i % 60000);
	return e;
}

static void fill(struct bench *b, struct rig *r)
{
	for (uint32_t i = 0; i < n_clients; i++) {
		struct rig_client c = rig_client4(i);
		const struct endpoint peer = peer_of(i);

		c.user = users[i % USERS].name;
		c.password = password;
		if (rig_allocate(r, &c) != 0 ||
		    rig_bind(r, &c, (uint16_t)(CHANNEL + i % 4096), &peer) != 0) {
			bench_fail(b, "a request was refused");
			return;
		}
	}
	if (turn_allocations(r->srv) != n_clients || scale_refused() > 0)
		bench_fail(b, "not every allocation is there");
}

/* Every thousandth client's channel leads to its row, and that row to its peer. */
static void probe(struct bench *b)
{
	for (uint32_t i = 0; i < n_clients; i += 1000) {
		const struct rig_client c = rig_client4(i);
		const struct endpoint peer = peer_of(i);

		if (!scale_leads(&c.at, (uint16_t)(CHANNEL + i % 4096), &peer)) {
			bench_fail(b, "a channel that is not in the tables");
			return;
		}
	}
}

/* --- memory --- */

static double resident(void)
{
	double kib = 0, v;
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmRSS: %lf", &v) == 1 ||
		    sscanf(line, "HugetlbPages: %lf", &v) == 1)
			kib += v;
	if (f != NULL)
		fclose(f);
	return kib * 1024;
}

static void show(const char *what, double octets)
{
	printf("#   %-44s %8.1f\n", what, octets / n_clients);
}

static double index_octets(const struct index *x, uint32_t n_nodes)
{
	return scale_resident(x->bucket, ((size_t)x->mask + 1) * 4) +
	       scale_resident(x->next, (size_t)n_nodes * 4);
}

static void show_control(const struct turn_server *s)
{
	const uint32_t n_alloc = s->pool_alloc.n, n_peer = s->pool_peer.n;

	show("control: allocations", scale_resident(s->allocs, n_alloc * sizeof(struct alloc)));
	show("control: permissions and channels",
	     scale_resident(s->peers, n_peer * sizeof(struct peer)));
	show("control: index by five-tuple", index_octets(&s->by_tuple, n_alloc));
	show("control: index by id", index_octets(&s->by_id, n_alloc));
	show("control: indexes of permissions and channels",
	     index_octets(&s->by_perm, n_peer) + index_octets(&s->by_number, n_peer) +
	             index_octets(&s->by_peer, n_peer));
	show("control: timers", scale_resident(s->timers, (size_t)s->timer_nonce * 16));
}

int main(int argc, char **argv)
{
	struct bench b;
	struct rig r;

	bench_begin(&b, argc, argv);
	n_clients = b.quick ? FEW : MANY;
	const double before = resident();

	rig_open(&r, settle);
	const double empty = resident() - before;
	const uint64_t from_ns = bench_now_ns();

	fill(&b, &r);
	const double seconds = (double)(bench_now_ns() - from_ns) * 1e-9;
	const double all = resident() - before, each = all / n_clients, mib = all / (1 << 20);

	probe(&b);
	printf("# %u allocations, a permission and a channel each, in %.1f s; octets for each:\n",
	       n_clients, seconds);
	show("before the first", empty);
	show("control: the store", scale_resident(store_body(r.store, store_next(r.store, 0), NULL),
	                                          (size_t)store_used(r.store) * 256));
	show_control(r.srv);
	scale_show(show);
	if (b.quick) {
		bench_report(&b, &(struct bench_line){ .name = "mem.allocation.100k",
		                                       .unit = "octets",
		                                       .value = &each,
		                                       .n = 1 });
	} else {
		bench_report(&b, &(struct bench_line){ .name = "mem.allocation",
		                                       .unit = "octets",
		                                       .value = &each,
		                                       .n = 1 });
		bench_bar("octets an allocation", each, "<= 512", each <= 512);
		bench_report(&b, &(struct bench_line){
					 .name = "mem.1m", .unit = "MiB", .value = &mib, .n = 1 });
		bench_bar("a million, MiB", mib, "<= 1024", mib <= 1024);
	}
	scale_free();
	rig_close(&r);
	return bench_end(&b);
}
