#include "pkt-gen/link_config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exit.h"
#include "log.h"

bool link_wants_kernel(const struct options *o)
{
	for (unsigned i = 0; i < o->n_ports; i++)
		if (strncmp(o->port[i].device, "af_", 3) == 0)
			return true;
	return !o->has_next_hop && o->setup == SETUP_TURN && !o->bias;
}

static void set_device(struct config_port *port, const char *text)
{
	static const struct {
		const char *prefix;
		enum config_device kind;
	} kinds[] = {
		{ "pci:", DEVICE_PCI },
		{ "af_packet:", DEVICE_AF_PACKET },
		{ "af_xdp:", DEVICE_AF_XDP },
		{ "memif:", DEVICE_MEMIF },
	};

	port->kind = DEVICE_VDEV;
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const size_t len = strlen(kinds[i].prefix);

		if (strncmp(text, kinds[i].prefix, len) == 0) {
			port->kind = kinds[i].kind;
			text += len;
			break;
		}
	}
	snprintf(port->device, sizeof(port->device), "%s", text);
}

/* FNV-1a; for names. */
static uint32_t digest(const char *text)
{
	uint32_t h = 2166136261u;

	for (; *text != '\0'; text++)
		h = (h ^ (uint8_t)*text) * 16777619u;
	return h;
}

/* What the TAP is called: after the kernel's device, where there is one. */
static void name_port(struct config_port *port)
{
	const size_t len = strcspn(port->device, ",");

	if ((port->kind == DEVICE_AF_PACKET || port->kind == DEVICE_AF_XDP) && len <= 12) {
		memcpy(port->name, "tg-", 3);
		memcpy(port->name + 3, port->device, len);
		port->name[3 + len] = '\0';
	} else {
		snprintf(port->name, sizeof(port->name), "tg-%08x", digest(port->device));
	}
}

static char *choose_run_dir(const struct options *o, const struct config *cfg)
{
	const char *base = "/run/turnpike";
	char own[64];
	struct stat ns = { 0 };
	char *path = NULL;

	if (geteuid() != 0) {
		snprintf(own, sizeof(own), "/tmp/turnpike-%u", (unsigned)geteuid());
		base = own;
	}
	if (link_wants_kernel(o) && stat("/proc/self/ns/net", &ns) == 0) {
		if (asprintf(&path, "%s/gen-%lu-%s", base, (unsigned long)ns.st_ino,
		             cfg->ports[0].name + 3) < 0)
			return NULL;
	} else if (asprintf(&path, "%s/gen-%d", base, (int)getpid()) < 0) {
		return NULL;
	}
	return path;
}

struct config *link_config_new(const struct options *o)
{
	struct config *cfg = calloc(1, sizeof(*cfg));
	/* Two a binding at most, and they lie beside the packets where there are no hugepages. */
	const uint64_t streams = (uint64_t)o->clients * o->peers * 2;

	if (cfg == NULL)
		return NULL;
	snprintf(cfg->name, sizeof(cfg->name), "gen");
	cfg->n_ports = o->n_ports;
	for (unsigned i = 0; i < o->n_ports; i++) {
		struct config_port *port = &cfg->ports[i];

		set_device(port, o->port[i].device);
		name_port(port);
		port->n_addresses = o->port[i].n_addresses;
		memcpy(port->addresses, o->port[i].address,
		       port->n_addresses * sizeof(port->addresses[0]));
	}
	cfg->workers = o->n_cores > 0 ? o->n_cores : 1;
	for (unsigned i = 0; i < CONFIG_WORKERS_MAX; i++)
		cfg->cores[i] = -1;
	cfg->service_core = -1;
	cfg->idle = o->poll ? IDLE_POLL : IDLE_ADAPTIVE;
	cfg->hugepages = HUGEPAGES_AUTO;
	cfg->limit_allocations = (uint32_t)(streams < 4096         ? 4096
	                                    : streams < UINT32_MAX ? streams
	                                                           : UINT32_MAX);
	cfg->run_dir = choose_run_dir(o, cfg);
	if (cfg->run_dir != NULL)
		return cfg;
	free(cfg);
	return NULL;
}

void link_config_free(struct config *cfg)
{
	if (cfg == NULL)
		return;
	free(cfg->run_dir);
	free(cfg);
}

static int make_directories(const char *path)
{
	char part[512];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash != NULL)
			*slash = '\0';
		if (mkdir(part, slash != NULL ? 0755 : 0700) != 0 && errno != EEXIST)
			return -errno;
		if (slash == NULL)
			return 0;
		*slash = '/';
	}
}

int link_config_lock(const struct config *cfg, int *fd)
{
	char path[512];
	struct stat held, there;
	int rc = make_directories(cfg->run_dir);

	if (rc != 0) {
		log_error("link", "run_dir", "path=%s error=\"%s\"", cfg->run_dir, strerror(-rc));
		return EXIT_CODE_RESOURCE;
	}
	snprintf(path, sizeof(path), "%s/lock", cfg->run_dir);
	for (;;) {
		*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (*fd < 0 || flock(*fd, LOCK_EX | LOCK_NB) != 0)
			break;
		/* One that was just ending may have removed the file that we now hold. */
		if (fstat(*fd, &held) == 0 && stat(path, &there) == 0 &&
		    held.st_ino == there.st_ino)
			return 0;
		close(*fd);
		make_directories(cfg->run_dir);
	}
	log_error("link", "lock", "path=%s error=\"%s\"", path,
	          *fd >= 0 && errno == EWOULDBLOCK ? "another generator has these ports; stop it"
	                                           : strerror(errno));
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return EXIT_CODE_RESOURCE;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

void link_config_unlock(const struct config *cfg, int fd)
{
	char base[512];
	char *slash;

	if (fd < 0)
		return;
	nftw(cfg->run_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	snprintf(base, sizeof(base), "%s", cfg->run_dir);
	slash = strrchr(base, '/');
	*slash = '\0';
	rmdir(base); /* unless another program uses it */
	close(fd);
}
