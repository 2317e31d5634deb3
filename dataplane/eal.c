/* Config to EAL arguments, memory and pools. */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include "dataplane/eal.h"
#include "exit.h"
#include "log.h"

enum { ARGS_MAX = 32 + 2 * CONFIG_PORTS_MAX, ARG_OCTETS = 4096, SUN_PATH_MAX = 108 };

struct args {
	char *v[ARGS_MAX];
	int n;
	char text[ARG_OCTETS];
	size_t used;
};

static bool on_hugepages;

static void arg(struct args *a, const char *text)
{
	const size_t len = strlen(text) + 1;

	if (a->n == ARGS_MAX - 1 || len > sizeof(a->text) - a->used)
		return; /* sized for what eal_start() puts */
	a->v[a->n++] = memcpy(a->text + a->used, text, len);
	a->used += len;
}

static void arg_pair(struct args *a, const char *name, const char *value)
{
	arg(a, name);
	arg(a, value);
}

/* EAL's and the drivers' own lines become ours; quiet ones were filtered by level. */
static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	const char *end = text + len;

	(void)cookie;
	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		const char *stop = eol != NULL ? eol : end;
		char clean[512];
		size_t n = 0;

		for (; text < stop && n < sizeof(clean) - 1; text++)
			clean[n++] = *text < ' ' || *text == '"' || *text == 0x7F ? ' ' : *text;
		clean[n] = '\0';
		if (n > 0)
			log_warning("dpdk", "says", "text=\"%s\"", clean);
		text = stop + 1;
	}
	return (ssize_t)len;
}

static unsigned long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long n = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static unsigned long free_hugepage_mib(void)
{
	static const char dir[] = "/sys/kernel/mm/hugepages";
	DIR *d = opendir(dir);
	unsigned long mib = 0;

	if (d == NULL)
		return 0;
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		unsigned long kib;
		char path[300];

		if (sscanf(e->d_name, "hugepages-%lukB", &kib) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", dir, e->d_name);
		mib += read_number(path) * (kib / 1024);
	}
	closedir(d);
	return mib;
}

/* Of a kernel device that is there already, else Ethernet's. */
static unsigned device_mtu(const struct config_port *port)
{
	struct ifreq ifr = { 0 };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned mtu = 1500;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.*s",
	         (int)RTE_MIN(strcspn(port->device, ","), (size_t)IFNAMSIZ - 1), port->device);
	if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &ifr) == 0)
		mtu = (unsigned)ifr.ifr_mtu;
	if (fd >= 0)
		close(fd);
	return mtu;
}

unsigned eal_port_room(const struct config_port *port)
{
	/* What a frame may grow by on its way out: ChannelData or Data header, IPv4 to IPv6, a tag.
	 */
	const unsigned grow = 128;
	unsigned room = 2048;

	if (port->kind == DEVICE_AF_XDP)
		return EAL_ROOM_AF_XDP;
	if (port->kind == DEVICE_AF_PACKET) { /* frames of its ring: they divide its blocks */
		while (room < device_mtu(port) + grow && room < EAL_ROOM_AF_PACKET_MAX)
			room *= 2;
		return room;
	}
	return port->mtu + grow > room ? (port->mtu + grow + 63) & ~63u : room;
}

unsigned eal_port_mbufs(const struct config *cfg, unsigned port, unsigned n_queues)
{
	/* On their way through a worker, in its rings, and in caches. */
	const unsigned shared = 2048 + cfg->workers * (2 * EAL_CACHE + 512);

	switch (cfg->ports[port].kind) {
	case DEVICE_AF_PACKET: return shared; /* both directions copy: the rings hold none */
	case DEVICE_AF_XDP: return n_queues * 3 * 2048 + shared;
	default: return n_queues * 2 * 1024 + shared;
	}
}

static unsigned queues_wanted(const struct config *cfg, unsigned port)
{
	return cfg->ports[port].queues != 0 ? cfg->ports[port].queues : cfg->workers;
}

static unsigned long memory_mib(const struct config *cfg)
{
	/* EAL itself, rings, tables of the data plane outside the shared region. */
	unsigned long long octets = 96ull << 20;

	if (cfg->memory_mib != 0)
		return cfg->memory_mib;
	octets += (unsigned long long)cfg->limit_allocations * 256;
	octets += (unsigned long long)cfg->limit_legs * 1024;
	octets += (unsigned long long)cfg->n_relays << 20;
	octets += (unsigned long long)cfg->workers << 23;
	for (unsigned i = 0; i < cfg->n_ports; i++) {
		const unsigned long long each =
			eal_port_room(&cfg->ports[i]) + RTE_PKTMBUF_HEADROOM + 512;

		octets += eal_port_mbufs(cfg, i, queues_wanted(cfg, i)) * each;
	}
	return (unsigned long)(octets >> 20) + 1;
}

/* It shares its memory with the other side, which takes eight pieces at most. */
static bool shares_memory(const struct config *cfg)
{
	for (unsigned i = 0; i < cfg->n_ports; i++)
		if (cfg->ports[i].kind == DEVICE_VDEV &&
		    strncmp(cfg->ports[i].device, "net_virtio_user", 15) == 0)
			return true;
	return false;
}

/* Adds the memory arguments. */
static int choose_memory(const struct config *cfg, struct args *a)
{
	const unsigned long need = memory_mib(cfg), have = free_hugepage_mib();
	char text[24];

	on_hugepages = cfg->hugepages != HUGEPAGES_OFF && have >= need;
	if (on_hugepages) {
		arg(a, "--in-memory");
		if (shares_memory(cfg))
			arg(a, "--single-file-segments");
		log_info("dataplane", "memory", "kind=hugepages need_mib=%lu free_mib=%lu", need,
		         have);
		return EXIT_CODE_OK;
	}
	if (cfg->hugepages == HUGEPAGES_ON) {
		log_error("dataplane", "memory",
		          "error=\"%lu MiB of free hugepages needed, %lu MiB found; raise "
		          "vm.nr_hugepages or set hugepages to auto\"",
		          need, have);
		return EXIT_CODE_RESOURCE;
	}
	snprintf(text, sizeof(text), "%lu", need);
	arg(a, "--no-huge");
	arg(a, "--no-shconf");
	arg_pair(a, "-m", text);
	log_info("dataplane", "memory", "kind=pages need_mib=%lu free_hugepage_mib=%lu why=\"%s\"",
	         need, have,
	         cfg->hugepages == HUGEPAGES_OFF ? "hugepages are off in the configuration"
	                                         : "not enough free hugepages");
	return EXIT_CODE_OK;
}

/* One EAL core that may run anywhere we may: the main thread is not worth a core. */
static void put_cores(struct args *a)
{
	char text[4 * CPU_SETSIZE] = "0@(";
	size_t n = strlen(text);
	cpu_set_t allowed;

	CPU_ZERO(&allowed);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		CPU_SET(0, &allowed);
	for (int i = 0; i < CPU_SETSIZE && n < sizeof(text) - 8; i++)
		if (CPU_ISSET(i, &allowed))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%d,", i);
	text[n - 1] = ')';
	arg_pair(a, "--lcores", text);
}

static void put_devices(const struct config *cfg, struct args *a)
{
	bool pci = false;

	for (unsigned i = 0; i < cfg->n_ports; i++)
		if (cfg->ports[i].kind == DEVICE_PCI) {
			arg_pair(a, "--allow", cfg->ports[i].device);
			pci = true;
		}
	if (!pci) {
		arg(a, "--no-pci");
		arg(a, "--iova-mode=va");
	}
}

int eal_start(const struct config *cfg)
{
	static struct args a;
	const char *prefix = strrchr(cfg->run_dir, '/');
	char dir[SUN_PATH_MAX];
	int rc;

	prefix = prefix != NULL && prefix[1] != '\0' ? prefix + 1 : cfg->name;
	a = (struct args){ 0 };
	arg(&a, "turnpike-dataplane");
	put_cores(&a);
	arg_pair(&a, "--file-prefix", prefix);
	arg(&a, "--log-level=5"); /* warnings and worse */
	/* These warn of page sizes and sockets that are not wanted. */
	arg(&a, "--log-level=lib.eal:4");
	arg(&a, "--log-level=lib.telemetry:4");
	put_devices(cfg, &a);
	rc = choose_memory(cfg, &a);
	if (rc != EXIT_CODE_OK)
		return rc;

	/* EAL makes RUNTIME_DIRECTORY/dpdk/PREFIX, and a socket for telemetry in it. */
	setenv("RUNTIME_DIRECTORY", cfg->run_dir, 1);
	if ((size_t)snprintf(dir, sizeof(dir), "%s/dpdk/%s/dpdk_telemetry.v2:1", cfg->run_dir,
	                     prefix) >= sizeof(dir))
		arg(&a, "--no-telemetry");

	FILE *log = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = log_write });

	if (log != NULL) {
		setvbuf(log, NULL, _IOLBF, 512);
		rte_openlog_stream(log);
	}
	if (rte_eal_init(a.n, a.v) < 0) {
		log_error("dataplane", "eal",
		          "error=\"cannot start DPDK: %s; lines above say more%s\"",
		          rte_strerror(rte_errno),
		          geteuid() != 0 ? "; it wants CAP_NET_ADMIN, CAP_NET_RAW and CAP_IPC_LOCK"
		                         : "");
		return EXIT_CODE_RESOURCE;
	}
	return EXIT_CODE_OK;
}

/* EAL leaves its directory behind, also after a clean end. */
static void remove_directory(const char *path)
{
	DIR *d = opendir(path);
	char *slash;
	char name[4096];

	if (d == NULL)
		return;
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(path);
	snprintf(name, sizeof(name), "%s", path);
	slash = strrchr(name, '/');
	if (slash != NULL) {
		*slash = '\0';
		rmdir(name); /* .../dpdk, unless another one uses it */
	}
}

void eal_stop(void)
{
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	remove_directory(dir);
}

bool eal_hugepages(void)
{
	return on_hugepages;
}

struct rte_mempool *eal_pool(const char *name, unsigned n, unsigned room, int numa_node)
{
	struct rte_mempool *pool =
		rte_pktmbuf_pool_create(name, n, EAL_CACHE, EAL_PRIVATE,
	                                (uint16_t)(room + RTE_PKTMBUF_HEADROOM), numa_node);

	if (pool == NULL) {
		log_error("dataplane", "memory",
		          "error=\"no room for %u packet buffers of %u octets (%s): %s; raise "
		          "memory or lower workers\"",
		          n, room, name, rte_strerror(rte_errno));
		return NULL;
	}
	if (pool->nb_mem_chunks != 1) /* af_xdp takes the pool as one piece of memory */
		log_debug("dataplane", "memory", "pool=%s pieces=%u", name, pool->nb_mem_chunks);
	return pool;
}
