/* Mirrors control/turn/allocate.c and alloc.c: Allocate, Refresh, the end of allocations. */
#include <string.h>

#include "tests/rig/turn_rig.h"
#include "tests/support.h"

static void test_happy_path(void)
{
	struct rig r;
	struct rig_client c = rig_client4(1);
	const struct endpoint peer = rig_peer4(9, 4000);

	rig_open(&r, NULL);
	CHECK(rig_allocate(&r, &c) == 0, "Allocate");
	CHECK(rig_signed(&r, &c, 0), "signed (TURN-028)");
	CHECK(rig_relayed(&r, 0).port >= 49152, "port in the range (TURN-056)");
	CHECK(rig_permit(&r, &c, &peer, 1) == 0, "CreatePermission");
	CHECK(rig_bind(&r, &c, 0x4000, &peer) == 0, "ChannelBind");
	CHECK(r.n_flows == 3, "three flows");
	CHECK(rig_refresh(&r, &c, 0) == 0, "Refresh 0");
	CHECK(r.n_flows == 0 && r.n_end == 1, "gone");
	rig_close(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "happy path", test_happy_path },
		CU_TEST_INFO_NULL,
	};
	return run_suite("control/turn/alloc", tests);
}
