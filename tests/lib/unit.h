/* CUnit in one line per test: UNIT_MAIN("name", TEST(a_behaviour), …) runs the tests of one program,
 * prints the summary and exits 1 when one failed. */
#pragma once

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct unit_test {
	const char *name;
	void (*run)(void);
};

#define TEST(function)                                                                             \
	{                                                                                          \
#function, function                                                                \
	}

#define CHECK(condition)   CU_ASSERT(condition)
#define REQUIRE(condition) CU_ASSERT_FATAL(condition)
#define CHECK_INT(actual, want)                                                                    \
	unit_check_int((long long)(actual), (long long)(want), #actual, __FILE__, __LINE__)
#define CHECK_TEXT(actual, want) unit_check_text(actual, want, #actual, __FILE__, __LINE__)

static inline void unit_check_int(
	long long actual, long long want, const char *what, const char *file, int line)
{
	char text[256];

	snprintf(text, sizeof text, "%s is %lld, not %lld", what, actual, want);
	CU_assertImplementation(actual == want, (unsigned)line, text, file, "", CU_FALSE);
}

static inline void unit_check_text(
	const char *actual, const char *want, const char *what, const char *file, int line)
{
	char text[1024];

	snprintf(text, sizeof text, "%s is \"%.400s\", not \"%.400s\"", what,
		actual ? actual : "(null)", want);
	CU_assertImplementation(
		actual && strcmp(actual, want) == 0, (unsigned)line, text, file, "", CU_FALSE);
}

static inline int unit_run(const char *name, const struct unit_test *tests, size_t n)
{
	unsigned failed;
	CU_pSuite suite;

	if (CU_initialize_registry() != CUE_SUCCESS || !(suite = CU_add_suite(name, NULL, NULL)))
		return 1;
	for (size_t i = 0; i < n; i++)
		if (!CU_add_test(suite, tests[i].name, tests[i].run))
			return 1;
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	printf("unit: %u passed, %u failed\n",
		CU_get_number_of_tests_run() - CU_get_number_of_tests_failed(),
		CU_get_number_of_tests_failed());
	failed = CU_get_number_of_tests_failed() + (CU_get_number_of_tests_run() != n);
	CU_cleanup_registry();
	return failed ? 1 : 0;
}

#define UNIT_MAIN(name, ...)                                                                       \
	int main(void)                                                                             \
	{                                                                                          \
		static const struct unit_test tests[] = {__VA_ARGS__};                             \
                                                                                                   \
		return unit_run(name, tests, ARRAY_LEN(tests));                                    \
	}
