/*
 * Prints every size and offset that two processes share, one a line; the difference to abi.golden
 * is the review of an ABI change, and comes with a new ABI_MAJOR or ABI_MINOR.
 *
 *   abi_test > abi.golden     write it anew
 *   abi_test abi.golden       compare; exit status 1 and the first line that differs
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi.h"
#include "abi/command.h"
#include "abi/punt.h"
#include "abi/ring.h"
#include "abi/row.h"
#include "abi/stats.h"

static FILE *out;

#define CONSTANT(name) fprintf(out, "%s = %llu\n", #name, (unsigned long long)(name))
#define STRUCT(type)                                                                     \
	fprintf(out, "struct %s: %zu octets, aligned %zu\n", #type, sizeof(struct type), \
	        alignof(struct type))
#define FIELD(type, field)                                                                \
	fprintf(out, "  %s.%s: %zu + %zu\n", #type, #field, offsetof(struct type, field), \
	        sizeof(((struct type *)NULL)->field))

static void print_abi(void)
{
	CONSTANT(ABI_MAGIC);
	CONSTANT(ABI_MAJOR);
	CONSTANT(ABI_MINOR);
	CONSTANT(ABI_LINE);

	STRUCT(hello);
	FIELD(hello, magic);
	FIELD(hello, major);
	FIELD(hello, minor);
	FIELD(hello, kind);
	FIELD(hello, generation);
	FIELD(hello, region_octets);
	FIELD(hello, n_workers);
	FIELD(hello, pid);
	FIELD(hello, text);
	CONSTANT(HELLO_OFFER);
	CONSTANT(HELLO_JOIN);
	CONSTANT(HELLO_WELCOME);
	CONSTANT(HELLO_REFUSE);

	STRUCT(section);
	FIELD(section, kind);
	FIELD(section, instance);
	FIELD(section, major);
	FIELD(section, minor);
	FIELD(section, offset);
	FIELD(section, octets);
	STRUCT(directory);
	FIELD(directory, magic);
	FIELD(directory, major);
	FIELD(directory, minor);
	FIELD(directory, n_sections);
	FIELD(directory, octets);
	FIELD(directory, generation);
	fprintf(out, "  directory.section: %zu\n", offsetof(struct directory, section));
	CONSTANT(SECTION_LIFE);
	CONSTANT(SECTION_LISTENERS);
	CONSTANT(SECTION_RELAYS);
	CONSTANT(SECTION_COUNTERS);
	CONSTANT(SECTION_PUNT);
	CONSTANT(SECTION_COMMAND_TAIL);
	CONSTANT(SECTION_ROWS);
	CONSTANT(SECTION_ROWS_WIDE);
	CONSTANT(SECTION_FOREIGN);
	CONSTANT(SECTION_PORTS);
	CONSTANT(SECTION_NEIGHBOURS);
	CONSTANT(SECTION_COMMAND);
	CONSTANT(SECTION_PUNT_TAIL);
}

static void print_tables(void)
{
	STRUCT(life);
	FIELD(life, started_ns);
	FIELD(life, turn_ns);
	FIELD(life, n_listeners);
	FIELD(life, n_relays);
	FIELD(life, n_ports);
	FIELD(life, n_workers);
	FIELD(life, flows);
	FIELD(life, flows_max);
	FIELD(life, ready);
	FIELD(life, config_epoch);
	FIELD(life, hugepages);
	FIELD(life, reserved);
	STRUCT(abi_listener);
	FIELD(abi_listener, ip);
	FIELD(abi_listener, port);
	FIELD(abi_listener, id);
	FIELD(abi_listener, transport);
	FIELD(abi_listener, live);
	FIELD(abi_listener, reserved);
	STRUCT(abi_relay);
	FIELD(abi_relay, ip);
	FIELD(abi_relay, advertise);
	FIELD(abi_relay, id);
	FIELD(abi_relay, port_min);
	FIELD(abi_relay, port_max);
	FIELD(abi_relay, live);
	FIELD(abi_relay, reserved);
	STRUCT(abi_port);
	FIELD(abi_port, name);
	FIELD(abi_port, device);
	FIELD(abi_port, mac);
	FIELD(abi_port, mtu);
	FIELD(abi_port, n_queues);
	FIELD(abi_port, kind);
	FIELD(abi_port, link_up);
	FIELD(abi_port, speed_mbps);
	FIELD(abi_port, rx_packets);
	FIELD(abi_port, rx_octets);
	FIELD(abi_port, tx_packets);
	FIELD(abi_port, tx_octets);
	FIELD(abi_port, rx_missed);
	FIELD(abi_port, tx_errors);
	FIELD(abi_port, tap_in);
	FIELD(abi_port, tap_out);
	STRUCT(abi_neighbour);
	FIELD(abi_neighbour, ip);
	FIELD(abi_neighbour, mac);
	FIELD(abi_neighbour, port);
	FIELD(abi_neighbour, state);
	FIELD(abi_neighbour, users);
}

static void print_ring_and_rows(void)
{
	CONSTANT(RING_MARK);
	CONSTANT(RING_RECORD_MAX);
	CONSTANT(RING_FILLER);
	STRUCT(ring_head);
	FIELD(ring_head, head);
	STRUCT(ring_tail);
	FIELD(ring_tail, tail);
	FIELD(ring_tail, sleeping);
	fprintf(out, "ring_mark(0x1234, 0x89ABCDEF) = 0x%016llx\n",
	        (unsigned long long)ring_mark(0x1234, 0x89ABCDEF));

	STRUCT(row_counts);
	FIELD(row_counts, packets);
	FIELD(row_counts, octets);
	STRUCT(flow_key);
	FIELD(flow_key, ip);
	FIELD(flow_key, port);
	FIELD(flow_key, channel);
	FIELD(flow_key, listener);
	FIELD(flow_key, kind);
	STRUCT(row);
	FIELD(row, key);
	FIELD(row, deadline_s);
	FIELD(row, owner);
	FIELD(row, generation);
	FIELD(row, counts);
	STRUCT(row_wide);
	FIELD(row_wide, row);
	FIELD(row_wide, peer_ip6);
	CONSTANT(FLOW_CHANNEL);
	CONSTANT(FLOW_BOUND_PEER);
	CONSTANT(FLOW_PERMISSION);
	CONSTANT(FLOW_ALLOCATION4);
	CONSTANT(FLOW_ALLOCATION6);
}

static void print_commands(void)
{
	CONSTANT(CMD_SYNC_BEGIN);
	CONSTANT(CMD_SYNC_END);
	CONSTANT(CMD_SET);
	CONSTANT(CMD_DELETE);
	CONSTANT(CMD_REALM);
	CONSTANT(CMD_TEMPLATE);
	CONSTANT(CMD_NONCE_KEY);
	CONSTANT(CMD_TRANSMIT);
	CONSTANT(CMD_RELOAD);
	CONSTANT(CMD_LEG);
	CONSTANT(CMD_LEG_DELETE);
	CONSTANT(CMD_KIND_END);
	CONSTANT(CMD_OCTETS_MAX);
	STRUCT(cmd_sync);
	FIELD(cmd_sync, tag);
	STRUCT(cmd_flow);
	FIELD(cmd_flow, tag);
	FIELD(cmd_flow, client_ip);
	FIELD(cmd_flow, peer_ip);
	FIELD(cmd_flow, client_port);
	FIELD(cmd_flow, peer_port);
	FIELD(cmd_flow, listener);
	FIELD(cmd_flow, channel);
	FIELD(cmd_flow, relay);
	FIELD(cmd_flow, relayed_port);
	FIELD(cmd_flow, kind);
	FIELD(cmd_flow, flags);
	FIELD(cmd_flow, deadline_s);
	FIELD(cmd_flow, deadline_in_s);
	STRUCT(cmd_realm);
	FIELD(cmd_realm, listener);
	FIELD(cmd_realm, nonce_lifetime_s);
	FIELD(cmd_realm, scope);
	FIELD(cmd_realm, prefix);
	STRUCT(cmd_nonce_key);
	FIELD(cmd_nonce_key, epoch);
	FIELD(cmd_nonce_key, current);
	FIELD(cmd_nonce_key, key);
	STRUCT(cmd_template);
	FIELD(cmd_template, listener);
	FIELD(cmd_template, code);
	FIELD(cmd_template, octets);
	FIELD(cmd_template, nonce_at);
	CONSTANT(LOCAL_LISTENER);
	CONSTANT(LOCAL_RELAY);
	STRUCT(cmd_transmit);
	FIELD(cmd_transmit, source_kind);
	FIELD(cmd_transmit, dscp);
	FIELD(cmd_transmit, source);
	FIELD(cmd_transmit, source_port);
	FIELD(cmd_transmit, dest_port);
	FIELD(cmd_transmit, dest_ip);
	FIELD(cmd_transmit, cookie);
	FIELD(cmd_transmit, octets);
}

static void print_punts(void)
{
	CONSTANT(PUNT_REQUEST);
	CONSTANT(PUNT_ROW);
	CONSTANT(PUNT_ICMP);
	CONSTANT(PUNT_ICE);
	CONSTANT(PUNT_CLOSE);
	CONSTANT(PUNT_TABLES);
	CONSTANT(PUNT_OCTETS_MAX);
	STRUCT(punt);
	FIELD(punt, local_kind);
	FIELD(punt, ecn_dscp);
	FIELD(punt, local);
	FIELD(punt, local_port);
	FIELD(punt, remote_port);
	FIELD(punt, remote_ip);
	FIELD(punt, received_ns);
	FIELD(punt, cookie);
	FIELD(punt, octets);
	STRUCT(cmd_leg_source);
	FIELD(cmd_leg_source, ip);
	FIELD(cmd_leg_source, port);
	STRUCT(cmd_leg_key);
	FIELD(cmd_leg_key, ufrag);
	FIELD(cmd_leg_key, ufrag_len);
	FIELD(cmd_leg_key, inner);
	FIELD(cmd_leg_key, outer);
	STRUCT(cmd_leg_to);
	FIELD(cmd_leg_to, relay);
	FIELD(cmd_leg_to, port);
	STRUCT(cmd_leg);
	FIELD(cmd_leg, tag);
	FIELD(cmd_leg, relay);
	FIELD(cmd_leg, port);
	FIELD(cmd_leg, peer_port);
	FIELD(cmd_leg, flags);
	FIELD(cmd_leg, n_to);
	FIELD(cmd_leg, peer_ip);
	FIELD(cmd_leg, deadline_s);
	FIELD(cmd_leg, patience_s);
	FIELD(cmd_leg, source);
	FIELD(cmd_leg, key);
	CONSTANT(LEG_SILENT);
	CONSTANT(LEG_ANSWERS);
	CONSTANT(LEG_CONTROLLING);
	CONSTANT(LEG_LITE);
	CONSTANT(FLOW_LEG);
	STRUCT(row_leg);
	FIELD(row_leg, from);
	FIELD(row_leg, from_other);
	FIELD(row_leg, heard_s);
	FIELD(row_leg, next_relay);
	FIELD(row_leg, next_port);
	FIELD(row_leg, from_owner);

	STRUCT(punt_row);
	FIELD(punt_row, tag);
	FIELD(punt_row, row);
	FIELD(punt_row, status);
	FIELD(punt_row, packets);
	FIELD(punt_row, octets);
	FIELD(punt_row, from_packets);
	FIELD(punt_row, from_octets);
	CONSTANT(ROW_OK);
	CONSTANT(ROW_DELETED);
	CONSTANT(ROW_UNKNOWN);
	CONSTANT(ROW_FULL);
	CONSTANT(ROW_REFUSED);
	CONSTANT(ROW_SYNCED);
	CONSTANT(ROW_NO_PARENT);
	STRUCT(stats);
	for (unsigned i = 0; i < STAT_COUNT; i++)
		fprintf(out, "  stats.count[%u]: %s\n", i, stat_names[i].name);
}

static int compare(const char *path, char *text)
{
	FILE *const f = fopen(path, "re");
	char line[256];
	unsigned n = 0;
	char *have = text;

	if (!f) {
		fprintf(stderr, "abi_test: cannot read %s: %m\n", path);
		return 2;
	}
	while (fgets(line, sizeof(line), f) && ++n) {
		const size_t len = strlen(line);

		if (strncmp(have, line, len) != 0) {
			printf("%s:%u: was %s    is now %.*s\n", path, n, line,
			       (int)strcspn(have, "\n"), have);
			printf("If that is meant: abi_test > %s (and another ABI version after a "
			       "release)\n",
			       path);
			fclose(f);
			return 1;
		}
		have += len;
	}
	fclose(f);
	if (*have) {
		printf("%s:%u: new: %.*s\nIf that is meant: abi_test > %s\n", path, n + 1,
		       (int)strcspn(have, "\n"), have, path);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	char *text = NULL;
	size_t octets = 0;

	out = open_memstream(&text, &octets);
	if (!out)
		return 2;
	print_abi();
	print_tables();
	print_ring_and_rows();
	print_commands();
	print_punts();
	if (fclose(out))
		return 2;
	const int rc = argc > 1 ? compare(argv[1], text) : fputs(text, stdout) < 0;

	free(text);
	return rc;
}
