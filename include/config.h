/*
 * turnpike.yaml as a struct. One settings table (config.c) knows every key with its type, range,
 * unit, default and one line of documentation; it drives parsing, errors, `show config` and the
 * manual.
 *
 * Units      End every name: _s seconds, _ms, octets unless said otherwise.
 * Ownership  config_load() allocates; config_free() wipes secrets and frees. Immutable between.
 * Threads    Read by all after load.
 * Errors     One line: file:line: setting: what was found, what is allowed, the nearest known key.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "addr.h"
#include "log.h"
#include "policy.h"

enum {
	CONFIG_PORTS_MAX = 16,
	CONFIG_PORT_ADDRESSES_MAX = 16,
	CONFIG_LISTENERS_MAX = 64,
	CONFIG_RELAYS_MAX = 64,
	CONFIG_WORKERS_MAX = 32,
	CONFIG_REST_SECRETS_MAX = 4,
	CONFIG_DEVICE_MAX = 256,
};

enum config_device {
	DEVICE_PCI,       /* pci:0000:03:00.0 */
	DEVICE_AF_PACKET, /* af_packet:eth0 */
	DEVICE_AF_XDP,    /* af_xdp:eth0 */
	DEVICE_MEMIF,     /* memif:/run/x.sock,role=client,id=0 */
	DEVICE_VDEV,      /* any other EAL vdev string, passed as it is: net_ring0, net_null0 ... */
};

/* What a reader of the file wants out of it: the data plane never holds a password. */
enum config_view { CONFIG_ALL, CONFIG_NO_SECRETS };

enum config_transport { TRANSPORT_UDP = 1, TRANSPORT_TCP, TRANSPORT_TLS, TRANSPORT_DTLS };
enum config_idle { IDLE_ADAPTIVE, IDLE_POLL };
enum config_hugepages { HUGEPAGES_AUTO, HUGEPAGES_ON, HUGEPAGES_OFF };

struct config_port {
	enum config_device kind;
	char device[CONFIG_DEVICE_MAX]; /* as written, without the kind and its colon */
	char name[16]; /* of the port and its exception TAP; default tp0, tp1 ... */
	struct prefix
		addresses[CONFIG_PORT_ADDRESSES_MAX]; /* interface addresses, host bits kept */
	unsigned n_addresses;
	uint32_t queues; /* 0: as many as workers, as far as the device goes */
	uint32_t mtu;    /* 0: the device's */
};

struct config_listener {
	enum config_transport transport;
	struct endpoint at;
};

struct config_relay {
	struct addr addr;
	struct addr advertise; /* what clients are told; equals addr unless configured (TURN-062) */
};

struct config_user {
	char *name, *password; /* NULL password in CONFIG_NO_SECRETS */
};

struct config {
	char *path; /* real path of the file */
	char name[64];
	char *run_dir; /* default /run/turnpike/NAME */

	struct config_port ports[CONFIG_PORTS_MAX];
	unsigned n_ports;
	struct config_listener listeners[CONFIG_LISTENERS_MAX];
	unsigned n_listeners;
	struct config_relay relays[CONFIG_RELAYS_MAX];
	unsigned n_relays;
	uint16_t relay_port_min, relay_port_max; /* 49152, 65535 */

	char *realm;
	struct config_user *users;
	unsigned n_users;
	char *rest_secrets[CONFIG_REST_SECRETS_MAX];
	unsigned n_rest_secrets;
	char rest_separator;        /* ':' */
	char *nonce_secret;         /* NULL: keys are drawn at random and kept in the store */
	uint32_t nonce_lifetime_s;  /* 600 */
	bool auth_md5, auth_sha256; /* password algorithms offered: both */

	uint32_t limit_allocations;          /* in total, 100000 */
	uint32_t limit_allocations_per_user; /* 100 */
	uint32_t limit_permissions;          /* per allocation, 1024 */
	uint32_t limit_channels;             /* per allocation, 4096 */
	uint32_t limit_legs;                 /* of all ICE sessions, 1000 */
	uint32_t limit_lifetime_s;           /* longest allocation lifetime granted, 3600 */
	uint32_t limit_binding_per_prefix; /* Binding requests answered per /24 or /56 and second */
	uint32_t limit_punt_per_prefix;    /* requests passed to control per prefix and second */
	uint32_t limit_error_total;        /* the same for all sources together: 1,000,000 */
	uint32_t limit_error_per_prefix; /* 401, 400, 438 always answered per prefix and second: 64
	                                  */
	uint32_t limit_reassembly;       /* incoming datagrams being reassembled, in all */
	uint32_t reservation_s;          /* EVEN-PORT hold, 30 */
	uint32_t port_rest_s;            /* a freed port rests before another user gets it, 30 */

	struct prefix *allow, *deny; /* peers.allow, peers.deny */
	unsigned n_allow, n_deny;
	struct prefix *nat64, *sixrd; /* peers.nat64, peers.sixrd (TURN-221) */
	unsigned n_nat64, n_sixrd;
	bool allow_loopback;
	struct prefix *links; /* the addresses of all ports, with their networks */
	unsigned n_links;

	bool rfc5766_channels;   /* compat: numbers 0x4000..0x7FFF (TURN-100) */
	bool strict_permissions; /* compat: TURN-108 instead of TURN-109 */
	bool rfc3489;            /* compat: answer classic STUN Binding (STUN-133) */

	uint32_t workers;                  /* 1 */
	int32_t cores[CONFIG_WORKERS_MAX]; /* worker i is pinned there; -1: not pinned */
	int32_t service_core;              /* -1: the service turn runs inside worker 0 */
	enum config_idle idle;
	enum config_hugepages hugepages;
	uint32_t memory_mib; /* 0: computed from ports, workers and limits */

	char *software;        /* SOFTWARE text; empty: left out (TURN-015) */
	uint32_t fragment_mtu; /* IPv4 to IPv6 fragments are at most this, 1280 (TURN-141) */
	bool ttl_decrement;    /* IPv4 to IPv4; false: reset to 64 (TURN-134) */

	enum log_level log_level;
	enum log_format log_format;
	char *socket_group; /* group that may use the control socket; NULL: the process's own */
};

struct config_error {
	char text[512]; /* complete line, no newline */
};

/* NULL on error, with err->text filled. The message never holds a secret's value. */
struct config *config_load(const char *path, enum config_view view, struct config_error *err);

/*
 * The same from memory; `path` is for messages, for the default name, and a relative { file: PATH }
 * starts in its directory. `text` is not kept.
 */
struct config *config_parse(const char *text, size_t len, const char *path, enum config_view view,
                            struct config_error *err);
void config_free(struct config *cfg);

/* The policy over the config's own prefix arrays. */
struct policy config_policy(const struct config *cfg);

/*
 * YAML that config_load() takes again, every setting with its value. Secrets are written as
 * "(redacted)" unless asked for; a redacted text parses too, but authenticates nobody.
 */
void config_print(const struct config *cfg, FILE *out, bool secrets);

/* The settings table as troff (turnpike.yaml(5)) or Markdown rows; for the build. */
void config_manual(FILE *out, bool markdown);

/* run_dir + "/" + file into `out`; false if it does not fit a UNIX socket address. */
bool config_run_path(const struct config *cfg, const char *file, char *out, size_t cap);
