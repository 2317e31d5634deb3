/*
 * The command line as a struct. One table (options.c) knows every option with its argument, range,
 * unit, default and one line of text; it drives parsing, errors, --help and the manual page.
 *
 *   turnpike-gen --port af_packet:eth0 --address 198.18.0.2/24 --server 198.18.0.1:3478
 *                --user alice --password secret --clients 100 --rate 20kpps --duration 5
 *
 * Where       --port DEVICE (as in turnpike.yaml) then its --address A/LEN ...; the second --port
 * is the peers'. --clients-from PREFIX, --client-ports A-B, --peers-from PREFIX,
 *             --peer-ports A-B: where clients and peers are; default: the port's own address.
 *             --next-hop MAC for ports without a kernel behind the other end. --cores LIST --poll
 *             --give-back: only give kernel devices back, after a generator that was killed
 * Server      --server A:P (twice for two families) --user --password (a %u is the client's number)
 *             --rest-secret SECRET (mints time-limited credentials) --setup turn|reflect|swap
 *             (reflect: what is sent comes back as it was, from a forwarder that swaps MACs; swap:
 *             from one that swaps addresses and ports too)
 * Calls       --clients N --peers N (of each client) --family 4|6|46|64 --lifetime S --setup-rate N
 *             --setup-window N --old-channels --permissions-only
 * Traffic     --direction c2p|p2c|both|c2c --wrap channel|send|mixed --size N|imix|audio|video
 *             --rate N[k|M]pps|N[M|G]bps|Ncalls|max --duration S --drain S --order random|round
 *             --no-check (no payload checks) --strict (loss, duplicates, reordering fail the run)
 * What to do  (nothing: one trial) --find ndr|pdr|both --find-capacity --latency (at 10, 50, 90 %
 * of what was found or of --rate) --bias (back to back, port to port) --storm NAME --storm-rate
 *             --storm-seed --replay FILE --replay-speed X
 *             --trial S --precision P --loss L (ratio of PDR) --p99 MS --budget S
 * Output      --json FILE (- is stdout) --html FILE --record FILE --live --quiet
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "addr.h"
#include "pkt-gen/profile.h"

enum { OPTIONS_PORTS_MAX = 2, OPTIONS_ADDRESSES_MAX = 8, OPTIONS_CORES_MAX = 16 };

enum option_setup { SETUP_TURN, SETUP_REFLECT, SETUP_SWAP };
enum option_direction { DIRECTION_C2P, DIRECTION_P2C, DIRECTION_BOTH, DIRECTION_C2C };
enum option_wrap { OPTION_CHANNEL, OPTION_SEND, OPTION_MIXED };
enum option_rate { RATE_MAX, RATE_PPS, RATE_BPS, RATE_CALLS };
enum option_find { FIND_NOTHING, FIND_NDR, FIND_PDR, FIND_BOTH, FIND_CAPACITY };

struct option_port {
	char device[256]; /* with its kind: "af_packet:eth0" */
	struct prefix address[OPTIONS_ADDRESSES_MAX];
	unsigned n_addresses;
};

struct options {
	struct option_port port[OPTIONS_PORTS_MAX];
	unsigned n_ports;
	struct prefix clients_from, peers_from; /* len 0: the port's own address */
	uint16_t client_port_min, client_port_max, peer_port_min, peer_port_max;
	bool has_next_hop;
	uint8_t next_hop[6];
	int cores[OPTIONS_CORES_MAX];
	unsigned n_cores; /* 0: one engine, not pinned */

	struct endpoint server[2]; /* IPv4, IPv6; port 0: not given */
	const char *user, *password, *rest_secret;
	enum option_setup setup;

	uint32_t clients, peers;
	unsigned client_family, peer_family; /* 4 or 6 */
	uint32_t lifetime_s;
	double setup_rate;
	uint32_t setup_window;
	bool old_channels, permissions_only;

	enum option_direction direction;
	enum option_wrap wrap;
	struct profile profile;
	enum option_rate rate_kind;
	double rate;
	double duration_s, drain_s;
	int order; /* 1: round_robin, which follows from it */
	bool round_robin, no_check;
	bool strict; /* loss, duplicates and reordering fail the run */

	enum option_find find;
	bool latency, bias;
	const char *storm;
	double storm_rate;
	uint64_t seed;
	const char *replay;
	double replay_speed;
	double trial_s, precision, loss, budget_s;
	double p99_ms; /* of a call, for --find-capacity; 0: any */

	const char *json, *html, *record;
	bool live, quiet, poll; /* poll: never sleep */
	bool give_back;         /* nothing but this */
};

/*
 * 0, or an enum exit_code with one line on stderr that names the option, what was found, what is
 * allowed and the nearest known one. --help, --version and --manual print and return -1. Texts are
 * copied and live as long as the process; secrets are overwritten in argv, so that neither a list
 * of processes nor a report shows them.
 */
int options_parse(struct options *o, int argc, char **argv);
/* The table as troff or Markdown, for the build. */
void options_manual(FILE *out, bool markdown);
