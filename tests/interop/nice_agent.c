/*
 * The other side of a turnpike-agent, by libnice: reads and writes its one-line descriptions.
 *
 *   nice_agent (offer|answer) LOCAL REMOTE TURN_HOST TURN_PORT (all|relay) STAY_S
 *
 * Sends twenty lines, wants twenty, stays connected as long as it is told; prints the path it
 * selected and the time to it. Exit status 0 if all came and the path still stood at the end.
 */
#include <nice/agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { LINES = 20 };

static const char *const types[] = { "host", "srflx", "prflx", "relay" };

struct one {
	NiceAgent *nice;
	GMainLoop *loop;
	guint stream;
	const char *local, *remote;
	unsigned sent, heard, stay_s;
	gint64 told_us;
	gboolean described, connected;
	int status;
};

static void describe(struct one *o)
{
	char text[16384], host[NICE_ADDRESS_STRING_LEN], path[512];
	gchar *ufrag, *pwd;
	GSList *const all = nice_agent_get_local_candidates(o->nice, o->stream, 1);

	nice_agent_get_local_credentials(o->nice, o->stream, &ufrag, &pwd);
	size_t n = (size_t)snprintf(text, sizeof(text), "ice1 ice2 stream=0,1,%s,%s", ufrag, pwd);

	for (GSList *i = all; i; i = i->next) {
		const NiceCandidate *const c = i->data;

		if (c->transport != NICE_CANDIDATE_TRANSPORT_UDP)
			continue;
		nice_address_to_string(&c->addr, host);
		n += (size_t)snprintf(text + n, sizeof(text) - n, " c=%s,1,udp,%s,%u,%s,%u",
		                      c->foundation, types[c->type], c->priority, host,
		                      nice_address_get_port(&c->addr));
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, " end");
	snprintf(path, sizeof(path), "%s.new", o->local);
	FILE *const f = fopen(path, "w");

	fprintf(f, "%s #%08lx\n", text, crc32(0, (const Bytef *)text, (uInt)n));
	fclose(f);
	rename(path, o->local);
	g_slist_free_full(all, (GDestroyNotify)nice_candidate_free);
	g_free(ufrag);
	g_free(pwd);
}

static NiceCandidate *candidate(const char *word)
{
	char foundation[33], protocol[8], type[8], host[64];
	unsigned component, priority, port;

	if (sscanf(word, "c=%32[^,],%u,%7[^,],%7[^,],%u,%63[^,],%u", foundation, &component,
	           protocol, type, &priority, host, &port) != 7 ||
	    strcmp(protocol, "udp") != 0)
		return NULL;
	NiceCandidate *c = NULL;

	for (unsigned i = 0; i < 4; i++)
		if (strcmp(types[i], type) == 0)
			c = nice_candidate_new((NiceCandidateType)i);
	c->component_id = 1;
	c->transport = NICE_CANDIDATE_TRANSPORT_UDP;
	c->priority = priority;
	snprintf(c->foundation, sizeof(c->foundation), "%s", foundation);
	nice_address_set_from_string(&c->addr, host);
	nice_address_set_port(&c->addr, port);
	return c;
}

static void understand(struct one *o, char *text)
{
	char ufrag[257], pwd[257];
	GSList *all = NULL;

	for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
		NiceCandidate *const c = candidate(word);

		if (sscanf(word, "stream=0,1,%256[^,],%256s", ufrag, pwd) == 2)
			nice_agent_set_remote_credentials(o->nice, o->stream, ufrag, pwd);
		else if (c)
			all = g_slist_append(all, c);
	}
	o->told_us = g_get_monotonic_time();
	nice_agent_set_remote_candidates(o->nice, o->stream, 1, all);
	nice_agent_peer_candidate_gathering_done(o->nice, o->stream);
	g_slist_free_full(all, (GDestroyNotify)nice_candidate_free);
}

static gboolean look(gpointer arg)
{
	struct one *const o = arg;
	gchar *text;

	if (!g_file_get_contents(o->remote, &text, NULL, NULL))
		return G_SOURCE_CONTINUE;
	understand(o, text);
	g_free(text);
	return G_SOURCE_REMOVE;
}

static void on_gathered(NiceAgent *nice, guint stream, gpointer arg)
{
	(void)nice, (void)stream;
	describe(arg);
	g_timeout_add(20, look, arg);
}

static gboolean done(gpointer arg)
{
	struct one *const o = arg;
	const NiceComponentState state = nice_agent_get_component_state(o->nice, o->stream, 1);

	o->status = o->heard < LINES || state != NICE_COMPONENT_STATE_READY;
	printf("heard %u, %s\n", o->heard, nice_component_state_to_string(state));
	g_main_loop_quit(o->loop);
	return G_SOURCE_REMOVE;
}

static gboolean speak(gpointer arg)
{
	struct one *const o = arg;
	char line[32];

	snprintf(line, sizeof(line), "theirs %u", ++o->sent);
	nice_agent_send(o->nice, o->stream, 1, (guint)strlen(line), line);
	if (o->sent < LINES)
		return G_SOURCE_CONTINUE;
	g_timeout_add(1500 + o->stay_s * 1000, done, o);
	return G_SOURCE_REMOVE;
}

static void on_state(NiceAgent *nice, guint stream, guint component, guint state, gpointer arg)
{
	struct one *const o = arg;
	NiceCandidate *local, *remote;

	(void)component;
	if (state != NICE_COMPONENT_STATE_READY || o->connected ||
	    !nice_agent_get_selected_pair(nice, stream, 1, &local, &remote))
		return;
	o->connected = TRUE;
	printf("selected %s %s after %ld ms\n", types[local->type], types[remote->type],
	       (long)((g_get_monotonic_time() - o->told_us) / 1000));
	fflush(stdout);
	g_timeout_add(50, speak, o);
}

static void on_data(NiceAgent *nice, guint stream, guint component, guint len, gchar *data,
                    gpointer arg)
{
	struct one *const o = arg;

	(void)nice, (void)stream, (void)component;
	if (len > 8 && (guchar)data[0] == 0xF5 && data[1] == 0) /* a line of turnpike-agent's */
		o->heard++;
}

static gboolean late(gpointer arg)
{
	struct one *const o = arg;

	if (o->connected)
		return G_SOURCE_REMOVE;
	fprintf(stderr, "no path\n");
	g_main_loop_quit(o->loop);
	return G_SOURCE_REMOVE;
}

int main(int argc, char *argv[])
{
	struct one o = { .status = 1 };

	if (argc != 8)
		return 2;
	o.local = argv[2];
	o.remote = argv[3];
	o.stay_s = (unsigned)atoi(argv[7]);
	o.loop = g_main_loop_new(NULL, FALSE);
	o.nice = nice_agent_new_full(g_main_loop_get_context(o.loop), NICE_COMPATIBILITY_RFC5245,
	                             NICE_AGENT_OPTION_REGULAR_NOMINATION |
	                                     NICE_AGENT_OPTION_CONSENT_FRESHNESS);
	g_object_set(o.nice, "controlling-mode", strcmp(argv[1], "offer") == 0, "stun-server",
	             argv[4], "stun-server-port", atoi(argv[5]), "upnp", FALSE, "ice-tcp", FALSE,
	             "force-relay", strcmp(argv[6], "relay") == 0, NULL);
	o.stream = nice_agent_add_stream(o.nice, 1);
	nice_agent_set_relay_info(o.nice, o.stream, 1, argv[4], (guint)atoi(argv[5]), "alice",
	                          "secret", NICE_RELAY_TYPE_TURN_UDP);
	g_signal_connect(o.nice, "candidate-gathering-done", G_CALLBACK(on_gathered), &o);
	g_signal_connect(o.nice, "component-state-changed", G_CALLBACK(on_state), &o);
	nice_agent_attach_recv(o.nice, o.stream, 1, g_main_loop_get_context(o.loop), on_data, &o);
	if (!nice_agent_gather_candidates(o.nice, o.stream))
		return 1;
	g_timeout_add_seconds(20, late, &o);
	g_main_loop_run(o.loop);
	g_object_unref(o.nice);
	g_main_loop_unref(o.loop);
	return o.status;
}
