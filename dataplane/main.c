/* turnpike-dataplane: EAL, region, tables, ports, take-over, threads; then waits for the end. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/adjacency.h"
#include "dataplane/eal.h"
#include "dataplane/flow.h"
#include "dataplane/join.h"
#include "dataplane/kernel.h"
#include "dataplane/local.h"
#include "dataplane/port.h"
#include "dataplane/service.h"
#include "dataplane/telemetry.h"
#include "dataplane/worker.h"
#include "exit.h"
#include "log.h"

enum {
	PUNT_LINES = 8192, /* of each punt ring: 512 KiB */
	NEIGHBOURS_SHOWN = 4096,
};

struct thread {
	pthread_t id;
	struct dataplane *dp;
	struct worker *worker; /* NULL: the service turn */
	int core;
	bool running;
};

static struct dataplane dp;
static struct thread threads[CONFIG_WORKERS_MAX + 1];
static pthread_t main_thread;

/* --- the run directory --- */

static int make_run_dir(const char *path)
{
	char part[4096];

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = part; slash != NULL;) {
		slash = strchr(slash + 1, '/');
		if (slash != NULL)
			*slash = '\0';
		if (mkdir(part, slash != NULL ? 0755 : 0750) != 0 && errno != EEXIST) {
			log_error("dataplane", "run_dir", "path=%s error=\"%s\"", part,
			          strerror(errno));
			return EXIT_CODE_RESOURCE;
		}
		if (slash != NULL)
			*slash = '/';
	}
	return EXIT_CODE_OK;
}

/* Held by the open descriptor until the process ends, however it ends. */
static int lock_run_dir(const struct config *cfg, char *path, size_t cap)
{
	struct stat held, there;
	int fd;

	snprintf(path, cap, "%s/dataplane.lock", cfg->run_dir);
	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
			break;
		/* One that was just ending may have removed the file that we now hold. */
		if (fstat(fd, &held) == 0 && stat(path, &there) == 0 && held.st_ino == there.st_ino)
			return EXIT_CODE_OK;
		close(fd);
	}
	log_error("dataplane", "lock", "path=%s error=\"%s\"", path,
	          errno == EWOULDBLOCK ? "a data plane already runs in this run directory"
	                               : strerror(errno));
	if (fd >= 0)
		close(fd);
	return EXIT_CODE_RESOURCE;
}

/* --- what the threads share --- */

static int make_region(const struct config *cfg)
{
	struct join_sizes sizes = {
		.n_workers = cfg->workers,
		.listeners = LOCAL_LISTENERS_MAX,
		.relays = LOCAL_RELAYS_MAX,
		.ports = cfg->n_ports,
		.neighbours = NEIGHBOURS_SHOWN,
		.punt_lines = PUNT_LINES,
	};
	struct life *life;
	int rc;

	flow_sizes(cfg, &sizes.rows, &sizes.rows_wide);
	if (getrandom(&dp.generation, sizeof(dp.generation), 0) != sizeof(dp.generation))
		return EXIT_CODE_FAILURE;
	rc = join_create_region(&dp.region, &sizes, dp.generation, eal_hugepages(),
	                        port_numa_node(&cfg->ports[0]));
	if (rc != 0) {
		log_error("dataplane", "memory",
		          "error=\"no room for the shared region: %s; lower "
		          "limits.allocations\"",
		          strerror(-rc));
		return EXIT_CODE_RESOURCE;
	}
	life = region_find(&dp.region, SECTION_LIFE, 0, sizeof(*life));
	if (life != NULL) {
		atomic_store(&life->hugepages, eal_hugepages());
		atomic_store(&life->flows_max, sizes.rows + sizes.rows_wide);
	}
	return EXIT_CODE_OK;
}

static int make_tables(const struct config *cfg)
{
	const unsigned readers = cfg->workers + 1;
	uint32_t rows, rows_wide;
	uint64_t secret[2];

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		return EXIT_CODE_FAILURE;
	dp.adjacency = rte_zmalloc("adjacency", sizeof(*dp.adjacency), ABI_LINE);
	dp.qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(readers), ABI_LINE);
	dp.local = local_build(cfg, NULL);
	dp.ports = calloc(cfg->n_ports, sizeof(*dp.ports));
	dp.workers = aligned_alloc(ABI_LINE, (cfg->workers * sizeof(*dp.workers) + ABI_LINE - 1) &
	                                             ~(size_t)(ABI_LINE - 1));
	if (dp.adjacency == NULL || dp.qsbr == NULL || dp.local == NULL || dp.ports == NULL ||
	    dp.workers == NULL || rte_rcu_qsbr_init(dp.qsbr, readers) != 0)
		goto full;
	memset(dp.workers, 0, cfg->workers * sizeof(*dp.workers));
	for (unsigned i = 0; i < cfg->workers; i++)
		dp.workers[i].wake_fd = -1;
	flow_sizes(cfg, &rows, &rows_wide);
	dp.flows = flow_create(&dp.region, rows, rows_wide, LOCAL_RELAYS_MAX, secret, dp.qsbr);
	explicit_bzero(secret, sizeof(secret));
	if (dp.flows != NULL)
		return EXIT_CODE_OK;
full:
	log_error("dataplane", "memory",
	          "error=\"no room for the tables; raise memory or lower limits.allocations\"");
	return EXIT_CODE_RESOURCE;
}

static int make_workers(const struct config *cfg)
{
	for (unsigned i = 0; i < cfg->workers; i++) {
		int rc;

		dp.n_workers = i + 1;
		rc = worker_init(&dp.workers[i], &dp, i);
		if (rc != 0) {
			log_error("dataplane", "worker", "worker=%u error=\"%s\"", i,
			          strerror(-rc));
			return EXIT_CODE_RESOURCE;
		}
	}
	return service_new(&dp) != NULL ? EXIT_CODE_OK : EXIT_CODE_RESOURCE;
}

/* --- threads --- */

static void pin(const struct thread *t)
{
	cpu_set_t set;

	if (t->core < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(t->core, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		log_warning("dataplane", "pin", "core=%d error=\"this core is not ours\"", t->core);
}

static void *run(void *arg)
{
	struct thread *t = arg;
	char name[16];

	pin(t);
	if (t->worker != NULL)
		snprintf(name, sizeof(name), "worker%u", t->worker->index);
	else
		snprintf(name, sizeof(name), "service");
	pthread_setname_np(pthread_self(), name);
	/* Gives it a number, and so a cache of packet buffers. */
	if (rte_thread_register() != 0) {
		log_error("dataplane", "thread", "thread=%s error=\"DPDK takes no more threads\"",
		          name);
		pthread_kill(main_thread, SIGTERM);
		return NULL;
	}
	if (t->worker != NULL)
		worker_run(t->worker);
	else
		service_run(dp.service);
	rte_thread_unregister();
	return NULL;
}

static int start_thread(struct thread *t, struct worker *w, int core)
{
	int rc;

	*t = (struct thread){ .dp = &dp, .worker = w, .core = core };
	rc = pthread_create(&t->id, NULL, run, t);
	t->running = rc == 0;
	if (rc == 0)
		return EXIT_CODE_OK;
	log_error("dataplane", "thread", "error=\"%s\"", strerror(rc));
	return EXIT_CODE_RESOURCE;
}

static int start_threads(const struct config *cfg)
{
	int rc = EXIT_CODE_OK;

	for (unsigned i = 0; i < cfg->workers && rc == EXIT_CODE_OK; i++)
		rc = start_thread(&threads[i], &dp.workers[i], cfg->cores[i]);
	if (rc == EXIT_CODE_OK && cfg->service_core >= 0)
		rc = start_thread(&threads[cfg->workers], NULL, cfg->service_core);
	return rc;
}

static void stop_threads(void)
{
	atomic_store(&dp.stop, true);
	for (unsigned i = 0; i < dp.n_workers; i++)
		if (dp.workers[i].wake_fd >= 0)
			worker_wake(&dp.workers[i]);
	for (unsigned i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
		if (threads[i].running)
			pthread_join(threads[i].id, NULL);
}

/* --- beginning and end --- */

static int bring_up(const struct config *cfg)
{
	int rc;

	rc = make_region(cfg);
	if (rc == EXIT_CODE_OK)
		rc = make_tables(cfg);
	if (rc != EXIT_CODE_OK)
		return rc;
	dp.n_ports = cfg->n_ports;
	rc = port_open_all(&dp);
	if (rc == EXIT_CODE_OK)
		rc = kernel_take_over(&dp);
	if (rc == EXIT_CODE_OK)
		rc = make_workers(cfg);
	if (rc == EXIT_CODE_OK)
		rc = start_threads(cfg);
	return rc;
}

/* The reverse; any part may never have been built. */
static void tear_down(void)
{
	stop_threads();
	service_free(dp.service);
	for (unsigned i = 0; i < dp.n_workers; i++)
		worker_fini(&dp.workers[i]);
	if (dp.flows != NULL)
		flow_destroy(dp.flows);
	if (dp.ports != NULL) {
		port_close_all(&dp);
		kernel_give_back(&dp);
	}
	if (dp.local != NULL)
		local_free(dp.local);
	if (dp.region.base != NULL)
		region_leave(&dp.region);
	free(dp.workers);
	free(dp.ports);
	rte_free(dp.qsbr);
	rte_free(dp.adjacency);
}

/* HUP is control's: a reload reaches us as a command, after control has read the file. */
static void wait_for_end(const sigset_t *set)
{
	int sig;

	do {
		sig = sigwaitinfo(set, NULL);
	} while (sig != SIGTERM && sig != SIGINT);
	log_info("dataplane", "stop", "signal=%s", sig == SIGTERM ? "TERM" : "INT");
}

static int serve(const struct config *cfg)
{
	char lock[4096];
	sigset_t set;
	int rc;

	main_thread = pthread_self();
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	dp.cfg = cfg;
	rc = make_run_dir(cfg->run_dir);
	if (rc == EXIT_CODE_OK)
		rc = lock_run_dir(cfg, lock, sizeof(lock));
	if (rc != EXIT_CODE_OK)
		return rc;
	rc = eal_start(cfg);
	if (rc != EXIT_CODE_OK)
		goto unlock;
	telemetry_register(&dp);
	rc = bring_up(cfg);
	if (rc == EXIT_CODE_OK)
		wait_for_end(&set);
	tear_down();
	eal_stop();
unlock:
	unlink(lock);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	struct config_error err;
	struct config *cfg;
	int rc, c;

	while ((c = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'c': path = optarg; break;
		case 'V': puts("turnpike-dataplane " TURNPIKE_VERSION); return EXIT_CODE_OK;
		case 'h':
			puts("usage: turnpike-dataplane -c FILE | --version");
			return EXIT_CODE_OK;
		default:
			path = NULL;
			optind = argc + 1;
			break;
		}
	}
	if (path == NULL || optind != argc) {
		fputs("usage: turnpike-dataplane -c FILE | --version\n", stderr);
		return EXIT_CODE_USAGE;
	}
	prctl(PR_SET_DUMPABLE, 0);
	cfg = config_load(path, CONFIG_NO_SECRETS, &err);
	if (cfg == NULL) {
		fprintf(stderr, "turnpike-dataplane: %s\n", err.text);
		return EXIT_CODE_CONFIG;
	}
	log_open("turnpike-dataplane", cfg->log_level, cfg->log_format);
	rc = serve(cfg);
	config_free(cfg);
	return rc;
}
