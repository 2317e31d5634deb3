/*
 * turnpikectl's side of the control socket: one connection, a line out, a line back. Blocking.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

enum { CLIENT_REPLY_MAX = 16 * 1024 * 1024, CLIENT_TIMEOUT_S = 30 };

struct client_error {
	int status; /* what to exit with (exit.h) */
	char text[640];
};

/* A connected socket, or -1: err says what to do. */
int client_connect(const char *path, struct client_error *err);

/*
 * Sends the request (params may be NULL; taken over) and waits. The result, the caller's to
 * release; NULL: err.
 */
json_t *client_call(int fd, const char *method, json_t *params, struct client_error *err);

/*
 * The same, then each notification's params to `said`, until the other side hangs up. Never returns
 * without an error.
 */
void client_follow(int fd, const char *method, json_t *params, void (*said)(void *, const json_t *),
                   void *arg, struct client_error *err);

/* Waits until the other side is gone. false: it is still there after `timeout_s`. */
bool client_wait_end(int fd, int timeout_s);
