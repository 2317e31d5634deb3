/* Counters for those who already watch DPDK. */
#include <rte_mempool.h>
#include <rte_telemetry.h>

#include "dataplane/port.h"
#include "dataplane/telemetry.h"

static const struct dataplane *plane;

static int counters(const char *command, const char *parameters, struct rte_tel_data *out)
{
	(void)command;
	(void)parameters;
	rte_tel_data_start_dict(out);
	for (unsigned i = 0; i < STAT_COUNT; i++) {
		uint64_t sum = 0;

		for (unsigned w = 0; w <= plane->n_workers && plane->region.base != NULL; w++) {
			const struct stats *s = region_find(&plane->region, SECTION_COUNTERS,
			                                    (uint16_t)w, sizeof(struct stats));

			if (s != NULL)
				sum += stat_read(s, i);
		}
		rte_tel_data_add_dict_u64(out, stat_names[i].name, sum);
	}
	return 0;
}

/* What is neither in a ring, a reassembly nor on its way: the same again whenever all is quiet. */
static int buffers(const char *command, const char *parameters, struct rte_tel_data *out)
{
	(void)command;
	(void)parameters;
	rte_tel_data_start_dict(out);
	for (unsigned i = 0; i < plane->n_ports; i++) {
		const struct rte_mempool *pool = plane->ports[i].pool;

		if (pool != NULL)
			rte_tel_data_add_dict_u64(out, pool->name, rte_mempool_avail_count(pool));
	}
	return 0;
}

void telemetry_register(const struct dataplane *dp)
{
	plane = dp;
	rte_telemetry_register_cmd("/turnpike/counters", counters,
	                           "Returns every counter of the relay, all workers summed");
	rte_telemetry_register_cmd("/turnpike/buffers", buffers,
	                           "Returns the free packet buffers of every port");
}
