#include "loop_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/ctl/client.h"

static const char config_text[] =
	"ports: [{ device: \"af_packet:eth0\", addresses: [198.18.0.1/24] }]\n"
	"listeners: [198.18.0.1:3478]\n"
	"relay: { addresses: [198.18.0.1] }\n"
	"auth: { realm: example.org, users: { alice: wonderland } }\n"
	"run-dir: %s\n";

static void *run(void *arg)
{
	struct loop_rig *const r = arg;

	loop_run(r->c);
	return NULL;
}

void rig_start(struct loop_rig *r)
{
	struct config_error err = { "out of memory" };
	char path[128];
	bool found;

	strcpy(r->dir, "/tmp/turnpike-loop-XXXXXX");
	if (!mkdtemp(r->dir))
		abort();
	chmod(r->dir, 0755);
	snprintf(r->file, sizeof(r->file), "%s/turnpike.yaml", r->dir);
	snprintf(r->ctl_path, sizeof(r->ctl_path), "%s/control.sock", r->dir);
	snprintf(r->dp_path, sizeof(r->dp_path), "%s/dataplane.sock", r->dir);
	snprintf(path, sizeof(path), "%s/store", r->dir);
	FILE *const f = fopen(r->file, "w");

	fprintf(f, config_text, r->dir);
	fclose(f);
	struct config *const cfg = config_load(r->file, CONFIG_ALL, &err);

	r->srv = stub_new();
	r->c = cfg && store_open(&r->store, path, 16, &found) == 0
	               ? loop_new(cfg, r->store, r->srv, stub_random, &err)
	               : NULL;
	if (!r->c || pthread_create(&r->thread, NULL, run, r) != 0) {
		fprintf(stderr, "rig: %s\n", err.text);
		abort();
	}
}

void rig_join(struct loop_rig *r)
{
	pthread_join(r->thread, NULL);
	r->stopped = r->c->stop;
	loop_free(r->c);
	r->c = NULL;
}

void rig_end(struct loop_rig *r)
{
	turn_free(r->srv);
	store_close(r->store, false);
	unlink(r->file);
	unlink(r->dp_path);
	rmdir(r->dir);
}

long long rig_counter(const struct loop_rig *r, const char *name)
{
	struct client_error err;
	const int fd = client_connect(r->ctl_path, &err);
	json_t *const all = fd < 0 ? NULL : client_call(fd, "show counters", NULL, &err);
	const json_t *const value = json_object_get(all, name);
	const long long n = value ? json_integer_value(value) : -1;

	json_decref(all);
	if (fd >= 0)
		close(fd);
	return n;
}

bool rig_counter_becomes(const struct loop_rig *r, const char *name, long long want)
{
	for (unsigned i = 0; i < 500; i++) {
		if (rig_counter(r, name) == want)
			return true;
		usleep(10000);
	}
	return false;
}
