/* The configuration, as the data plane takes and shows it. */
#include "dataplane/service_state.h"

#include "dataplane/flow.h"
#include "dataplane/limit.h"
#include "log.h"

static void publish_listeners(struct dataplane *dp, struct life *life)
{
	uint64_t octets;
	struct abi_listener *out = region_section(&dp->region, SECTION_LISTENERS, 0, &octets);
	const struct local_table *local = dp->local;
	unsigned n = local->n_listeners;

	if (out == NULL)
		return;
	if (n > octets / sizeof(*out))
		n = (unsigned)(octets / sizeof(*out));
	for (unsigned i = 0; i < n; i++) {
		const struct local_listener *l = &local->listener[i];
		struct abi_listener shown = {
			.port = l->at.port,
			.id = (uint16_t)i,
			.transport = l->transport,
			.live = l->live,
		};

		memcpy(shown.ip, l->at.addr.ip, 16);
		out[i] = shown;
	}
	atomic_store_explicit(&life->n_listeners, n, memory_order_release);
}

static void publish_relays(struct dataplane *dp, struct life *life)
{
	uint64_t octets;
	struct abi_relay *out = region_section(&dp->region, SECTION_RELAYS, 0, &octets);
	const struct local_table *local = dp->local;
	unsigned n = local->n_relays;

	if (out == NULL)
		return;
	if (n > octets / sizeof(*out))
		n = (unsigned)(octets / sizeof(*out));
	for (unsigned i = 0; i < n; i++) {
		const struct local_relay *r = &local->relay[i];
		struct abi_relay shown = {
			.id = (uint16_t)i,
			.port_min = r->port_min,
			.port_max = r->port_max,
			.live = r->live,
		};

		memcpy(shown.ip, r->addr.ip, 16);
		memcpy(shown.advertise, r->advertise.ip, 16);
		out[i] = shown;
	}
	atomic_store_explicit(&life->n_relays, n, memory_order_release);
}

void service_publish(struct service *s)
{
	publish_listeners(s->dp, s->life);
	publish_relays(s->dp, s->life);
	atomic_store_explicit(&s->life->n_ports, s->dp->n_ports, memory_order_relaxed);
	atomic_store_explicit(&s->life->n_workers, s->dp->n_workers, memory_order_relaxed);
}

/* What is bound to devices and memory when the process starts, and needs a restart to change. */
static const char *needs_restart(const struct config *old, const struct config *new)
{
	if (old->n_ports != new->n_ports)
		return "ports";
	for (unsigned i = 0; i < old->n_ports; i++) {
		const struct config_port *a = &old->ports[i], *b = &new->ports[i];

		if (a->kind != b->kind || strcmp(a->device, b->device) != 0 ||
		    strcmp(a->name, b->name) != 0 || a->queues != b->queues || a->mtu != b->mtu ||
		    a->n_addresses != b->n_addresses ||
		    memcmp(a->addresses, b->addresses, a->n_addresses * sizeof(a->addresses[0])) !=
		            0)
			return "ports";
	}
	if (old->workers != new->workers || old->service_core != new->service_core ||
	    memcmp(old->cores, new->cores, old->workers * sizeof(old->cores[0])) != 0)
		return "workers";
	return strcmp(old->run_dir, new->run_dir) != 0 ? "run-dir" : NULL;
}

static void release_config(void *cfg)
{
	config_free(cfg);
}

static void release_local(void *local)
{
	local_free(local);
}

bool service_reload(struct service *s)
{
	struct dataplane *dp = s->dp;
	struct config_error err;
	struct config *cfg = config_load(dp->cfg->path, CONFIG_NO_SECRETS, &err);

	if (cfg == NULL) {
		log_error("config", "reload-refused", "why=%s", err.text);
		return false;
	}
	const char *what = needs_restart(dp->cfg, cfg);

	if (what != NULL) {
		log_error("config", "reload-refused",
		          "why=%s cannot change while the data plane runs; restart it", what);
		config_free(cfg);
		return false;
	}
	struct local_table *was = dp->local, *local = local_build(cfg, was);

	if (local == NULL) {
		log_error("config", "reload-refused",
		          "why=too many listeners or relay addresses since the start; restart");
		config_free(cfg);
		return false;
	}
	/* Ports borrow from the first configuration, so that one stays for life. */
	struct config *before = s->reloaded;

	s->reloaded = cfg;
	s->policy = config_policy(cfg);
	__atomic_store_n(&dp->cfg, cfg, __ATOMIC_RELEASE);
	__atomic_store_n(&dp->local, local, __ATOMIC_RELEASE);
	flow_use_local(dp->flows, local);
	for (unsigned i = 0; i < dp->n_workers; i++) {
		__atomic_store_n(&dp->workers[i].serve, classify_serve(cfg), __ATOMIC_RELAXED);
		limit_set(dp->workers[i].limit, cfg);
	}
	limit_set(s->self.limit, cfg);
	s->self.local = local;
	retire_later(&s->retire, was, release_local);
	retire_later(&s->retire, before, release_config);
	service_publish(s);
	atomic_fetch_add_explicit(&s->life->config_epoch, 1, memory_order_release);
	log_info("config", "reloaded", "file=%s listeners=%u relays=%u", cfg->path,
	         cfg->n_listeners, cfg->n_relays);
	return true;
}
