/* One function a command; the table at the end is indexed like ctl_commands[]. */
#include "control/ctl/commands.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "control/ctl/reply.h"
#include "control/ctl/session_commands.h"
#include "control/loop.h"

enum {
	PAGE_DEFAULT = 1000,
	PAGE_MAX = 1000,   /* rows of one reply; turnpikectl asks for the next page by itself */
	SCAN_MAX = 200000, /* allocations looked at for one reply, so that a filter cannot stall
	                      calls */
	TTL_DEFAULT_S = 24 * 3600,
};

static json_t *status(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	(void)req, (void)err;
	return reply_status(c);
}

/* Time-limited names are TIME:USER; the user alone will do. */
static bool user_matches(const struct control *c, const struct turn_info *info, const char *want)
{
	char name[sizeof(info->user)];

	log_escape(want, strlen(want), name, sizeof(name));
	if (strcmp(info->user, name) == 0)
		return true;
	const size_t digits = strspn(info->user, "0123456789");

	return digits > 0 && info->user[digits] == c->cfg->rest_separator &&
	       strcmp(info->user + digits + 1, name) == 0;
}

static bool peer_matches(struct control *c, uint64_t id, const struct addr *peer)
{
	struct turn_peer p;

	for (unsigned i = 0; turn_peer(c->turn, id, i, &p); i++)
		if (addr_equal(&p.peer.addr, peer))
			return true;
	return false;
}

static json_t *show_allocations(struct control *c, const struct ctl_request *req,
                                struct ctl_error *err)
{
	const struct ctl_value *const user = ctl_arg(req, "user"),
				      *const client = ctl_arg(req, "client"),
				      *const peer = ctl_arg(req, "peer"),
				      *const limit = ctl_arg(req, "limit");
	struct addr client_addr = { { 0 } }, peer_addr = { { 0 } };
	uint64_t want = limit->given ? limit->number : PAGE_DEFAULT,
		 after = ctl_arg(req, "after")->number;
	json_t *const rows = json_array();
	struct turn_info info;
	bool more = true;

	(void)err;
	want = want < PAGE_MAX ? want : PAGE_MAX;
	if (client->given)
		addr_parse(client->text, &client_addr);
	if (peer->given)
		addr_parse(peer->text, &peer_addr);
	for (unsigned seen = 0; json_array_size(rows) < want && seen < SCAN_MAX; seen++) {
		more = turn_list(c->turn, after, &info);
		if (!more)
			break;
		after = info.id;
		if (user->given && !user_matches(c, &info, user->text))
			continue;
		if (client->given && !addr_equal(&info.client.addr, &client_addr))
			continue;
		if (peer->given && !peer_matches(c, info.id, &peer_addr))
			continue;
		json_array_append_new(rows, reply_allocation(&info));
	}
	return json_pack("{s:o, s:o, s:I}", "allocations", rows, "next",
	                 more ? json_integer((json_int_t)after) : json_null(), "total",
	                 (json_int_t)turn_allocations(c->turn));
}

static json_t *no_allocation(const struct ctl_request *req, struct ctl_error *err)
{
	return ctl_fail(err, CTL_ERROR_NOT_FOUND, "no allocation %s; see 'show allocations'",
	                ctl_arg(req, "id")->text);
}

static json_t *show_allocation(struct control *c, const struct ctl_request *req,
                               struct ctl_error *err)
{
	struct turn_info info;

	if (!turn_find(c->turn, ctl_arg(req, "id")->number, &info))
		return no_allocation(req, err);
	json_t *const row = reply_allocation(&info);

	json_object_set_new(row, "peers", reply_peers(c, info.id));
	return row;
}

static json_t *show_workers(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	(void)req, (void)err;
	return reply_workers(c);
}

static json_t *show_ports(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	(void)req, (void)err;
	return reply_ports(c);
}

static json_t *show_neighbours(struct control *c, const struct ctl_request *req,
                               struct ctl_error *err)
{
	(void)req, (void)err;
	return reply_neighbours(c);
}

static json_t *show_counters(struct control *c, const struct ctl_request *req,
                             struct ctl_error *err)
{
	(void)err;
	return reply_counters(c, ctl_arg(req, "match")->text, ctl_arg(req, "nonzero")->given);
}

static json_t *show_config(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	json_t *const config = reply_config(c, ctl_arg(req, "secrets")->given);

	return config ? config : ctl_fail(err, CTL_ERROR_INTERNAL, "no memory to print it");
}

static json_t *show_users(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	(void)req, (void)err;
	return reply_users(c);
}

static json_t *delete_allocation(struct control *c, const struct ctl_request *req,
                                 struct ctl_error *err)
{
	const uint64_t id = ctl_arg(req, "id")->number;

	if (!turn_delete(c->turn, id, END_DELETED, loop_now_ms()))
		return no_allocation(req, err);
	loop_pump(c);
	return json_pack("{s:I}", "deleted", (json_int_t)id);
}

static json_t *user_result(enum turn_user_result r, const char *done, const char *name,
                           struct ctl_error *err)
{
	switch (r) {
	case USER_OK: return json_pack("{s:s}", done, name);
	case USER_EXISTS:
		return ctl_fail(err, CTL_ERROR_EXISTS,
		                "there is a user '%s' already; to change its password delete it "
		                "first, or change auth.users if it comes from the configuration",
		                name);
	case USER_UNKNOWN:
		return ctl_fail(err, CTL_ERROR_NOT_FOUND, "no user '%s'; see 'show users'", name);
	case USER_FROM_FILE:
		return ctl_fail(err, CTL_ERROR_REFUSED,
		                "user '%s' comes from the configuration; change auth.users there, "
		                "then 'reload'",
		                name);
	case USER_FULL:
		return ctl_fail(err, CTL_ERROR_UNAVAILABLE,
		                "the store is full; delete users or raise limits.allocations");
	case USER_BAD_NAME:
		return ctl_fail(err, CTL_ERROR_PARAMS,
		                "name or password is not valid here: no control characters, at "
		                "most 508 octets");
	}
	return ctl_fail(err, CTL_ERROR_INTERNAL, "unknown result");
}

static json_t *add_user(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const char *const name = ctl_arg(req, "name")->text;

	return user_result(turn_user_add(c->turn, name, ctl_arg(req, "password")->text), "added",
	                   name, err);
}

static json_t *delete_user(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const char *const name = ctl_arg(req, "name")->text;
	json_t *const result = user_result(turn_user_delete(c->turn, name), "deleted", name, err);

	loop_pump(c);
	return result;
}

static json_t *credential(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const struct ctl_value *const ttl = ctl_arg(req, "ttl");
	const uint32_t ttl_s = ttl->given ? (uint32_t)ttl->number : TTL_DEFAULT_S;
	char username[CTL_TEXT_MAX + 16], password[32];

	if (c->cfg->n_rest_secrets == 0)
		return ctl_fail(err, CTL_ERROR_UNAVAILABLE,
		                "no secret to make it with; set auth.rest-secrets, then 'reload'");
	if (!turn_credential(c->cfg, ctl_arg(req, "user")->text, ttl_s, loop_wall_s(), username,
	                     sizeof(username), password))
		return ctl_fail(err, CTL_ERROR_PARAMS, "no credential for this name: too long");
	json_t *const result =
		json_pack("{s:s, s:s, s:i, s:o, s:s}", "username", username, "password", password,
	                  "ttl", (int)ttl_s, "uris", reply_uris(c->cfg), "realm", c->cfg->realm);

	OPENSSL_cleanse(password, sizeof(password));
	return result ? result
	              : ctl_fail(err, CTL_ERROR_PARAMS, "the name must be UTF-8 to stand in JSON");
}

static json_t *reload(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	struct config_error why;

	(void)req;
	if (!loop_reload(c, &why))
		return ctl_fail(err, CTL_ERROR_REFUSED, "%s; the old configuration stays",
		                why.text);
	return json_pack("{s:s, s:b}", "reloaded", c->cfg->path, "dataplane", c->joined);
}

static json_t *set_log_level(struct control *c, const struct ctl_request *req,
                             struct ctl_error *err)
{
	enum log_level level = log_get_level();

	(void)c, (void)err;
	log_level_parse(ctl_arg(req, "level")->text, &level);
	log_set_level(level);
	return json_pack("{s:s}", "log-level", log_level_name(level));
}

static json_t *drain(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const struct ctl_value *const state = ctl_arg(req, "state");

	(void)err;
	loop_drain(c, !state->given || strcmp(state->text, "on") == 0);
	return json_pack("{s:b, s:I}", "draining", c->draining, "allocations",
	                 (json_int_t)turn_allocations(c->turn));
}

static json_t *stop(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const bool keep = ctl_arg(req, "keep")->given;

	if (c->stop != LOOP_RUNS)
		return ctl_fail(err, CTL_ERROR_UNAVAILABLE, "stopping already");
	loop_stop(c, keep ? LOOP_STOPS_KEEPING : LOOP_STOPS);
	return json_pack("{s:b, s:b}", "stopping", 1, "keep", keep);
}

static json_t *describe(const struct ctl_command *cmd)
{
	char usage[256];
	json_t *const params = json_array();

	for (const struct ctl_param *p = cmd->params; p->type != CTL_END; p++)
		if (!p->local)
			json_array_append_new(params, json_pack("{s:s, s:b, s:s}", "name", p->name,
			                                        "required", p->use == CTL_REQUIRED,
			                                        "help", p->help));
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "command", cmd->name, "usage",
	                 ctl_usage(cmd, usage, sizeof(usage)), "level",
	                 cmd->level == CTL_ADMIN ? "admin" : "read", "help", cmd->help, "params",
	                 params);
}

static json_t *help(struct control *c, const struct ctl_request *req, struct ctl_error *err)
{
	const struct ctl_value *const name = ctl_arg(req, "command");

	(void)c;
	if (name->given) {
		const struct ctl_command *const cmd = ctl_find(name->text);

		if (!cmd)
			return ctl_fail(err, CTL_ERROR_NOT_FOUND, "no command '%.64s'; try 'help'",
			                name->text);
		return json_pack("{s:[o]}", "commands", describe(cmd));
	}
	json_t *const all = json_array();

	for (unsigned i = 0; i < CTL_COMMAND_COUNT; i++)
		if (!ctl_commands[i].local)
			json_array_append_new(all, describe(&ctl_commands[i]));
	return json_pack("{s:o}", "commands", all);
}

/* NULL: turnpikectl's own. */
static ctl_body *const bodies[CTL_COMMAND_COUNT] = {
	[CTL_STATUS] = status,
	[CTL_SHOW_ALLOCATIONS] = show_allocations,
	[CTL_SHOW_ALLOCATION] = show_allocation,
	[CTL_SHOW_WORKERS] = show_workers,
	[CTL_SHOW_PORTS] = show_ports,
	[CTL_SHOW_NEIGHBOURS] = show_neighbours,
	[CTL_SHOW_COUNTERS] = show_counters,
	[CTL_SHOW_CONFIG] = show_config,
	[CTL_SHOW_USERS] = show_users,
	[CTL_DELETE_ALLOCATION] = delete_allocation,
	[CTL_SESSION_CREATE] = session_create_body,
	[CTL_SESSION_SHOW] = session_show_body,
	[CTL_SESSION_SET_REMOTE] = session_set_remote_body,
	[CTL_SESSION_ADD_CANDIDATE] = session_add_candidate_body,
	[CTL_SESSION_ADD_LEG] = session_add_leg_body,
	[CTL_SESSION_RESTART] = session_restart_body,
	[CTL_SESSION_DELETE] = session_delete_body,
	[CTL_SESSION_EVENTS] = session_events_body,
	[CTL_ADD_USER] = add_user,
	[CTL_DELETE_USER] = delete_user,
	[CTL_CREDENTIAL] = credential,
	[CTL_RELOAD] = reload,
	[CTL_SET_LOG_LEVEL] = set_log_level,
	[CTL_DRAIN] = drain,
	[CTL_STOP] = stop,
	[CTL_HELP] = help,
};

/* A flag may ask for more than the command does. */
static enum ctl_level needed(const struct ctl_request *req)
{
	if (ctl_id_of(req->command) == CTL_SHOW_CONFIG && ctl_arg(req, "secrets")->given)
		return CTL_ADMIN;
	return req->command->level;
}

json_t *ctl_run(struct control *c, enum ctl_level level, const struct ctl_request *req,
                struct ctl_error *err)
{
	ctl_body *const body = bodies[ctl_id_of(req->command)];

	if (!body)
		return ctl_fail(err, CTL_ERROR_METHOD, "'%s' is done by turnpikectl itself",
		                req->command->name);
	if (level < needed(req)) {
		c->stats.count[CONTROL_CTL_DENIED]++;
		return ctl_fail(
			err, CTL_ERROR_DENIED,
			"'%s' needs the admin level: root or the user turnpike-control runs as",
			req->command->name);
	}
	json_t *const result = body(c, req, err);

	if (!result && err->code == CTL_OK)
		ctl_fail(err, CTL_ERROR_INTERNAL, "no memory, or a text that is not UTF-8");
	return result;
}
