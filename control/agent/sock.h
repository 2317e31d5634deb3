/*
 * Endpoints as the kernel wants them.
 *
 * Threads    Pure functions; no state.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "addr.h"

union sock {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

/* The length of what was filled. */
static inline socklen_t sock_from(const struct endpoint *e, union sock *out)
{
	memset(out, 0, sizeof(*out));
	if (addr_is4(&e->addr)) {
		out->four.sin_family = AF_INET;
		out->four.sin_port = htons(e->port);
		memcpy(&out->four.sin_addr, e->addr.ip + 12, 4);
		return sizeof(out->four);
	}
	out->six.sin6_family = AF_INET6;
	out->six.sin6_port = htons(e->port);
	memcpy(&out->six.sin6_addr, e->addr.ip, 16);
	return sizeof(out->six);
}

/* Port 0 for another family. */
static inline struct endpoint sock_endpoint(const union sock *s)
{
	struct endpoint e = { .port = 0 };

	if (s->any.sa_family == AF_INET) {
		e.addr = addr_from4((const uint8_t *)&s->four.sin_addr);
		e.port = ntohs(s->four.sin_port);
	} else if (s->any.sa_family == AF_INET6) {
		memcpy(e.addr.ip, &s->six.sin6_addr, 16);
		e.port = ntohs(s->six.sin6_port);
	}
	return e;
}
