/* Structured, rate-limited lines. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

enum { LINE_MAX_OCTETS = 2048, BODY_MAX = 1024 };

static const char *const names[] = { "error", "warning", "info", "debug" };
static const int syslog_priority[] = { 3, 4, 6, 7 };

static _Atomic enum log_level threshold = LOG_LEVEL_INFO;
static enum log_format format = LOG_TEXT;
static char program[32] = "turnpike";
static bool to_journal; /* stderr is the journal: it stamps the time and wants a priority */

/* systemd names device and inode of the stream it reads (sd-daemon(3)). */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void log_open(const char *name, enum log_level level, enum log_format fmt)
{
	snprintf(program, sizeof(program), "%s", name);
	format = fmt;
	to_journal = stderr_is_journal();
	log_set_level(level);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&threshold, level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return atomic_load_explicit(&threshold, memory_order_relaxed);
}

bool log_level_parse(const char *text, enum log_level *out)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	return false;
}

const char *log_level_name(enum log_level level)
{
	return names[level];
}

char *log_escape(const void *octets, size_t len, char *out, size_t cap)
{
	const uint8_t *in = octets;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const bool plain = in[i] > ' ' && in[i] < 0x7F && in[i] != '"' && in[i] != '\'' &&
		                   in[i] != '\\';

		if (n + (plain ? 1 : 4) >= cap)
			break;
		if (plain)
			out[n++] = (char)in[i];
		else
			n += (size_t)snprintf(out + n, cap - n, "\\x%02x", in[i]);
	}
	out[n] = '\0';
	return out;
}

/* A line under construction; what does not fit is cut. */
struct line {
	char text[LINE_MAX_OCTETS];
	size_t len;
};

static size_t room(const struct line *l)
{
	return sizeof(l->text) - 4 - l->len; /* "}\n" always fits */
}

static void put(struct line *l, const char *text, size_t len)
{
	if (len > room(l))
		len = room(l);
	memcpy(l->text + l->len, text, len);
	l->len += len;
}

static void put_text(struct line *l, const char *text)
{
	put(l, text, strlen(text));
}

/* A JSON string, whole escapes only. Octets beyond ASCII were escaped by log_escape() or are ours.
 */
static void put_json(struct line *l, const char *text, size_t len)
{
	put(l, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		const uint8_t c = (uint8_t)text[i];
		char esc[8];

		if (room(l) < 8)
			break;
		if (c == '"' || c == '\\')
			snprintf(esc, sizeof(esc), "\\%c", c);
		else if (c < 0x20 || c >= 0x7F)
			snprintf(esc, sizeof(esc), "\\u%04x", c);
		else
			snprintf(esc, sizeof(esc), "%c", c);
		put_text(l, esc);
	}
	put(l, "\"", 1);
}

/* key=value pairs to JSON members; a value in double quotes may hold spaces. */
static void put_pairs(struct line *l, const char *pairs)
{
	while (*pairs != '\0') {
		const size_t key = strcspn(pairs, "= ");
		const char *value = pairs + key, *end;

		if (*value == '=')
			value++;
		if (*value == '"' && (end = strchr(value + 1, '"')) != NULL)
			value++;
		else
			end = value + strcspn(value, " ");
		if (room(l) < 6 * key + 32) /* never half a member */
			return;
		if (key > 0) {
			put(l, ",", 1);
			put_json(l, pairs, key);
			put(l, ":", 1);
			put_json(l, value, (size_t)(end - value));
		}
		pairs = end + (*end == '"');
		pairs += strspn(pairs, " ");
	}
}

static void put_time(struct line *l)
{
	struct timespec now;
	struct tm tm;
	char text[40];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	const size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03ldZ", now.tv_nsec / 1000000);
	put_text(l, text);
}

/* false: held back. *held is what the site held back before this line. */
static bool site_admit(struct log_site *site, uint32_t *held)
{
	struct timespec now;

	*held = 0;
	if (site == NULL)
		return true;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	uint64_t seen = atomic_load_explicit(&site->second, memory_order_relaxed);
	if (seen != (uint64_t)now.tv_sec + 1 && /* + 1: never the zero of a new site */
	    atomic_compare_exchange_strong(&site->second, &seen, (uint64_t)now.tv_sec + 1))
		atomic_store_explicit(&site->passed, 0, memory_order_relaxed);
	if (atomic_fetch_add_explicit(&site->passed, 1, memory_order_relaxed) >= LOG_BURST) {
		atomic_fetch_add_explicit(&site->held, 1, memory_order_relaxed);
		return false;
	}
	*held = atomic_exchange_explicit(&site->held, 0, memory_order_relaxed);
	return true;
}

static void build_text(struct line *l, enum log_level level, const char *topic, const char *event,
                       const char *body)
{
	if (to_journal) {
		char priority[8];

		snprintf(priority, sizeof(priority), "<%d>", syslog_priority[level]);
		put_text(l, priority);
	} else {
		put_time(l);
		put(l, " ", 1);
	}
	put_text(l, names[level]);
	put(l, " ", 1);
	put_text(l, topic);
	put(l, " ", 1);
	put_text(l, event);
	if (body[0] != '\0')
		put(l, " ", 1);
	for (; *body != '\0'; body++) /* a control octet would end or colour the line */
		put(l, (uint8_t)*body < 0x20 || *body == 0x7F ? "?" : body, 1);
}

static void build_json(struct line *l, enum log_level level, const char *topic, const char *event,
                       const char *body)
{
	const char *const member[][2] = {
		{ ",\"level\":", names[level] },
		{ ",\"program\":", program },
		{ ",\"topic\":", topic },
		{ ",\"event\":", event },
	};

	put_text(l, "{\"time\":\"");
	put_time(l);
	put(l, "\"", 1);
	for (unsigned i = 0; i < sizeof(member) / sizeof(member[0]); i++) {
		put_text(l, member[i][0]);
		put_json(l, member[i][1], strlen(member[i][1]));
	}
	put_pairs(l, body);
	l->text[l->len++] = '}';
}

void log_line(struct log_site *site, enum log_level level, const char *topic, const char *event,
              const char *fmt, ...)
{
	char body[BODY_MAX] = "";
	struct line l = { .len = 0 };
	uint32_t held;
	va_list ap;

	if (!site_admit(site, &held))
		return;
	va_start(ap, fmt);
	int n = vsnprintf(body, sizeof(body) - 32, fmt, ap);
	va_end(ap);
	if (held > 0) {
		n = (int)strlen(body);
		snprintf(body + n, sizeof(body) - (size_t)n, "%ssuppressed=%u", n > 0 ? " " : "",
		         held);
	}
	if (format == LOG_JSON)
		build_json(&l, level, topic, event, body);
	else
		build_text(&l, level, topic, event, body);
	l.text[l.len++] = '\n';
	/* Nobody can be told that telling failed. */
	const ssize_t written = write(STDERR_FILENO, l.text, l.len);
	(void)written;
}
