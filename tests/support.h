/* What every CUnit suite needs: a check that names its case, and one main. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include <CUnit/Basic.h>

#define CHECK(cond, what) CU_assertImplementation((cond), __LINE__, (what), __FILE__, "", CU_FALSE)

/* A heap copy of exactly `len` octets, so that ASan sees a read one too far. The caller frees it.
 */
static inline void *copy_exact(const void *octets, size_t len)
{
	void *copy = malloc(len);

	if (len > 0)
		memcpy(copy, octets, len);
	return copy;
}

/* Runs one suite; the exit status for main(). `tests` ends with CU_TEST_INFO_NULL. */
static inline int run_suite(const char *name, CU_TestInfo *tests)
{
	CU_SuiteInfo suites[] = { { .pName = name, .pTests = tests }, CU_SUITE_INFO_NULL };

	if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
		return 2;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	const unsigned failures = CU_get_number_of_failures();
	CU_cleanup_registry();
	return failures != 0;
}
