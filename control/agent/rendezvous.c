/* Descriptions out and in: by files, or by a person who copies lines. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/agent/agent.h"
#include "control/ice/sdp.h"

enum { LINE_MAX_OCTETS = 65536, LOOK_MS = 50, RESTART_S = 60 };

static char line[LINE_MAX_OCTETS];
static struct event *look;
static size_t typed; /* of a line that is still being typed */

/* Under a temporary name, then renamed: whoever waits for the file sees it whole or not at all. */
static bool write_file(const char *path, const char *text)
{
	char temporary[4096];
	FILE *f;

	if (snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >=
	    (int)sizeof(temporary))
		return false;
	f = fopen(temporary, "we");
	const bool ok = f && fprintf(f, "%s\n", text) > 0;

	if ((f && fclose(f) != 0) || !ok || rename(temporary, path) != 0) {
		fprintf(stderr, "turnpike-agent: cannot write %s: %s\n", path, strerror(errno));
		unlink(temporary);
		return false;
	}
	return true;
}

bool rendezvous_write(struct agent *g)
{
	static struct ice_description d;

	ice_local(g->ice, &d);
	if (!sdp_line_print(&d, line, sizeof(line)))
		return false;
	if (g->o.local)
		return write_file(g->o.local, line);
	fprintf(stderr, "turnpike-agent: give this line to the other side:\n%s\n", line);
	if (!g->o.remote)
		fprintf(stderr, "turnpike-agent: and paste its line here:\n");
	return true;
}

/* A description that was not seen before. */
static void take(struct agent *g, const char *text, size_t len)
{
	static struct ice_description d;
	char err[128];

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	if (len == 0 || (g->last_remote && strlen(g->last_remote) == len &&
	                 memcmp(g->last_remote, text, len) == 0))
		return;
	free(g->last_remote);
	g->last_remote = strndup(text, len);
	if (!sdp_line_parse(text, len, &d, err)) {
		fprintf(stderr, "turnpike-agent: %s\n", err);
		return;
	}
	g->remote_ms = agent_now_ms();
	g->awaiting = false;
	const uint32_t before = ice_generation(g->ice);

	if (ice_remote(g->ice, agent_now_ms(), &d) != ICE_OK)
		fprintf(stderr, "turnpike-agent: the other side's description cannot be used\n");
	if (ice_generation(g->ice) != before) /* its restart is ours too: a new line goes out */
		g->gathered = g->described = false;
	session_run(g);
}

static void read_file(struct agent *g)
{
	FILE *const f = fopen(g->o.remote, "re");
	const size_t n = f ? fread(line, 1, sizeof(line), f) : 0;

	if (f)
		fclose(f);
	if (n > 0)
		take(g, line, n);
}

/* Lines of a terminal, until there is a path: then stdin is what is to be carried. */
static void read_terminal(struct agent *g)
{
	const ssize_t n = read(STDIN_FILENO, line + typed, 1);

	if (n <= 0) {
		event_del(look);
		return;
	}
	if (line[typed] != '\n' && typed + 1 < sizeof(line)) {
		typed++;
		return;
	}
	const size_t len = typed;

	typed = 0;
	take(g, line, len);
	if (ice_state(g->ice, NULL) == ICE_RUNNING)
		event_del(look);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct agent *const g = arg;

	(void)fd;
	(void)what;
	if (g->o.remote)
		read_file(g);
	else
		read_terminal(g);
}

void rendezvous_await(struct agent *g)
{
	g->awaiting = true;
	g->waiting_since_ms = agent_now_ms();
}

void rendezvous_look(struct agent *g)
{
	const uint32_t s = g->connected && (!g->o.timeout_s || g->o.timeout_s > RESTART_S)
	                           ? RESTART_S
	                           : g->o.timeout_s;

	if (!g->awaiting || !s || agent_now_ms() <= g->waiting_since_ms + (uint64_t)s * 1000)
		return;
	fprintf(stderr,
	        "turnpike-agent: %s: the other side has given no description within %" PRIu32
	        " s\n",
	        g->connected ? "path lost" : "no path", s);
	agent_end(g, g->connected ? 0 : 1);
}

void rendezvous_watch(struct agent *g)
{
	const struct timeval t = { .tv_usec = LOOK_MS * 1000 };

	rendezvous_await(g);
	if (g->o.remote)
		look = event_new(g->loop, -1, EV_PERSIST, on_look, g);
	else
		look = event_new(g->loop, STDIN_FILENO, EV_READ | EV_PERSIST, on_look, g);
	event_add(look, g->o.remote ? &t : NULL);
}

void rendezvous_close(struct agent *g)
{
	if (look)
		event_free(look);
	look = NULL;
	free(g->last_remote);
	g->last_remote = NULL;
}
