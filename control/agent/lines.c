/*
 * stdin and stdout as datagrams, a line each. Eight octets stand before a line, so that what is
 * lost can be counted and the end be agreed on:
 *
 *   0xF5 | kind | 0 | 0 | number, 32 bits: of the line; of all lines, at the end
 *
 * What comes without them is from another program: it is written out as it is.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/agent/agent.h"
#include "wire/bytes.h"

enum { MARK = 0xF5, HEAD = 8, LINE_LEN = 1200, END_MS = 200, END_TRIES = 25 };
enum { KIND_LINE, KIND_END, KIND_HEARD };

struct lines {
	struct event *readable, *again;
	uint8_t buf[HEAD + LINE_LEN];
	size_t len;
	uint32_t next, highest, theirs;
	unsigned tries;
	bool ended, end_heard, their_end;
};

static void put_head(uint8_t *octets, uint8_t kind, uint32_t number)
{
	octets[0] = MARK;
	octets[1] = kind;
	octets[2] = octets[3] = 0;
	be32_store(octets + 4, number);
}

static void control(struct agent *g, uint8_t kind, uint32_t number)
{
	uint8_t octets[HEAD];

	put_head(octets, kind, number);
	session_send(g, octets, sizeof(octets));
}

static void maybe_end(struct agent *g)
{
	const struct lines *const l = g->lines;

	if (l->ended && l->their_end && (l->end_heard || l->tries >= END_TRIES))
		agent_end(g, 0);
}

static void send_line(struct agent *g)
{
	struct lines *const l = g->lines;

	put_head(l->buf, KIND_LINE, l->next++);
	session_send(g, l->buf, HEAD + l->len);
	g->sent++;
	l->len = 0;
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct agent *const g = arg;
	struct lines *const l = g->lines;
	const struct timeval t = { .tv_usec = END_MS * 1000 };

	(void)fd;
	(void)what;
	if (!l->end_heard && l->tries < END_TRIES) {
		l->tries++;
		control(g, KIND_END, l->next);
		evtimer_add(l->again, &t);
	}
	maybe_end(g);
}

static void end_of_input(struct agent *g)
{
	struct lines *const l = g->lines;

	if (l->len > 0)
		send_line(g);
	l->ended = true;
	event_del(l->readable);
	on_again(-1, 0, g);
}

/* A line that is longer than a datagram may be goes in pieces. */
static void on_stdin(evutil_socket_t fd, short what, void *arg)
{
	struct agent *const g = arg;
	struct lines *const l = g->lines;
	char octets[4096];
	const ssize_t n = read(fd, octets, sizeof(octets));

	(void)what;
	if (n <= 0) {
		end_of_input(g);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (octets[i] == '\n' || l->len == LINE_LEN)
			send_line(g);
		if (octets[i] != '\n')
			l->buf[HEAD + l->len++] = (uint8_t)octets[i];
	}
}

static struct lines *lines_of(struct agent *g)
{
	struct lines *const l = g->lines ? g->lines : calloc(1, sizeof(*l));

	if (!l || g->lines)
		return l;
	l->readable = event_new(g->loop, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, g);
	l->again = evtimer_new(g->loop, on_again, g);
	return g->lines = l;
}

void lines_open(struct agent *g)
{
	struct lines *const l = lines_of(g);

	if (l)
		event_add(l->readable, NULL);
}

static void write_line(const uint8_t *octets, size_t len)
{
	fwrite(octets, 1, len, stdout);
	fputc('\n', stdout);
	fflush(stdout);
}

static void take_line(struct agent *g, uint32_t number, const uint8_t *octets, size_t len)
{
	struct lines *const l = g->lines;

	g->received++;
	if (number >= l->highest)
		l->highest = number + 1;
	write_line(octets, len);
}

void lines_input(struct agent *g, const uint8_t *octets, size_t len)
{
	/* The other side may be quicker: what it says counts already, what we say has no path yet.
	 */
	struct lines *const l = lines_of(g);

	if (!l)
		return;
	if (len < HEAD || octets[0] != MARK) {
		g->received++;
		write_line(octets, len);
		return;
	}
	const uint32_t number = be32_load(octets + 4);

	if (octets[1] == KIND_LINE) {
		take_line(g, number, octets + HEAD, len - HEAD);
	} else if (octets[1] == KIND_END) {
		l->their_end = true;
		g->lost = number > g->received ? number - g->received : 0;
		control(g, KIND_HEARD, number);
		maybe_end(g);
	} else if (octets[1] == KIND_HEARD) {
		l->end_heard = true;
		maybe_end(g);
	}
}

void lines_close(struct agent *g)
{
	if (!g->lines)
		return;
	event_free(g->lines->readable);
	event_free(g->lines->again);
	free(g->lines);
}
