/*
 * Structured lines, one event each, to stderr or the journal; text or JSON. Never per packet.
 *
 *   log_info("allocation", "begin", "user=%s client=%s relayed=%s", user, client, relayed);
 *
 * Text: `2026-11-24T22:51:39.123Z info allocation begin user=alice client=...`
 * JSON: {"time":...,"level":"info","topic":"allocation","event":"begin","user":"alice",...}
 * so the format is `key=value` pairs separated by one space. Values from the wire go through
 * log_escape() first, which leaves no space, quote, control or non-ASCII octet (TURN-210).
 *
 * Threads    Any; a line is one write(2).
 * Rate       Each call site passes at most LOG_BURST lines a second; what was held back is told by
 *            the next line of that site as `suppressed=N`.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };
enum { LOG_BURST = 50 };

/* One per call site, static; zero-initialised. */
struct log_site {
	_Atomic uint64_t second;
	_Atomic uint32_t passed, held;
};

void log_open(const char *program, enum log_level level, enum log_format format);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
bool log_level_parse(const char *text, enum log_level *out);
const char *log_level_name(enum log_level level);

/* Printable form of untrusted octets; always NUL-terminated; returns `out`. */
char *log_escape(const void *octets, size_t len, char *out, size_t cap);

void log_line(struct log_site *site, enum log_level level, const char *topic, const char *event,
              const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#define LOG_AT(level, ...)                                        \
	do {                                                      \
		static struct log_site log_site_;                 \
		if ((level) <= log_get_level())                   \
			log_line(&log_site_, level, __VA_ARGS__); \
	} while (0)
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) LOG_AT(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
