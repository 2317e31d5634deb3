/* The data plane's tables under a million allocations. */
#include <arpa/inet.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/scale_tables.h"
#include "dataplane/flow_table.h"
#include "dataplane/join.h"
#include "dataplane/local.h"

enum {
	LISTENER_ID = 10, /* what the rig adds to the ids of the data plane */
	RELAY_ID = 20,
};

static struct {
	struct region region;
	struct rte_rcu_qsbr *qsbr;
	struct local_table *local;
	struct flow_table *flows;
	unsigned refused;
} dp;

void scale_make(const struct config *cfg)
{
	const uint64_t secret[2] = { 0x0123456789ABCDEF, 0xFEDCBA9876543210 };
	struct join_sizes sizes = { .n_workers = 1,
		                    .listeners = LOCAL_LISTENERS_MAX,
		                    .relays = LOCAL_RELAYS_MAX,
		                    .ports = 1,
		                    .neighbours = 1,
		                    .punt_lines = 8192 };

	flow_sizes(cfg, &sizes.rows, &sizes.rows_wide);
	dp.qsbr = aligned_alloc(64, rte_rcu_qsbr_get_memsize(2));
	dp.local = local_build(cfg, NULL);
	if (dp.qsbr == NULL || dp.local == NULL || rte_rcu_qsbr_init(dp.qsbr, 2) != 0 ||
	    join_create_region(&dp.region, &sizes, 1, false, -1) != 0)
		abort();
	dp.flows = flow_create(&dp.region, sizes.rows, sizes.rows_wide, LOCAL_RELAYS_MAX, secret,
	                       dp.qsbr);
	if (dp.flows == NULL)
		abort();
	flow_use_local(dp.flows, dp.local);
}

void scale_carry_out(enum cmd_kind kind, const struct cmd_flow *wanted, struct punt_row *ev)
{
	struct cmd_flow c = *wanted;

	c.listener = (uint16_t)(c.listener - LISTENER_ID);
	c.relay = (uint16_t)(c.relay - RELAY_ID);
	ev->status = ROW_OK;
	if (kind != CMD_SET || flow_set(dp.flows, &c, 1, false, false, &ev->row) != FLOW_OK) {
		ev->status = ROW_FULL;
		dp.refused++;
	}
}

unsigned scale_refused(void)
{
	return dp.refused;
}

bool scale_leads(const struct endpoint *client, uint16_t channel, const struct endpoint *peer)
{
	struct flow_key key = { .port = htons(client->port),
		                .channel = htons(channel),
		                .listener = 0,
		                .kind = FLOW_CHANNEL };

	memcpy(key.ip, client->addr.ip, 16);
	const uint32_t row = flow_find(dp.flows, &key);

	return row != ROW_NONE &&
	       memcmp(&flow_row(dp.flows, row)->peer_ip4, peer->addr.ip + 12, 4) == 0;
}

void scale_free(void)
{
	flow_destroy(dp.flows);
	local_free(dp.local);
	region_leave(&dp.region);
	free(dp.qsbr);
}

/* Resident octets of an array. */
double scale_resident(const void *at, size_t octets)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const uintptr_t from = (uintptr_t)at & ~(page - 1);
	const size_t n = ((uintptr_t)at + octets - from + page - 1) / page;
	unsigned char *core = malloc(n);
	size_t there = 0;

	if (core == NULL || mincore((void *)from, n * page, core) != 0) {
		free(core);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		there += core[i] & 1;
	free(core);
	return (double)(there * page);
}

void scale_show(void (*show)(const char *what, double octets))
{
	const struct flow_table *t = dp.flows;

	show("data plane: rows",
	     scale_resident(t->rows, t->n_rows * sizeof(struct row)) +
	             scale_resident(t->wide, t->n_wide * sizeof(struct row_wide)));
	show("data plane: cold counts",
	     scale_resident(t->foreign, t->n_rows * sizeof(struct row_counts)) +
	             scale_resident(t->foreign_wide, t->n_wide * sizeof(struct row_counts)));
	show("data plane: what the writer knows of rows",
	     scale_resident(t->meta, ((size_t)t->n_rows + t->n_wide) * sizeof(struct flow_meta)));
	show("data plane: free rows", scale_resident(t->free, (size_t)t->n_rows * 4) +
	                                      scale_resident(t->free_wide, (size_t)t->n_wide * 4));
	show("data plane: buckets", scale_resident(t->buckets, t->bucket_octets));
	show("data plane: ports", scale_resident(t->ports, t->port_octets));
}
