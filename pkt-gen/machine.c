#include "pkt-gen/machine.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* The text after "name ...:" of a file of such lines. */
static void line_of(const char *path, const char *name, char *out, size_t cap)
{
	FILE *in = fopen(path, "re");
	char line[512];

	out[0] = '\0';
	if (in == NULL)
		return;
	while (fgets(line, sizeof(line), in) != NULL) {
		const char *colon = strchr(line, ':');
		if (colon == NULL || strncmp(line, name, strlen(name)) != 0)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(out, cap, "%.*s", (int)strcspn(colon, "\n"), colon);
		break;
	}
	fclose(in);
}

static unsigned number_of(const char *path, const char *name)
{
	char text[64];
	unsigned n = 0;

	line_of(path, name, text, sizeof(text));
	return sscanf(text, "%u", &n) == 1 ? n : 0;
}

static void ticks(struct machine *m)
{
	FILE *in = fopen("/proc/stat", "re");
	unsigned long long v[8] = { 0 }; /* user nice system idle iowait irq softirq steal */

	m->all_ticks = m->steal_ticks = 0;
	if (in == NULL)
		return;
	if (fscanf(in, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
	           &v[4], &v[5], &v[6], &v[7]) == 8) {
		for (unsigned i = 0; i < 8; i++)
			m->all_ticks += v[i];
		m->steal_ticks = v[7];
	}
	fclose(in);
}

void machine_read(struct machine *m)
{
	struct utsname u;
	cpu_set_t set;

	memset(m, 0, sizeof(*m));
	line_of("/proc/cpuinfo", "model name", m->cpu, sizeof(m->cpu));
	if (uname(&u) == 0)
		snprintf(m->kernel, sizeof(m->kernel), "%.15s %.40s %.30s", u.sysname, u.release,
		         u.machine);
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		m->cores = (unsigned)CPU_COUNT(&set);
	m->hugepages = number_of("/proc/meminfo", "HugePages_Total");
	m->huge_free = number_of("/proc/meminfo", "HugePages_Free");
	m->huge_kb = number_of("/proc/meminfo", "Hugepagesize");
	ticks(m);
}

double machine_steal(const struct machine *since)
{
	struct machine now;

	ticks(&now);
	if (now.all_ticks <= since->all_ticks || now.steal_ticks < since->steal_ticks)
		return 0;
	return (double)(now.steal_ticks - since->steal_ticks) /
	       (double)(now.all_ticks - since->all_ticks);
}
