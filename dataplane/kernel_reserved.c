/*
 * ip_local_reserved_ports. Where relayed addresses are also the host's, its own clients must not
 * draw source ports from the relay range: the answers would be taken for media.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/kernel_parts.h"
#include "log.h"

enum { LIST_OCTETS = 1 << 17 };
static const char name[] = "net/ipv4/ip_local_reserved_ports";

static bool has(const struct port_set *s, unsigned port)
{
	return (s->word[port / 64] >> port % 64 & 1) != 0;
}

static void put_range(struct port_set *s, unsigned first, unsigned last)
{
	for (unsigned port = first; port <= last; port++)
		s->word[port / 64] |= UINT64_C(1) << port % 64;
}

bool port_set_parse(const char *text, struct port_set *out)
{
	*out = (struct port_set){ 0 };
	while (*text != '\0') {
		char *end;
		const unsigned long first = strtoul(text, &end, 10);
		unsigned long last = first;

		if (end == text || first > UINT16_MAX)
			return false;
		if (*end == '-') {
			text = end + 1;
			last = strtoul(text, &end, 10);
			if (end == text || last > UINT16_MAX || last < first)
				return false;
		}
		put_range(out, (unsigned)first, (unsigned)last);
		if (*end != ',' && *end != '\0')
			return false;
		text = *end == ',' ? end + 1 : end;
	}
	return true;
}

char *port_set_print(const struct port_set *set)
{
	size_t cap = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &cap);

	if (f == NULL)
		return NULL;
	for (unsigned port = 0; port <= UINT16_MAX; port++) {
		const unsigned first = port;

		if (!has(set, port))
			continue;
		while (port < UINT16_MAX && has(set, port + 1))
			port++;
		fprintf(f, ftell(f) > 0 ? ",%u" : "%u", first);
		if (port > first)
			fprintf(f, "-%u", port);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool read_set(struct port_set *out)
{
	char *text = malloc(LIST_OCTETS);
	bool ok;

	if (text == NULL)
		return false;
	ok = sysctl_read(name, text, LIST_OCTETS) == 0 && port_set_parse(text, out);
	free(text);
	return ok;
}

static bool write_set(const struct port_set *set)
{
	char *text = port_set_print(set);
	int rc;

	if (text == NULL)
		return false;
	/* The kernel wants at least one octet to take an empty list. */
	rc = sysctl_write(name, text[0] != '\0' ? text : "\n");
	free(text);
	return rc == 0;
}

static bool is_shared(const struct config *cfg, const struct addr *relay)
{
	for (unsigned i = 0; i < cfg->n_listeners; i++)
		if (addr_equal(&cfg->listeners[i].at.addr, relay))
			return true;
	for (unsigned i = 0; i < cfg->n_ports; i++)
		for (unsigned k = 0; k < cfg->ports[i].n_addresses; k++)
			if (addr_equal(&cfg->ports[i].addresses[k].addr, relay))
				return true;
	return false;
}

/* The first port's record holds it: the list is one for the whole namespace. */
static bool wanted(const struct takeover *t, const struct config *cfg)
{
	if (t->port->index != 0)
		return false;
	for (unsigned i = 0; i < cfg->n_relays; i++)
		if (is_shared(cfg, &cfg->relays[i].addr))
			return true;
	return false;
}

void reserved_note(struct takeover *t, const struct config *cfg)
{
	struct port_set now, earlier = { 0 }, add = { 0 };

	if (!wanted(t, cfg) || !read_set(&now))
		return;
	if (t->reserved != NULL && !port_set_parse(t->reserved, &earlier))
		earlier = (struct port_set){ 0 };
	put_range(&add, cfg->relay_port_min, cfg->relay_port_max);
	for (unsigned i = 0; i < 1024; i++)
		add.word[i] = (add.word[i] & ~now.word[i]) | earlier.word[i];
	free(t->reserved);
	t->reserved = port_set_print(&add);
}

void reserved_add(struct takeover *t, const struct config *cfg)
{
	struct port_set now;

	if (!wanted(t, cfg))
		return;
	if (read_set(&now)) {
		put_range(&now, cfg->relay_port_min, cfg->relay_port_max);
		if (write_set(&now))
			return;
	}
	log_warning("kernel", "reserved",
	            "note=\"cannot set net.ipv4.ip_local_reserved_ports; this host's own UDP "
	            "clients may lose answers on ports %u-%u\"",
	            cfg->relay_port_min, cfg->relay_port_max);
}

/* Takes away what we added and leaves what others put there meanwhile. */
void reserved_restore(struct takeover *t)
{
	struct port_set now, added;

	if (t->reserved == NULL || !port_set_parse(t->reserved, &added) || !read_set(&now))
		return;
	for (unsigned i = 0; i < 1024; i++)
		now.word[i] &= ~added.word[i];
	if (!write_set(&now))
		log_warning("kernel", "give_back", "error=\"cannot restore %s\"", name);
}
