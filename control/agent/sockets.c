/* Local addresses, UDP sockets, ICMP errors (ICE-006 to ICE-013). */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/agent/agent.h"
#include "control/agent/sock.h"

enum { ADDRESS_TEMPORARY = 0x01, ADDRESS_UNUSABLE = 0x20 | 0x40 | 0x08 }; /* if_inet6(5) flags */
enum { ROOM = 2 << 20 };

/* --- receiving --- */

/* What the kernel heard of our datagrams: the octets, where they went, and why not. */
static void take_error(struct agent_socket *s)
{
	uint8_t octets[ICE_DATAGRAM_MAX], control[512];
	union sock to;
	struct iovec iov = { octets, sizeof(octets) };
	struct msghdr m = { .msg_name = &to,
		            .msg_namelen = sizeof(to),
		            .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = control,
		            .msg_controllen = sizeof(control) };
	const ssize_t n = recvmsg(s->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
		const struct sock_extended_err *const e = (const void *)CMSG_DATA(c);
		const struct endpoint dest = sock_endpoint(&to);
		bool hard;

		if (c->cmsg_type != IP_RECVERR && c->cmsg_type != IPV6_RECVERR)
			continue;
		hard = (e->ee_origin == SO_EE_ORIGIN_ICMP && e->ee_type == ICMP_DEST_UNREACH &&
		        (e->ee_code == ICMP_PORT_UNREACH || e->ee_code == ICMP_PROT_UNREACH)) ||
		       (e->ee_origin == SO_EE_ORIGIN_ICMP6 && e->ee_type == ICMP6_DST_UNREACH &&
		        e->ee_code == ICMP6_DST_UNREACH_NOPORT);
		ice_unreachable(s->agent->ice, agent_now_ms(), s->base, &dest, octets, (size_t)n,
		                hard);
	}
}

static void take_data(struct agent *g, const struct ice_data *d)
{
	if (g->finished)
		return;
	if (g->o.stream)
		reliable_input(g, d->octets, d->len);
	else
		lines_input(g, d->octets, d->len);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct agent_socket *const s = arg;
	struct agent *const g = s->agent;
	uint8_t octets[65536];
	struct ice_data data;
	union sock from;

	(void)what;
	for (unsigned i = 0; i < 64; i++) {
		socklen_t len = sizeof(from);
		const ssize_t n =
			recvfrom(fd, octets, sizeof(octets), MSG_DONTWAIT, &from.any, &len);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			take_error(s);
			continue;
		}
		const struct endpoint at = sock_endpoint(&from);

		if (ice_input(g->ice, agent_now_ms(), s->base, &at, octets, (size_t)n, &data) ==
		    ICE_DATA)
			take_data(g, &data);
	}
	session_run(g);
}

void sockets_send(struct agent *g, const struct ice_datagram *d)
{
	for (unsigned i = 0; i < g->n_sockets; i++) {
		union sock to;
		const socklen_t len = sock_from(&d->to, &to);

		if (g->socket[i].base != d->base || g->socket[i].gone)
			continue;
		/* An error is a packet lost: the agent's timers know what to do (ICE-112). */
		if (sendto(g->socket[i].fd, d->octets, d->len, MSG_DONTWAIT, &to.any, len) < 0 &&
		    errno == ECONNREFUSED)
			sendto(g->socket[i].fd, d->octets, d->len, MSG_DONTWAIT, &to.any, len);
		return;
	}
}

/* --- addresses --- */

/* The kernel's flags of an IPv6 address; -1: not there. */
static int flags6(const struct addr *a)
{
	FILE *const f = fopen("/proc/net/if_inet6", "re");
	char hex[33], want[33], name[32];
	unsigned index, length, scope, flags;
	int found = -1;

	for (unsigned i = 0; i < 16; i++)
		snprintf(want + 2 * i, 3, "%02x", a->ip[i]);
	while (f &&
	       fscanf(f, "%32s %x %x %x %x %31s", hex, &index, &length, &scope, &flags, name) == 6)
		if (strcmp(hex, want) == 0)
			found = (int)flags;
	if (f)
		fclose(f);
	return found;
}

static bool is_costly(const char *interface)
{
	static const char *const names[] = { "tun", "tap", "wg", "ppp", "wwan" };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(interface, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* The address that the kernel would send from to somewhere far away. */
static bool is_default(const struct addr *a)
{
	const struct endpoint far4 = { addr_from4((const uint8_t[]){ 192, 0, 2, 1 }), 9 };
	const struct endpoint far6 = { { .ip = { 0x20, 0x01, 0x0D, 0xB8, [15] = 1 } }, 9 };
	union sock s;
	socklen_t len = sock_from(addr_is4(a) ? &far4 : &far6, &s);
	const int fd = socket(s.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool same = false;

	if (fd >= 0 && connect(fd, &s.any, len) == 0 && getsockname(fd, &s.any, &len) == 0) {
		const struct endpoint mine = sock_endpoint(&s);

		same = addr_equal(&mine.addr, a);
	}
	if (fd >= 0)
		close(fd);
	return same;
}

static bool link_local(const struct addr *a)
{
	return !addr_is4(a) && a->ip[0] == 0xFE && (a->ip[1] & 0xC0) == 0x80;
}

static int bound_socket(struct endpoint *at)
{
	const int on = 1, room = ROOM;
	union sock s;
	socklen_t len = sock_from(at, &s);
	const int fd = socket(s.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	/* As much as the kernel allows. Its default is full after some ninety datagrams. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (s.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (s.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
	else
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	if (bind(fd, &s.any, len) != 0 || getsockname(fd, &s.any, &len) != 0) {
		close(fd);
		return -1;
	}
	*at = sock_endpoint(&s);
	return fd;
}

static void open_one(struct agent *g, const struct addr *at, const char *interface, int flags)
{
	struct agent_socket *const s = &g->socket[g->n_sockets];
	struct ice_base b = { .component = 1,
		              .at = { *at, 0 },
		              .scope = if_nametoindex(interface),
		              .temporary = flags > 0 && (flags & ADDRESS_TEMPORARY),
		              .costly = is_costly(interface),
		              .default_route = is_default(at) };

	for (unsigned i = 0; i < g->n_sockets; i++)
		if (!g->socket[i].gone && addr_equal(&g->socket[i].at.addr, at))
			return;
	if (g->n_sockets == ICE_BASES_MAX)
		return;
	snprintf(b.interface, sizeof(b.interface), "%s", interface);
	*s = (struct agent_socket){ .agent = g, .fd = bound_socket(&b.at) };
	if (s->fd < 0)
		return;
	s->at = b.at;
	s->base = ice_add_base(g->ice, agent_now_ms(), &b);
	if (s->base < 0) {
		close(s->fd);
		return;
	}
	s->readable = event_new(g->loop, s->fd, EV_READ | EV_PERSIST, on_readable, s);
	event_add(s->readable, NULL);
	g->n_sockets++;
}

/* Calls `fn` for every address that may be used. */
static void each_address(struct agent *g,
                         void (*fn)(struct agent *, const struct addr *, const char *, int))
{
	struct ifaddrs *all = NULL;

	if (getifaddrs(&all) != 0)
		return;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		union sock s;
		int flags = 0;

		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) ||
		    (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		memcpy(&s, i->ifa_addr,
		       i->ifa_addr->sa_family == AF_INET ? sizeof(s.four) : sizeof(s.six));
		const struct addr at = sock_endpoint(&s).addr;

		if ((i->ifa_flags & IFF_LOOPBACK && !g->o.loopback) || link_local(&at))
			continue;
		if (!addr_is4(&at)) {
			flags = flags6(&at);
			if (flags < 0 || flags & ADDRESS_UNUSABLE)
				continue;
		}
		fn(g, &at, i->ifa_name, flags);
	}
	freeifaddrs(all);
}

unsigned sockets_open(struct agent *g)
{
	unsigned n = 0;

	each_address(g, open_one);
	for (unsigned i = 0; i < g->n_sockets; i++)
		n += !g->socket[i].gone;
	return n;
}

static struct addr seen[ICE_BASES_MAX * 2];
static unsigned n_seen;

static void see(struct agent *g, const struct addr *at, const char *interface, int flags)
{
	(void)g;
	(void)interface;
	(void)flags;
	if (n_seen < sizeof(seen) / sizeof(seen[0]))
		seen[n_seen++] = *at;
}

bool sockets_look(struct agent *g)
{
	bool changed = false;

	n_seen = 0;
	each_address(g, see);
	for (unsigned i = 0; i < g->n_sockets; i++) {
		struct agent_socket *const s = &g->socket[i];
		bool there = s->gone;

		for (unsigned k = 0; k < n_seen; k++)
			there |= addr_equal(&seen[k], &s->at.addr);
		if (there)
			continue;
		s->gone = changed = true;
		event_free(s->readable);
		close(s->fd);
		ice_drop_base(g->ice, agent_now_ms(), s->base);
	}
	return changed;
}

void sockets_close(struct agent *g)
{
	for (unsigned i = 0; i < g->n_sockets; i++) {
		if (g->socket[i].gone)
			continue;
		event_free(g->socket[i].readable);
		close(g->socket[i].fd);
	}
	g->n_sockets = 0;
}
