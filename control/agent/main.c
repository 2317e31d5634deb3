/* turnpike-agent: connects two machines through any NATs. From options to exit code. */
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/agent/agent.h"
#include "exit.h"

static void on_interrupt(evutil_socket_t fd, short what, void *arg)
{
	struct agent *const g = arg;

	(void)fd;
	(void)what;
	agent_end(g, g->connected ? 0 : 1);
}

/* Written last, whole or not at all. */
static void write_stats(const struct agent *g)
{
	char temporary[4096];
	FILE *f;

	snprintf(temporary, sizeof(temporary), "%s.%d", g->o.stats, (int)getpid());
	f = fopen(temporary, "we");
	if (!f) {
		fprintf(stderr, "turnpike-agent: cannot write %s\n", g->o.stats);
		return;
	}
	if (g->connected)
		fprintf(f,
		        "{\"local_type\":\"%s\",\"remote_type\":\"%s\",\"connect_ms\":%" PRIu64
		        ",\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64 "}\n",
		        ice_type_name[g->first.local.type], ice_type_name[g->first.remote.type],
		        g->connect_ms, g->sent, g->received, g->lost);
	else
		fprintf(f, "{\"local_type\":null,\"remote_type\":null,\"connect_ms\":null,"
		           "\"sent\":0,\"received\":0,\"lost\":0}\n");
	if (fclose(f) != 0 || rename(temporary, g->o.stats) != 0)
		fprintf(stderr, "turnpike-agent: cannot write %s\n", g->o.stats);
}

static void run(struct agent *g)
{
	/* epoll refuses plain files, which stdin may well be. */
	struct event_config *const how = event_config_new();

	event_config_require_features(how, EV_FEATURE_FDS);
	g->loop = event_base_new_with_config(how);
	event_config_free(how);
	if (!g->loop)
		return;
	struct event *const term = evsignal_new(g->loop, SIGTERM, on_interrupt, g);

	g->interrupt = evsignal_new(g->loop, SIGINT, on_interrupt, g);
	event_add(g->interrupt, NULL);
	event_add(term, NULL);
	if (session_open(g)) {
		rendezvous_watch(g);
		session_run(g);
		event_base_dispatch(g->loop);
	}
	g->finished = true; /* what still comes has no one to take it */
	rendezvous_close(g);
	reliable_close(g);
	lines_close(g);
	session_close(g);
	event_free(term);
	event_free(g->interrupt);
	event_base_free(g->loop);
}

int main(int argc, char **argv)
{
	static struct agent g = { .code = EXIT_CODE_FAILURE };
	const int rc = agent_options_parse(&g.o, argc, argv);

	if (rc != 0)
		return rc < 0 ? EXIT_CODE_OK : rc;
	signal(SIGPIPE, SIG_IGN);
	if (g.o.nat_type)
		return nat_type_run(&g.o.server[0]);
	run(&g);
	if (g.o.stats)
		write_stats(&g);
	return g.code;
}
