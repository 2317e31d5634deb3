/* EAL for tests and benches. */
#include "tests/rig/eal.h"

#include <ftw.h>
#include <rte_common.h>
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char runtime[64];

static void die(const char *what)
{
	fprintf(stderr, "eal: %s\n", what);
	exit(2);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void remove_runtime(void)
{
	nftw(runtime, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static unsigned free_hugepages(void)
{
	FILE *const f = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "HugePages_Free: %u", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

bool eal_rig_start(const char *name, unsigned mib, int core, unsigned huge_wanted)
{
	const bool huge = huge_wanted > 0 && free_hugepages() >= huge_wanted;
	char program[32], prefix[48], memory[16], lcore[16];
	char *small[] = { program, "--no-huge", "-m", memory, "--no-shconf" };
	char *large[] = { program, "--in-memory" };
	char *rest[] = { "--no-pci",      "--no-telemetry", "-l",          lcore,
		         "--file-prefix", prefix,           "--log-level", "lib.*:error" };
	char *argv[RTE_DIM(small) + RTE_DIM(rest)];
	const size_t n = huge ? RTE_DIM(large) : RTE_DIM(small);

	snprintf(program, sizeof(program), "%s", name);
	snprintf(prefix, sizeof(prefix), "%s%d", program, (int)getpid());
	snprintf(memory, sizeof(memory), "%u", mib);
	snprintf(lcore, sizeof(lcore), "%d", core == EAL_RIG_ANY_CORE ? 0 : core);
	memcpy(argv, huge ? large : small, n * sizeof(*argv));
	memcpy(argv + n, rest, sizeof(rest));
	snprintf(runtime, sizeof(runtime), "/tmp/turnpike-%s-XXXXXX", program);
	if (!mkdtemp(runtime))
		die("no room for a runtime directory in /tmp");
	atexit(remove_runtime);
	setenv("RUNTIME_DIRECTORY", runtime, 1);
	if (rte_eal_init((int)(n + RTE_DIM(rest)), argv) < 0)
		die("DPDK does not start");
	return huge;
}
