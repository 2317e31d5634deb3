/* The record of a take-over, and the list of reserved ports. */
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/kernel_parts.h"
#include "tests/support.h"

static char dir[] = "/tmp/turnpike-kernel-XXXXXX";

static void test_ports(void)
{
	static const struct {
		const char *in, *out; /* out NULL: refused */
	} rows[] = {
		{ "", "" },
		{ "0", "0" },
		{ "65535", "65535" },
		{ "1,2,3", "1-3" },
		{ "5-9,7-12", "5-12" },
		{ "49152-65535", "49152-65535" },
		{ "0-65535", "0-65535" },
		{ "63-64", "63-64" },
		{ "80,443,8080-8090", "80,443,8080-8090" },
		{ "65536", NULL },
		{ "9-5", NULL },
		{ "1-", NULL },
		{ "a", NULL },
		{ "1;2", NULL },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct port_set set;
		const bool ok = port_set_parse(rows[i].in, &set);

		CHECK(ok == (rows[i].out != NULL), rows[i].in);
		if (!ok || rows[i].out == NULL)
			continue;
		char *text = port_set_print(&set);

		CHECK(text != NULL && strcmp(text, rows[i].out) == 0, rows[i].in);
		free(text);
	}
}

static struct takeover *takeover_make(struct port *p, const char *name)
{
	struct takeover *t = calloc(1, sizeof(*t));

	t->port = p;
	t->gro = t->lro = -1;
	if (asprintf(&t->path, "%s/%s", dir, name) < 0)
		abort();
	return t;
}

static void takeover_end(struct takeover *t)
{
	saved_free(t);
	free(t);
}

static void test_record(void)
{
	struct port p = { .kernel_device = "eth9", .kernel_ifindex = 77 };
	struct takeover *t = takeover_make(&p, "a"), *u;
	const uint8_t message[2][5] = { { 1, 2, 3, 0, 0xFF }, { 9, 8, 7, 6, 5 } };

	t->xdp_before = true;
	t->gro = 1;
	t->reserved = strdup("49152-65535");
	t->own[0].len = 120;
	t->own[0].addr.ip[15] = 7;
	t->n_own = 1;
	strcpy(t->sysctl[0].name, "net/ipv4/conf/eth9/rp_filter");
	strcpy(t->sysctl[0].value, "2");
	t->n_sysctls = 1;
	CHECK(saved_add(t, 20, message[0], 5) && saved_add(t, 24, message[1], 5), "added");
	CHECK(saved_add(t, 20, message[0], 5) && t->n_messages == 2, "the same only once");
	CHECK(saved_store(t) == 0, "stored");

	u = takeover_make(&p, "a");
	saved_load(u);
	CHECK(u->adopted && u->xdp_before && u->gro == 1 && u->lro == -1, "flags");
	CHECK(u->reserved != NULL && strcmp(u->reserved, "49152-65535") == 0, "reserved");
	CHECK(u->n_own == 1 && memcmp(&u->own[0], &t->own[0], sizeof(t->own[0])) == 0, "own");
	CHECK(u->n_sysctls == 1 && strcmp(u->sysctl[0].name, t->sysctl[0].name) == 0 &&
	              strcmp(u->sysctl[0].value, "2") == 0,
	      "sysctl");
	CHECK(u->n_messages == 2 && u->message[1].type == 24 && u->message[1].len == 5 &&
	              memcmp(u->message[0].octets, message[0], 5) == 0,
	      "messages");
	takeover_end(u);

	/* Of another device, or one of the same name made anew: not ours. */
	p.kernel_ifindex = 78;
	u = takeover_make(&p, "a");
	saved_load(u);
	CHECK(!u->adopted && u->n_messages == 0 && u->n_own == 0, "another device");
	takeover_end(u);

	saved_remove(t);
	p.kernel_ifindex = 77;
	u = takeover_make(&p, "a");
	saved_load(u);
	CHECK(!u->adopted, "removed");
	takeover_end(u);
	takeover_end(t);
}

/* Whatever stands in the file: no crash, no overflow. */
static void test_damaged_record(void)
{
	struct port p = { .kernel_device = "eth9", .kernel_ifindex = 77 };
	struct takeover *t = takeover_make(&p, "b");
	char place[512], *text = NULL;
	size_t len;
	uint8_t big[SAVED_OCTETS];
	FILE *f;

	memset(big, 0xAB, sizeof(big));
	CHECK(saved_add(t, 20, big, sizeof(big)), "the largest");
	CHECK(!saved_add(t, 20, big, sizeof(big) + 1), "too large");
	for (unsigned i = 0; i < SAVED_MESSAGES_MAX; i++) {
		big[0] = (uint8_t)i;
		big[1] = (uint8_t)(i >> 8);
		saved_add(t, 24, big, 8);
	}
	CHECK(t->n_messages == SAVED_MESSAGES_MAX, "full");
	CHECK(saved_store(t) == 0, "stored");
	f = fopen(t->path, "r");
	CHECK(f != NULL && fgets(place, sizeof(place), f) != NULL &&
	              fgets(place, sizeof(place), f) != NULL,
	      "place");
	fclose(f);
	f = open_memstream(&text, &len);
	fprintf(f, "turnpike-takeover 1\n%s", place);
	for (unsigned i = 0; i < 40; i++) {
		fprintf(f, "own ffzz\nown %0200d\nmessage\nmessage 20\nmessage 20 \nsysctl a\n", 0);
		fprintf(f, "sysctl a%u %.200s\nmessage 24 %04000d\n", i, place, 0);
	}
	fclose(f);
	f = fopen(t->path, "w");
	fwrite(text, 1, len, f);
	fclose(f);
	free(text);
	takeover_end(t);
	t = takeover_make(&p, "b");
	saved_load(t);
	CHECK(t->adopted && t->n_own <= CONFIG_PORT_ADDRESSES_MAX &&
	              t->n_sysctls <= SAVED_SYSCTLS_MAX,
	      "bounded");
	saved_remove(t);
	takeover_end(t);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "lists of ports", test_ports },
		{ "the record comes back", test_record },
		{ "a damaged record", test_damaged_record },
		CU_TEST_INFO_NULL,
	};
	int rc;

	if (mkdtemp(dir) == NULL)
		return 2;
	rc = run_suite("kernel", tests);
	rmdir(dir);
	return rc;
}
