/* The layout that plugins were compiled against, on LP64. A line that fails here is a broken ABI, not a
 * wrong test: append fields, never move them. */
#include "stageline/stage.h"
#include "unit.h"

#define AT(type, field, offset)                                                                    \
	_Static_assert(offsetof(struct type, field) == (offset), #type "." #field)
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)

_Static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8, "LP64");

AT(sl_range, low, 0);
AT(sl_range, high, 8);
SIZE(sl_range, 16);

AT(sl_list, n, 0);
AT(sl_list, items, 8);
SIZE(sl_list, 16);

AT(sl_option, type, 0);
AT(sl_option, flags, 4);
AT(sl_option, name, 8);
AT(sl_option, summary, 16);
AT(sl_option, fallback, 24);
AT(sl_option, choices, 32);
AT(sl_option, offset, 40);
AT(sl_option, min, 48);
AT(sl_option, max, 56);
SIZE(sl_option, 64);

AT(sl_host, size, 0);
AT(sl_host, abi, 4);
AT(sl_host, host, 8);
AT(sl_host, order, 16);
AT(sl_host, results, 24);
AT(sl_host, idempotency_key, 32);
AT(sl_host, attempt, 40);
AT(sl_host, turn, 48);
AT(sl_host, now_us, 56);
AT(sl_host, set_message, 64);
AT(sl_host, set_result, 72);
AT(sl_host, delay, 80);
AT(sl_host, effect_add, 88);
AT(sl_host, effect_put, 96);
AT(sl_host, effect_delete, 104);
AT(sl_host, set_shortage, 112);
AT(sl_host, catalog, 120);
AT(sl_host, stage_name, 128);
AT(sl_host, log, 136);
AT(sl_host, signal, 144);
AT(sl_host, ticket, 152);
AT(sl_host, wake, 160);
SIZE(sl_host, 168);

AT(sl_stage, size, 0);
AT(sl_stage, abi, 4);
AT(sl_stage, name, 8);
AT(sl_stage, version, 16);
AT(sl_stage, summary, 24);
AT(sl_stage, flags, 32);
AT(sl_stage, n_options, 36);
AT(sl_stage, option_size, 40);
AT(sl_stage, config_size, 44);
AT(sl_stage, options, 48);
AT(sl_stage, create, 56);
AT(sl_stage, destroy, 64);
AT(sl_stage, run, 72);
AT(sl_stage, undo, 80);
SIZE(sl_stage, 88);

static void numbers_keep_their_meaning(void)
{
	CHECK_INT(SL_ABI, 0x10002);
	CHECK_INT(SL_STAGE_CONCURRENT, 1);
	CHECK_INT(SL_STAGE_EFFECTS, 2);
	CHECK_INT(SL_STAGE_NETWORK, 4);
	CHECK_INT(SL_STAGE_PROGRAMS, 8);
	CHECK_INT(SL_OPTION_REQUIRED, 1);
	CHECK(SL_DONE == 0 && SL_FAIL == 1 && SL_RETRY == 2 && SL_LATER == 3 && SL_WAIT == 4);
	CHECK(SL_OPTION_STRING == 1 && SL_OPTION_BOOL == 2 && SL_OPTION_INT == 3);
	CHECK(SL_OPTION_NUMBER == 4 && SL_OPTION_RATIO == 5 && SL_OPTION_DURATION == 6);
	CHECK(SL_OPTION_SIZE == 7 && SL_OPTION_DURATION_RANGE == 8);
	CHECK(SL_OPTION_CHOICE == 9 && SL_OPTION_LIST == 10);
	CHECK_TEXT(SL_STAGE_SYMBOL, "stageline_stage");
}

UNIT_MAIN("abi", TEST(numbers_keep_their_meaning))
