/*
 * turnpike-control: the TURN server without the packets. Opens the store, joins the data plane when
 * there is one, serves the control socket, and leaves the store behind unless it is stopped clean.
 *
 * An ordinary user will do: it needs its run directory and the group of the data plane's socket.
 */
#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <jansson.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/loop.h"
#include "control/session/session.h"
#include "control/supervise.h"
#include "exit.h"

static void random_octets(void *out, size_t len)
{
	if (RAND_bytes(out, (int)len) != 1) {
		log_error("random", "failed", "do=\"see OpenSSL's configuration\"");
		abort(); /* predictable ports and keys would be worse than none */
	}
}

/* Passwords and secrets pass through lines and JSON values, which their libraries free. */
static void wiping_free(void *p)
{
	if (p)
		OPENSSL_cleanse(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_realloc(void *old, size_t size)
{
	void *const new = malloc(size);
	const size_t had = old ? malloc_usable_size(old) : 0;

	if (new &&old) {
		memcpy(new, old, had < size ? had : size);
		wiping_free(old);
	}
	return new;
}

static bool make_directory(const char *path)
{
	char *const copy = strdup(path);
	bool good = copy != NULL;

	for (char *slash = copy; good && (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		good = mkdir(copy, 0755) == 0 || errno == EEXIST || access(copy, X_OK) == 0;
		*slash = '/';
	}
	good = good && (mkdir(path, 0755) == 0 || errno == EEXIST) &&
	       access(path, W_OK | X_OK) == 0;
	free(copy);
	return good;
}

/* What to do about it, for people. */
static const char *store_advice(int rc)
{
	switch (rc) {
	case -ENOSPC:
		return "make room there, point run-dir elsewhere, or lower limits.allocations";
	case -EBUSY: return "another turnpike-control runs with this run-dir; stop it first";
	case -EPROTO:
		return "it was written by another version; stop that one without --keep, or remove "
		       "the file and with it what it holds";
	case -EACCES: return "give this user the run-dir";
	default: return "see the directory and its file system";
	}
}

static int open_store(const struct config *cfg, struct store **store)
{
	const uint32_t n = turn_store_first(cfg),
		       n_max = turn_store_records(cfg) + session_store_records(cfg->limit_legs);
	char path[512];
	bool found = false;

	if (!make_directory(cfg->run_dir)) {
		fprintf(stderr,
		        "turnpike-control: run-dir %s: %s; create it for this user, or set run-dir "
		        "in %s\n",
		        cfg->run_dir, strerror(errno), cfg->path);
		return EXIT_CODE_RESOURCE;
	}
	snprintf(path, sizeof(path), "%s/store", cfg->run_dir);
	const int rc = store_open_growing(store, path, n, n_max, &found);

	if (rc < 0) {
		fprintf(stderr, "turnpike-control: store %s (%u records of 256 octets): %s; %s\n",
		        path, n, strerror(-rc), store_advice(rc));
		return EXIT_CODE_RESOURCE;
	}
	log_info("store", found ? "found" : "created", "file=%s used=%u capacity=%u", path,
	         store_used(*store), store_capacity(*store));
	return EXIT_CODE_OK;
}

static int run(struct config *cfg)
{
	static const int ending[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	sigset_t ends;
	struct config_error err = { "out of memory" };
	struct store *store;
	const int status = open_store(cfg, &store);

	if (status != EXIT_CODE_OK) {
		config_free(cfg);
		return status;
	}
	struct turn_server *const turn =
		turn_new(cfg, store, random_octets, loop_now_ms(), loop_wall_s(), &err);
	struct control *const c = turn ? loop_new(cfg, store, turn, random_octets, &err) : NULL;

	if (!c) {
		fprintf(stderr, "turnpike-control: %s\n", err.text);
		if (turn)
			turn_free(turn);
		else
			config_free(cfg);
		store_close(store, true);
		return EXIT_CODE_RESOURCE;
	}
	loop_run(c);
	/* A second TERM may not make a clean end one by signal that leaves the store behind. */
	sigemptyset(&ends);
	for (unsigned i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		sigaddset(&ends, ending[i]);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	const bool keep = c->stop != LOOP_STOPS;

	log_info("relay", "stopped", "kept=%u", keep ? turn_allocations(turn) : 0);
	turn_free(turn);
	loop_free(c);
	store_close(store, keep);
	return keep ? SUPERVISE_KEPT : EXIT_CODE_OK;
}

static int usage(FILE *out, int status)
{
	fputs("usage: turnpike-control -c FILE | --version\n"
	      "\n"
	      "The control process of a relay. Signals: HUP reads FILE again, USR1 takes no new\n"
	      "allocations, TERM and INT end all allocations and stop. Exit status: 0 stopped,\n"
	      "10 stopped with allocations kept (turnpikectl stop --keep), 75 something is busy\n"
	      "or missing, 78 error in FILE, 2 usage, 1 anything else.\n",
	      out);
	return status;
}

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = getenv("TURNPIKE_CONFIG");
	struct config_error err;

	for (int o; (o = getopt_long(argc, argv, "c:hV", options, NULL)) != -1;) {
		switch (o) {
		case 'c': path = optarg; break;
		case 'h': return usage(stdout, EXIT_CODE_OK);
		case 'V': puts("turnpike-control " TURNPIKE_VERSION); return EXIT_CODE_OK;
		default: return usage(stderr, EXIT_CODE_USAGE);
		}
	}
	if (optind != argc || !path)
		return usage(stderr, EXIT_CODE_USAGE);
	/* No core file, no ptrace by the same user: keys and passwords are in here. */
	prctl(PR_SET_DUMPABLE, 0);
	json_set_alloc_funcs(malloc, wiping_free);
	event_set_mem_functions(malloc, wiping_realloc, wiping_free);
	struct config *const cfg = config_load(path, CONFIG_ALL, &err);

	if (!cfg) {
		fprintf(stderr, "turnpike-control: %s\n", err.text);
		return EXIT_CODE_CONFIG;
	}
	log_open("turnpike-control", cfg->log_level, cfg->log_format);
	return run(cfg);
}
