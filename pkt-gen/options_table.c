/* Every option of turnpike-gen. */
#include <stdio.h>
#include <string.h>

#include "pkt-gen/options_table.h"

#define AT(field) offsetof(struct options, field)

static const struct option_choice setups[] = {
	{ "turn", SETUP_TURN }, { "reflect", SETUP_REFLECT }, { "swap", SETUP_SWAP }, { NULL, 0 }
};
static const struct option_choice directions[] = { { "c2p", DIRECTION_C2P },
	                                           { "p2c", DIRECTION_P2C },
	                                           { "both", DIRECTION_BOTH },
	                                           { "c2c", DIRECTION_C2C },
	                                           { NULL, 0 } };
static const struct option_choice wraps[] = { { "channel", OPTION_CHANNEL },
	                                      { "send", OPTION_SEND },
	                                      { "mixed", OPTION_MIXED },
	                                      { NULL, 0 } };
static const struct option_choice finds[] = {
	{ "ndr", FIND_NDR }, { "pdr", FIND_PDR }, { "both", FIND_BOTH }, { NULL, 0 }
};
static const struct option_choice orders[] = { { "random", 0 }, { "round", 1 }, { NULL, 0 } };

const struct option_row option_rows[] = {
	{ .doc = "Where" },
	{ "port", OPTION_DEVICE, 0, 0, 0, NULL, "DEVICE", NULL,
	  "A port as in turnpike.yaml: af_packet:eth0, af_xdp:eth0, pci:0000:03:00.0, "
	  "memif:/run/x.sock,role=client,id=0, or any EAL vdev; a second one is the peers'",
	  true },
	{ "address", OPTION_ADDRESS, 0, 0, 0, NULL, "A/LEN", NULL,
	  "An address of the port before it, with its network; it moves to the exception port",
	  true },
	{ "clients-from", OPTION_PREFIX, AT(clients_from), 0, 0, NULL, "PREFIX",
	  "the port's own address",
	  "Where clients are: first all ports of an address, then the next address; the other end "
	  "has "
	  "to route the prefix by the port's address",
	  false },
	{ "client-ports", OPTION_PORTS, AT(client_port_min), 0, 0, NULL, "A-B", "10000-29999",
	  "Ports of the clients", false },
	{ "peers-from", OPTION_PREFIX, AT(peers_from), 0, 0, NULL, "PREFIX",
	  "the last port's own address", "Where peers are", false },
	{ "peer-ports", OPTION_PORTS, AT(peer_port_min), 0, 0, NULL, "A-B", "30000-49999",
	  "Ports of the peers", false },
	{ "next-hop", OPTION_MAC, AT(next_hop), 0, 0, NULL, "MAC", NULL,
	  "Everything goes to this MAC address and the kernel is not asked; ports without a kernel "
	  "device "
	  "then need no exception port",
	  false },
	{ "cores", OPTION_CORES, AT(cores), 0, 0, NULL, "LIST", NULL,
	  "One engine with a queue of each port for each of these cores (1,3 or 2-5); else one "
	  "engine, "
	  "not pinned",
	  false },
	{ "poll", OPTION_FLAG, AT(poll), 0, 0, NULL, NULL, NULL,
	  "Never sleep; else an engine with nothing to do sleeps", false },
	{ "give-back", OPTION_FLAG, AT(give_back), 0, 0, NULL, NULL, NULL,
	  "Only give the ports' kernel devices back, after a generator that was killed", false },

	{ .doc = "Server" },
	{ "server", OPTION_SERVER, AT(server), 0, 0, NULL, "A:PORT", NULL,
	  "The TURN server; once for each family", true },
	{ "user", OPTION_TEXT, AT(user), 0, 0, NULL, "NAME", NULL,
	  "User name; %u in it is the client's number", false },
	{ "password", OPTION_SECRET, AT(password), 0, 0, NULL, "TEXT", NULL,
	  "Password; %u in it is the client's number", false },
	{ "rest-secret", OPTION_SECRET, AT(rest_secret), 0, 0, NULL, "TEXT", NULL,
	  "Mints a time-limited name and its password instead", false },
	{ "setup", OPTION_CHOICE, AT(setup), 0, 0, setups, "HOW", "turn",
	  "turn: real allocations; reflect: none, what is sent comes back as it was, from a "
	  "forwarder "
	  "that swaps MAC addresses; swap: comes back with addresses and ports swapped too",
	  false },

	{ .doc = "Calls" },
	{ "clients", OPTION_U32, AT(clients), 0, 16777216, NULL, "N", "1",
	  "Clients, each with an allocation of its own", false },
	{ "peers", OPTION_U32, AT(peers), 1, 4096, NULL, "N", "1", "Peers of each client", false },
	{ "family", OPTION_FAMILY, 0, 0, 0, NULL, "4|6|46|64", "4",
	  "Address family of clients and, behind it where it differs, of relayed addresses and "
	  "peers",
	  false },
	{ "lifetime", OPTION_U32, AT(lifetime_s), 0, 86400, NULL, "SECONDS", "0",
	  "Lifetime asked for; 0: what the server likes", false },
	{ "setup-rate", OPTION_NUMBER, AT(setup_rate), 0, 1e7, NULL, "N", "1000",
	  "New clients a second; 0: as fast as answers come", false },
	{ "setup-window", OPTION_U32, AT(setup_window), 1, 1048576, NULL, "N", "256",
	  "Clients that may be under way at once", false },
	{ "old-channels", OPTION_FLAG, AT(old_channels), 0, 0, NULL, NULL, NULL,
	  "Channel numbers of RFC 5766, up to 0x7FFF", false },
	{ "permissions-only", OPTION_FLAG, AT(permissions_only), 0, 0, NULL, NULL, NULL,
	  "Bind no channels; what comes back is a Data indication", false },

	{ .doc = "Traffic" },
	{ "direction", OPTION_CHOICE, AT(direction), 0, 0, directions, "WAY", "c2p",
	  "Client to peer, peer to client, both, or client to client over two allocations", false },
	{ "wrap", OPTION_CHOICE, AT(wrap), 0, 0, wraps, "HOW", "channel",
	  "What clients send: ChannelData, Send indications, or each for half of the bindings",
	  false },
	{ "size", OPTION_SIZE, AT(profile), 0, 0, NULL, "OCTETS|PROFILE", "160",
	  "Octets of payload, or a profile: imix, audio (160 octets, 50 a second), video (about 2 "
	  "Mbit/s "
	  "in frames, 30 a second)",
	  false },
	{ "rate", OPTION_RATE, 0, 0, 0, NULL, "RATE", "1kpps",
	  "All streams together: 100kpps, 1.5Mpps, 2Gbps (of payload), 500calls (of a profile with "
	  "a rate "
	  "of its own), or max; a search goes no higher",
	  false },
	{ "duration", OPTION_NUMBER, AT(duration_s), 0.1, 86400, NULL, "SECONDS", "5",
	  "How long a trial sends", false },
	{ "drain", OPTION_NUMBER, AT(drain_s), 0, 60, NULL, "SECONDS", "0.5",
	  "How long a trial waits for what is under way", false },
	{ "order", OPTION_CHOICE, AT(order), 0, 0, orders, "random|round", "random",
	  "Which stream sends next: any of them, or each in turn", false },
	{ "no-check", OPTION_FLAG, AT(no_check), 0, 0, NULL, NULL, NULL,
	  "Neither make nor look at sums of payloads and checksums", false },
	{ "strict", OPTION_FLAG, AT(strict), 0, 0, NULL, NULL, NULL,
	  "Loss, duplicates and reordering make the exit status 1 too", false },

	{ .doc = "What to do (without any: one trial)" },
	{ "find", OPTION_CHOICE, AT(find), 0, 0, finds, "ndr|pdr|both", NULL,
	  "Search the rate without loss (ndr), with at most --loss (pdr), or both at once", false },
	{ "find-capacity", OPTION_CAPACITY, AT(find), 0, 0, NULL, NULL, NULL,
	  "Search how many calls of the profile the server carries", false },
	{ "latency", OPTION_FLAG, AT(latency), 0, 0, NULL, NULL, NULL,
	  "Latency at 10, 50 and 90 % of the rate that was found, or of --rate", false },
	{ "bias", OPTION_FLAG, AT(bias), 0, 0, NULL, NULL, NULL,
	  "The generator's own latency and rate: two ports joined back to back (both ends of a "
	  "veth), "
	  "or one that loops (net_ring0); plain UDP, no server",
	  false },
	{ "storm", OPTION_TEXT, AT(storm), 0, 0, NULL, "NAME", NULL,
	  "Something else than media beside the media: allocate, binding, spoofed, mutated, churn, "
	  "vanish, scan",
	  false },
	{ "storm-rate", OPTION_NUMBER, AT(storm_rate), 0, 1e9, NULL, "N", "0",
	  "Packets or moves of the storm a second; 0: the storm's own rate", false },
	{ "storm-seed", OPTION_U64, AT(seed), 0, 0, NULL, "N", "1", "Seed of what is drawn",
	  false },
	{ "replay", OPTION_TEXT, AT(replay), 0, 0, NULL, "FILE", NULL,
	  "Send a capture of STUN and TURN traffic (pcap, pcapng), rewritten to the server",
	  false },
	{ "replay-speed", OPTION_NUMBER, AT(replay_speed), 0.001, 1000000, NULL, "X", "1",
	  "So many times as fast as it was captured", false },
	{ "trial", OPTION_NUMBER, AT(trial_s), 0.1, 3600, NULL, "SECONDS", "2",
	  "Length of the last trials of a search, and of latency trials", false },
	{ "precision", OPTION_NUMBER, AT(precision), 0.0001, 0.5, NULL, "RATIO", "0.01",
	  "Width of the interval at which a search ends", false },
	{ "loss", OPTION_NUMBER, AT(loss), 0, 0.5, NULL, "RATIO", "0.005",
	  "Loss that pdr and a call allow", false },
	{ "p99", OPTION_NUMBER, AT(p99_ms), 0, 10000, NULL, "MS", "0",
	  "Latency that 99 % of a call's packets have to keep for --find-capacity; 0: any", false },
	{ "budget", OPTION_NUMBER, AT(budget_s), 0, 86400, NULL, "SECONDS", "0",
	  "A search ends after so long; 0: when it has found", false },

	{ .doc = "Output" },
	{ "json", OPTION_TEXT, AT(json), 0, 0, NULL, "FILE", NULL,
	  "The report as one JSON object; - is standard output, and nothing else is written there",
	  false },
	{ "html", OPTION_TEXT, AT(html), 0, 0, NULL, "FILE", NULL,
	  "The report as a page with plots, in one file", false },
	{ "record", OPTION_TEXT, AT(record), 0, 0, NULL, "FILE", NULL,
	  "Every frame as pcapng; for looking, not for measuring", false },
	{ "live", OPTION_FLAG, AT(live), 0, 0, NULL, NULL, NULL,
	  "A live view on standard error even if that is no terminal", false },
	{ "quiet", OPTION_FLAG, AT(quiet), 0, 0, NULL, NULL, NULL, "No live view", false },
	{ "help", OPTION_SAY, 0, 0, 0, NULL, NULL, NULL, "This, and the end", false },
	{ "version", OPTION_SAY, 0, 0, 0, NULL, NULL, NULL, "Version, and the end", false },
	{ "manual", OPTION_SAY, 0, 0, 0, NULL, NULL, NULL, "The manual page as troff, and the end",
	  false },
};
const unsigned option_n_rows = sizeof(option_rows) / sizeof(option_rows[0]);

bool option_is_section(const struct option_row *row)
{
	return row->name == NULL;
}

static void list_choices(const struct option_choice *c, char *out, size_t cap)
{
	size_t n = (size_t)snprintf(out, cap, "one of ");

	for (const struct option_choice *first = c; c->name != NULL && n < cap; c++)
		n += (size_t)snprintf(out + n, cap - n, "%s%s", c == first ? "" : ", ", c->name);
}

void option_allowed(const struct option_row *row, char *out, size_t cap)
{
	static const char *const said[] = {
		[OPTION_FLAG] = "no value",
		[OPTION_U64] = "a whole number",
		[OPTION_TEXT] = "a text that is not empty",
		[OPTION_SECRET] = "a text that is not empty",
		[OPTION_DEVICE] =
			"a device of at most 255 octets without spaces, as in af_packet:eth0",
		[OPTION_ADDRESS] = "an address with its network, as in 198.18.0.2/24",
		[OPTION_PREFIX] = "a prefix whose host bits are zero, as in 198.18.128.0/17",
		[OPTION_PORTS] = "a range of ports A-B from 1 to 65535",
		[OPTION_MAC] = "a unicast MAC address, as in 02:00:00:00:00:01",
		[OPTION_CORES] = "a list of at most 16 different cores, as in 1,3 or 2-5",
		[OPTION_SERVER] = "an address and a port, as in 198.18.0.1:3478 or [fd00::1]:3478",
		[OPTION_FAMILY] = "one of 4, 6, 46, 64",
		[OPTION_SIZE] = "a number of octets from 24 to 1400, or one of imix, audio, video",
		[OPTION_RATE] =
			"max, or a number with pps, bps or calls behind it (k, M, G before it), "
			"as in 20kpps",
		[OPTION_CAPACITY] = "no value",
		[OPTION_SAY] = "no value",
	};

	switch (row->kind) {
	case OPTION_U32:
		snprintf(out, cap, "a whole number from %.0f to %.0f", row->min, row->max);
		break;
	case OPTION_NUMBER:
		snprintf(out, cap, "a number from %g to %.10g", row->min, row->max);
		break;
	case OPTION_CHOICE: list_choices(row->choices, out, cap); break;
	default: snprintf(out, cap, "%s", said[row->kind]); break;
	}
}

unsigned option_distance(const char *a, const char *b)
{
	enum { LEN = 32 };
	unsigned d[LEN + 1][LEN + 1];
	const size_t n = strlen(a), m = strlen(b);

	if (n > LEN || m > LEN)
		return LEN;
	for (unsigned i = 0; i <= n; i++)
		for (unsigned j = 0; j <= m; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = i + j;
				continue;
			}
			unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	return d[n][m];
}
