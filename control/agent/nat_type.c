/* What kind of NAT is this? RFC 5780 §4: does it map and filter by the other end's address, port?
 */
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/agent/agent.h"
#include "control/agent/sock.h"
#include "exit.h"
#include "wire/attr.h"
#include "wire/crc.h"

enum { TRIES = 5, FIRST_MS = 300 };

struct reply {
	bool came;
	struct endpoint mapped, other;
};

static size_t build(uint8_t *octets, size_t cap, const uint8_t *txid, uint32_t change)
{
	struct stun_builder b;

	stun_begin(&b, octets, cap, stun_type(STUN_BINDING, STUN_REQUEST), txid);
	if (change)
		stun_put_u32(&b, STUN_CHANGE_REQUEST, change);
	stun_put_fingerprint(&b);
	return stun_finish(&b);
}

static bool read_reply(const uint8_t *octets, size_t len, const uint8_t *txid, struct reply *r)
{
	struct stun_attr attr;
	struct stun_msg m;

	if (!stun_open(octets, len, &m) || stun_class(m.type) != STUN_SUCCESS ||
	    memcmp(m.txid, txid, STUN_TXID_LEN) != 0)
		return false;
	if (stun_find(&m, STUN_XOR_MAPPED_ADDRESS, &attr))
		stun_xor_addr(&m, &attr, &r->mapped);
	if (stun_find(&m, STUN_OTHER_ADDRESS, &attr))
		stun_addr(&attr, &r->other);
	r->came = true;
	return true;
}

/* Asks a few times, each longer than before. */
static struct reply ask(int fd, const struct endpoint *to, uint32_t change)
{
	struct reply r = { .came = false };
	uint8_t txid[STUN_TXID_LEN], octets[1500];
	union sock at;
	const socklen_t at_len = sock_from(to, &at);

	if (getrandom(txid, sizeof(txid), 0) != sizeof(txid))
		return r;
	for (int i = 0; i < TRIES && !r.came; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const size_t len = build(octets, sizeof(octets), txid, change);

		if (sendto(fd, octets, len, 0, &at.any, at_len) < 0)
			continue;
		while (!r.came && poll(&p, 1, FIRST_MS << (i < 2 ? i : 2)) > 0) {
			const ssize_t n = recv(fd, octets, sizeof(octets), MSG_DONTWAIT);

			if (n > 0)
				read_reply(octets, (size_t)n, txid, &r);
		}
	}
	return r;
}

static const char *mapping(int fd, const struct ice_server *s, const struct reply *first)
{
	const struct endpoint other_addr = { first->other.addr, s->at.port };
	const struct reply second = ask(fd, &other_addr, 0);

	if (!second.came)
		return "unknown: the server's other address does not answer";
	if (endpoint_equal(&first->mapped, &second.mapped))
		return "endpoint-independent";
	const struct reply third = ask(fd, &first->other, 0);

	if (!third.came)
		return "unknown: the server's other port does not answer";
	return endpoint_equal(&second.mapped, &third.mapped) ? "address-dependent"
	                                                     : "address- and port-dependent";
}

static const char *filtering(int fd, const struct ice_server *s)
{
	if (ask(fd, &s->at, STUN_CHANGE_IP | STUN_CHANGE_PORT).came)
		return "endpoint-independent";
	return ask(fd, &s->at, STUN_CHANGE_PORT).came ? "address-dependent"
	                                              : "address- and port-dependent";
}

int nat_type_run(const struct ice_server *s)
{
	const int family = addr_is4(&s->at.addr) ? AF_INET : AF_INET6;
	/* Filtering is asked from a socket of its own: one that has sent to the other address would
	 * have opened the way. */
	const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const int fresh = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const struct reply first = ask(fd, &s->at, 0);
	char text[ENDPOINT_TEXT_MAX];
	int code = EXIT_CODE_FAILURE;

	if (!first.came) {
		fprintf(stderr,
		        "turnpike-agent: %s does not answer: UDP is blocked, or no STUN "
		        "server is there\n",
		        endpoint_print(&s->at, text));
	} else if (!first.other.port) {
		printf("mapped address: %s\n", endpoint_print(&first.mapped, text));
		fprintf(stderr,
		        "turnpike-agent: the server has no second address (RFC 5780): mapping "
		        "and filtering cannot be told\n");
	} else {
		printf("mapped address: %s\n", endpoint_print(&first.mapped, text));
		printf("mapping: %s\n", mapping(fd, s, &first));
		printf("filtering: %s\n", filtering(fresh, s));
		code = EXIT_CODE_OK;
	}
	close(fd);
	close(fresh);
	return code;
}
