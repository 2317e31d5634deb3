/*
 * Giving back what a generator took that was killed. The record of the take-over lies in its run
 * directory; no port is opened for it.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "dataplane/kernel_parts.h"
#include "exit.h"
#include "log.h"
#include "pkt-gen/link.h"
#include "pkt-gen/link_config.h"

extern unsigned if_nametoindex(const char *name); /* net/if.h and linux/if.h exclude each other */

/* The persistent TAP, so that tap_remove() finds it open. */
static void adopt_tap(struct port *p)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	memcpy(ifr.ifr_name, p->cfg->name, sizeof(p->cfg->name));
	p->tap_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (p->tap_fd >= 0 && ioctl(p->tap_fd, TUNSETIFF, &ifr) != 0) {
		close(p->tap_fd);
		p->tap_fd = -1;
	}
}

static void restore_port(struct port *p, const char *run_dir, struct mnl_socket *s)
{
	struct takeover *t = calloc(1, sizeof(*t));

	if (t == NULL || asprintf(&t->path, "%s/kernel-%s", run_dir, p->cfg->name) < 0) {
		free(t);
		return;
	}
	t->port = p;
	t->gro = t->lro = t->claim = -1;
	saved_load(t);
	if (t->adopted) {
		adopt_tap(p);
		tap_remove(p);
		if (p->kernel_ifindex != 0) {
			mute_end(t);
			saved_sysctl_restore(t);
			move_back(t, s);
		}
		reserved_restore(t);
		saved_remove(t);
	}
	printf("%s: %s\n", p->kernel_ifindex != 0 ? p->kernel_device : p->cfg->name,
	       t->adopted ? "given back" : "nothing to give back");
	saved_free(t);
	free(t);
}

int link_restore(const struct options *o)
{
	struct config *cfg = link_config_new(o);
	struct mnl_socket *s = netlink_open();
	int lock = -1, rc = EXIT_CODE_RESOURCE;

	if (cfg != NULL && s != NULL)
		rc = link_config_lock(cfg, &lock);
	for (unsigned i = 0; rc == EXIT_CODE_OK && i < cfg->n_ports; i++) {
		struct port p = { .cfg = &cfg->ports[i], .tap_fd = -1, .index = (uint16_t)i };

		if (p.cfg->kind == DEVICE_AF_PACKET || p.cfg->kind == DEVICE_AF_XDP) {
			snprintf(p.kernel_device, sizeof(p.kernel_device), "%.*s",
			         (int)strcspn(p.cfg->device, ","), p.cfg->device);
			p.kernel_ifindex = if_nametoindex(p.kernel_device);
		}
		restore_port(&p, cfg->run_dir, s);
	}
	if (s != NULL)
		mnl_socket_close(s);
	if (cfg != NULL)
		link_config_unlock(cfg, lock);
	link_config_free(cfg);
	return rc;
}
