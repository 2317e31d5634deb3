/* Mirrors control/turn/user.c: users of the file and of operators, time-limited names, reload. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "nonce.h"
#include "tests/rig/turn_rig.h"
#include "tests/support.h"
#include "tests/unit/control/turn/suite.h"
#include "wire/integrity.h"

static void rest(struct rig *r)
{
	static char north[] = "north", south[] = "south";

	r->cfg.rest_secrets[0] = north;
	r->cfg.rest_secrets[1] = south;
	r->cfg.n_rest_secrets = 2;
}

static struct rig_client minted(struct rig *r, const char *user, uint32_t ttl_s)
{
	static char name[4][64], password[4][32];
	static unsigned slot;
	struct rig_client c = rig_client4(50 + slot);

	slot = (slot + 1) % 4;
	CHECK(turn_credential(&r->cfg, user, ttl_s, r->wall_s, name[slot], sizeof(name[0]),
	                      password[slot]),
	      "TURN-198: minted");
	c.user = name[slot];
	c.password = password[slot];
	return c;
}

/* TURN-035, TURN-063, TURN-194 to TURN-198. */
static void test_rest(void)
{
	struct rig r;
	struct rig_client c, d, old;

	rig_open(&r, rest);
	r.cfg.limit_allocations_per_user = 2;
	c = minted(&r, "carol", 100);
	CHECK(rig_allocate(&r, &c) == 0 && rig_signed(&r, &c, 0), "TURN-198: works");
	CHECK(strcmp(r.begin.user, c.user) == 0, "told by its whole name");
	d = minted(&r, "carol", 200);
	CHECK(rig_allocate(&r, &d) == 0, "another name of the same id");
	old = minted(&r, "carol", 300);
	CHECK(rig_allocate(&r, &old) == 486, "TURN-063: counted by id");
	SOUND(&r);
	rig_restart(&r);
	SOUND(&r);
	CHECK(rig_allocate(&r, &old) == 486, "after a restart too");
	rig_wait(&r, 101000);
	CHECK(rig_refresh(&r, &c, -1) == 0, "TURN-035: a live one outlives its name");
	const struct endpoint peer = rig_peer4(1, 1);
	CHECK(rig_permit(&r, &c, &peer, 1) == 0 && rig_bind(&r, &c, 0x4000, &peer) == 0,
	      "all of it");
	CHECK(rig_refresh(&r, &c, 0) == 0, "deleted");
	CHECK(rig_allocate(&r, &c) == 401, "TURN-196: expired");
	r.cfg.rest_secrets[0] = r.cfg.rest_secrets[1];
	c = minted(&r, "dave", 100);
	CHECK(rig_allocate(&r, &c) == 0, "TURN-197: the second secret");
	struct config_error err;
	r.cfg.n_rest_secrets = 1;
	static char other[] = "other";
	r.cfg.rest_secrets[0] = other;
	CHECK(turn_reload(r.srv, &r.cfg, &err), "the secrets go");
	rig_drain(&r);
	CHECK(rig_refresh(&r, &c, -1) == 0, "TURN-197: not what lives");
	struct rig_client e = c;
	e.at.port++;
	e.nonce_len = 0;
	CHECK(rig_allocate(&r, &e) == 401, "TURN-197: but what is new");
	SOUND(&r);

	static const char *const bad[] = { ":",
		                           ":x",
		                           "x",
		                           "+1800000000:x",
		                           "-1",
		                           "18000000000000000000:x",
		                           "1800000000;x",
		                           " 1800000000:x" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct crypto_hmac_sha1 key;
		char password[32];

		crypto_hmac_sha1_key(&key, "other", 5);
		crypto_rest_password(&key, bad[i], strlen(bad[i]), password);
		e = rig_client4((unsigned)(70 + i));
		e.user = bad[i];
		e.password = password;
		CHECK(rig_allocate(&r, &e) == 401, bad[i]); /* TURN-194 */
	}
	rig_close(&r);
}

/* TURN-025: a new realm; TURN-035: changed users. */
static void test_reload(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1), d = rig_client4(2);
	struct config_error err;
	static char realm[] = "example.net";

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0, "before");
	r.cfg.realm = realm;
	CHECK(turn_reload(r.srv, &r.cfg, &err), "another realm");
	rig_drain(&r);
	CHECK(r.n_realms > 3 && r.n_templates > 9, "workers are told");
	CHECK(rig_allocate(&r, &d) == 0 && strcmp(d.realm, "example.net") == 0, "new ones need it");
	r.retry = false;
	CHECK(rig_refresh(&r, &c, -1) == 438, "the old nonce does not know the realm");
	CHECK(strcmp(c.realm, "example.org") == 0,
	      "TURN-025: but its allocation keeps the old one");
	CHECK(rig_refresh(&r, &c, -1) == 0, "and refreshes with it");
	snprintf(c.realm, sizeof(c.realm), "example.net");
	CHECK(rig_refresh(&r, &c, -1) == 401 && strcmp(c.realm, "example.org") == 0,
	      "the right one");
	SOUND(&r);
	rig_restart(&r);
	CHECK(rig_refresh(&r, &c, -1) == 0, "after a restart too");
	SOUND(&r);

	free(r.users[0].password);
	r.users[0].password = strdup("changed");
	CHECK(turn_reload(r.srv, &r.cfg, &err), "another password");
	rig_drain(&r);
	CHECK(rig_refresh(&r, &d, -1) == 0, "TURN-035: live ones keep their key");
	struct rig_client e = rig_client4(3);
	CHECK(rig_allocate(&r, &e) == 401, "new ones need the new one");
	e.password = "changed";
	CHECK(rig_allocate(&r, &e) == 0, "and get in");
	SOUND(&r);
	r.cfg.n_users = 0;
	CHECK(turn_reload(r.srv, &r.cfg, &err), "no users");
	rig_drain(&r);
	CHECK(rig_refresh(&r, &e, -1) == 0, "TURN-035: deleted, and alive");
	struct rig_client f = rig_client4(4);
	f.password = "changed";
	CHECK(rig_allocate(&r, &f) == 401, "TURN-035: blocked at once");
	CHECK(rig_refresh(&r, &e, 0) == 0 && rig_refresh(&r, &d, 0) == 0 &&
	              rig_refresh(&r, &c, 0) == 0,
	      "all gone");
	SOUND(&r);
	rig_close(&r);
}

static void test_users(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	struct turn_user_info info;
	unsigned n = 0;

	rig_open(&r, NULL);
	c.user = "eve";
	c.password = "pw";
	CHECK(rig_allocate(&r, &c) == 401, "not yet");
	CHECK(turn_user_add(r.srv, "eve", "pw") == USER_OK, "added");
	CHECK(turn_user_add(r.srv, "eve", "pw") == USER_EXISTS, "twice");
	CHECK(turn_user_add(r.srv, "alice", "pw") == USER_EXISTS, "of the file");
	CHECK(turn_user_add(r.srv, "", "pw") == USER_BAD_NAME, "empty");
	CHECK(turn_user_add(r.srv, "a\nb", "pw") == USER_BAD_NAME, "control character");
	CHECK(rig_allocate(&r, &c) == 0, "gets in");
	rig_restart(&r);
	SOUND(&r);
	struct rig_client d = c;
	d.at.port++;
	d.nonce_len = 0;
	CHECK(rig_allocate(&r, &d) == 0, "lives in the store");
	d.userhash = true;
	CHECK(rig_refresh(&r, &d, -1) == 0, "by hash too");
	while (turn_user_list(r.srv, n, &info)) {
		if (strcmp(info.name, "eve") == 0)
			CHECK(!info.from_file && info.allocations == 2, "as it is");
		n++;
	}
	CHECK(n == 3, "three users");
	CHECK(turn_user_delete(r.srv, "alice") == USER_FROM_FILE, "of the file");
	CHECK(turn_user_delete(r.srv, "nobody") == USER_UNKNOWN, "nobody");
	CHECK(turn_user_delete(r.srv, "eve") == USER_OK, "deleted");
	CHECK(rig_refresh(&r, &c, -1) == 0, "TURN-035: its allocations live");
	d.at.port++;
	d.nonce_len = 0;
	d.userhash = false;
	CHECK(rig_allocate(&r, &d) == 401, "TURN-035: but no new ones");
	rig_restart(&r);
	SOUND(&r);
	CHECK(rig_refresh(&r, &c, -1) == 0 && rig_allocate(&r, &d) == 401, "in the next life too");
	CHECK(turn_user_add(r.srv, "eve", "pw2") == USER_OK, "again");
	d.password = "pw2";
	CHECK(rig_allocate(&r, &d) == 0, "with another password");
	SOUND(&r);
	rig_close(&r);
}

/* STUN-071: names up to 763 octets, by value. */
static void test_long_names(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1), d = rig_client4(2);
	char name[800], other[800];

	rig_open(&r, NULL);
	memset(name, 'u', 763);
	name[763] = '\0';
	memcpy(other, name, 764);
	other[762] = 'v';
	r.users[2] = (struct config_user){ strdup(name), strdup("long") };
	r.cfg.n_users = 3;
	struct config_error err;
	CHECK(turn_reload(r.srv, &r.cfg, &err), "taken");
	rig_drain(&r);
	c.user = name;
	c.password = "long";
	CHECK(rig_allocate(&r, &c) == 0, "763 octets");
	d.user = other;
	d.password = "long";
	CHECK(rig_allocate(&r, &d) == 401, "the last octet counts");
	rig_restart(&r);
	CHECK(rig_refresh(&r, &c, -1) == 0, "after a restart");
	SOUND(&r);
	rig_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "time-limited names", test_rest },
		{ "reload", test_reload },
		{ "users at run time", test_users },
		{ "long names", test_long_names },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/user", tests);
}
