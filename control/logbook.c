#include "control/logbook.h"

#include <inttypes.h>
#include <stdio.h>

#include "log.h"

enum { RELAYED_TEXT_MAX = 2 * ENDPOINT_TEXT_MAX };

static const char *relayed_print(const struct turn_info *info, char out[RELAYED_TEXT_MAX])
{
	int n = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < 2; i++) {
		char text[ENDPOINT_TEXT_MAX];

		if (info->relayed[i].port == 0)
			continue;
		n += snprintf(out + n, RELAYED_TEXT_MAX - (size_t)n, "%s%s", n ? "," : "",
		              endpoint_print(&info->relayed[i], text));
	}
	return out;
}

static void begin(const struct turn_info *info)
{
	char client[ENDPOINT_TEXT_MAX], server[ENDPOINT_TEXT_MAX], relayed[RELAYED_TEXT_MAX];

	if (log_get_level() < LOG_LEVEL_INFO)
		return;
	log_line(NULL, LOG_LEVEL_INFO, "allocation", "begin",
	         "id=%" PRIu64 " user=%s realm=%s client=%s server=%s relayed=%s lifetime_s=%u",
	         info->id, info->user, info->realm, endpoint_print(&info->client, client),
	         endpoint_print(&info->server, server), relayed_print(info, relayed),
	         info->expires_s);
}

static void end(const struct turn_info *info)
{
	char client[ENDPOINT_TEXT_MAX], relayed[RELAYED_TEXT_MAX];

	if (log_get_level() < LOG_LEVEL_INFO)
		return;
	log_line(NULL, LOG_LEVEL_INFO, "allocation", "end",
	         "id=%" PRIu64 " user=%s realm=%s client=%s relayed=%s reason=%s age_s=%" PRIu64
	         " from_client_packets=%" PRIu64 " from_client_octets=%" PRIu64
	         " to_client_packets=%" PRIu64 " to_client_octets=%" PRIu64,
	         info->id, info->user, info->realm, endpoint_print(&info->client, client),
	         relayed_print(info, relayed), turn_end_name(info->end), info->age_s,
	         info->from_client_packets, info->from_client_octets, info->to_client_packets,
	         info->to_client_octets);
}

static void refused(const struct turn_info *info)
{
	char client[ENDPOINT_TEXT_MAX], peer[ENDPOINT_TEXT_MAX] = "-";

	if (info->peer.port || !addr_equal(&info->peer.addr, &(struct addr){ { 0 } }))
		endpoint_print(&info->peer, peer);
	log_info("request", "refused", "code=%u user=%s client=%s peer=%s why=%s", info->code,
	         info->user[0] ? info->user : "-", endpoint_print(&info->client, client), peer,
	         info->why);
}

void logbook_write(const struct turn_action *a, struct control_stats *stats)
{
	switch (a->kind) {
	case ACTION_BEGIN:
		stats->count[CONTROL_BEGINS]++;
		begin(&a->info);
		break;
	case ACTION_END:
		stats->count[CONTROL_ENDS]++;
		end(&a->info);
		break;
	case ACTION_REFUSED:
		stats->count[CONTROL_REFUSALS]++;
		refused(&a->info);
		break;
	case ACTION_COMMAND: break;
	}
}
