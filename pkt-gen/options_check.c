/* What no option can tell by itself. */
#include <string.h>

#include "exit.h"
#include "pkt-gen/options_table.h"
#include "pkt-gen/place.h"

enum { PAYLOAD_MIN = 24, PAYLOAD_MAX = 1400 };

static int check_ports(const struct options *o)
{
	if (o->n_ports == 0)
		return option_fail("port", "must be given, as in --port af_packet:eth0");
	if (o->n_ports == 2 && strcmp(o->port[0].device, o->port[1].device) == 0)
		return option_fail("port", "'%s' was given twice", o->port[0].device);
	return 0;
}

static int check_server(const struct options *o)
{
	const bool has = o->server[o->client_family == 4 ? 0 : 1].port != 0;

	if (!has)
		return option_fail("server",
		                   "must be given with an IPv%u address, as in --server %s",
		                   o->client_family,
		                   o->client_family == 4 ? "198.18.0.1:3478" : "[fd00::1]:3478");
	if ((o->clients == 0 || o->replay != NULL) && o->user == NULL)
		return 0; /* no allocation of ours */
	if (o->user == NULL)
		return option_fail("user", "must be given; every allocation is authenticated");
	if ((o->password == NULL) == (o->rest_secret == NULL))
		return option_fail(o->password == NULL ? "password" : "rest-secret",
		                   o->password == NULL ? "or --rest-secret must be given"
		                                       : "goes not with --password");
	if (o->rest_secret != NULL && strstr(o->user, "%u") != NULL)
		return option_fail("user",
		                   "'%s' has a %%u, but --rest-secret mints one name for all",
		                   o->user);
	return 0;
}

/* Only %u and %% may stand there: it goes through a format. */
static int check_pattern(const char *name, const char *text, bool told)
{
	unsigned n = 0;

	for (const char *p = text; p != NULL && *p != '\0'; p++) {
		if (*p != '%')
			continue;
		p++;
		n += *p == 'u';
		if ((*p != 'u' && *p != '%') || n > 1)
			return option_fail(name,
			                   "%s%s%swas given; of percent signs only one %%u and "
			                   "%%%% are taken",
			                   told ? "'" : "", told ? text : "something else ",
			                   told ? "' " : "");
	}
	return 0;
}

/* Where nobody routes a prefix to us the other end asks the link, and nobody answers. */
static int check_off_link(const struct options *o, const char *name, const struct prefix *from)
{
	if (from->len == 0 || o->has_next_hop || o->setup != SETUP_TURN)
		return 0;
	for (unsigned i = 0; i < o->n_ports; i++)
		for (unsigned k = 0; k < o->port[i].n_addresses; k++) {
			const struct prefix *a = &o->port[i].address[k];
			const struct prefix net = { .addr = a->addr, .len = a->len };

			if (from->len < 128 && net.len < 128 && prefix_contains(&net, &from->addr))
				return option_fail(
					name,
					"the prefix lies inside the network of --address: nobody "
					"answers for it there; take another and route it by the "
					"port's address at the other end");
		}
	return 0;
}

static int check_place(const char *name, unsigned family, const struct prefix *from, uint16_t min,
                       uint16_t max, uint64_t need)
{
	if (from->len == 0)
		return option_fail(name, "or an --address with IPv%u must be given", family);
	if (addr_family(&from->addr) != family)
		return option_fail(name, "an IPv%u prefix was given, but --family wants IPv%u",
		                   addr_family(&from->addr), family);
	if (place_room(from, min, max) < need)
		return option_fail(name,
		                   "there is room for %llu, but %llu are wanted; take a larger "
		                   "prefix or more ports",
		                   (unsigned long long)place_room(from, min, max),
		                   (unsigned long long)need);
	return 0;
}

static bool overlap(const struct prefix *a, const struct prefix *b)
{
	return prefix_contains(a, &b->addr) || prefix_contains(b, &a->addr);
}

static int check_places(const struct options *o)
{
	const struct prefix clients = place_of_clients(o), peers = place_of_peers(o);
	int rc = check_place("clients-from", o->client_family, &clients, o->client_port_min,
	                     o->client_port_max, o->clients);

	if (rc == 0)
		rc = check_off_link(o, "clients-from", &o->clients_from);
	if (rc != 0 || o->direction == DIRECTION_C2C)
		return rc;
	rc = check_place("peers-from", o->peer_family, &peers, o->peer_port_min, o->peer_port_max,
	                 (uint64_t)o->clients * o->peers);
	if (rc == 0)
		rc = check_off_link(o, "peers-from", &o->peers_from);
	if (rc == 0 && overlap(&clients, &peers) && o->client_port_min <= o->peer_port_max &&
	    o->peer_port_min <= o->client_port_max)
		rc = option_fail(
			"peer-ports", "%u-%u overlaps --client-ports %u-%u on the same address",
			o->peer_port_min, o->peer_port_max, o->client_port_min, o->client_port_max);
	return rc;
}

static int check_traffic(const struct options *o)
{
	uint32_t group = 1;

	for (unsigned i = 0; i < o->profile.n_sizes; i++)
		if (o->profile.size[i] < PAYLOAD_MIN || o->profile.size[i] > PAYLOAD_MAX)
			return option_fail("size", "'%u' is not a number of octets from %d to %d",
			                   o->profile.size[i], PAYLOAD_MIN, PAYLOAD_MAX);
	if (o->permissions_only && o->wrap != OPTION_SEND)
		return option_fail("permissions-only", "goes only with --wrap send");
	if ((o->rate_kind == RATE_CALLS || o->find == FIND_CAPACITY) && o->profile.pps <= 0)
		return option_fail("size",
		                   "calls need a profile with a rate of its own: audio or video");
	if (o->rate_kind == RATE_CALLS && o->rate > (double)o->clients * o->peers)
		return option_fail("rate",
		                   "%.0f calls need as many clients times peers; there are %.0f",
		                   o->rate, (double)o->clients * o->peers);
	while (group <= o->peers)
		group *= 2;
	if (o->direction == DIRECTION_C2C && (o->clients == 0 || o->clients % group != 0))
		return option_fail("clients",
		                   "%u were given; with --direction c2c and --peers %u it takes a "
		                   "multiple of %u, for clients are each other's peers",
		                   o->clients, o->peers, group);
	return 0;
}

static int check_deeds(const struct options *o)
{
	const unsigned n =
		(o->find != FIND_NOTHING) + (o->storm != NULL) + (o->replay != NULL) + o->bias;

	if (n > 1)
		return option_fail(
			o->bias            ? "bias"
			: o->storm != NULL ? "storm"
					   : "replay",
			"goes not with another of --find, --find-capacity, --bias, --storm, "
			"--replay: one thing at a time");
	if (o->latency && (o->storm != NULL || o->replay != NULL || o->find == FIND_CAPACITY))
		return option_fail("latency", "goes only with trials, --find and --bias");
	if (o->latency && o->find == FIND_NOTHING && o->rate_kind == RATE_MAX)
		return option_fail("latency", "needs a --rate or --find to be a percentage of");
	if (o->clients == 0 && o->storm == NULL && o->replay == NULL)
		return option_fail("clients",
		                   "0 were given; only a --storm or --replay goes without");
	if (o->setup != SETUP_TURN && (o->storm != NULL || o->replay != NULL))
		return option_fail("setup", "a --storm or --replay needs a server: --setup turn");
	if (o->bias && o->direction == DIRECTION_C2C)
		return option_fail("direction", "c2c goes not with --bias: there is no relay");
	return 0;
}

/* A forwarder has no address; something has to stand in the frames. */
static void imagine_server(struct options *o)
{
	if (o->server[0].port == 0)
		endpoint_parse("198.18.0.1:3478", &o->server[0]);
	if (o->server[1].port == 0)
		endpoint_parse("[fd00:18::1]:3478", &o->server[1]);
}

int options_check(struct options *o)
{
	int rc = check_ports(o);

	o->round_robin = o->order == 1;
	if (rc != 0 || o->give_back)
		return rc;
	rc = check_deeds(o);
	if (rc == 0)
		rc = check_traffic(o);
	if (rc == 0 && o->setup == SETUP_TURN && !o->bias)
		rc = check_server(o);
	else
		imagine_server(o);
	if (rc == 0)
		rc = check_pattern("user", o->user, true);
	if (rc == 0)
		rc = check_pattern("password", o->password, false);
	if (rc == 0)
		rc = check_places(o);
	return rc;
}
