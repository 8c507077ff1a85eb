/* The gate in front of a stage: what the breaker listens to, and what it lets out. */
#include "engine/gate.h"
#include "unit.h"

enum { OPEN_FOR_MS = 1000 };

static const struct stage_spec spec = {
	.breaker = {.failures = 2, .window_ms = 500, .open_for_ms = OPEN_FOR_MS, .probes = 2}};

static size_t room(struct gate *g, int64_t now_ms)
{
	int64_t again_ms = INT64_MAX;

	return gate_room(g, now_ms, &again_ms);
}

/* Opened at the moment 0. */
static void open_gate(struct gate *g)
{
	REQUIRE(gate_init(g, &spec, 0) == 0);
	gate_back(g, 0, true, 0);
	gate_back(g, 0, true, 0);
	REQUIRE(g->breaker == BREAKER_OPEN);
}

/* Half-open with all probes out; what they carry. */
static uint32_t send_probes(struct gate *g, int64_t now_ms)
{
	REQUIRE(room(g, now_ms) == 2);
	gate_out(g, 2);
	REQUIRE(gate_probe(g) != 0);
	return gate_probe(g);
}

static void probes_that_go_well_close_it(void)
{
	struct gate g;
	uint32_t probe;

	open_gate(&g);
	CHECK_INT(room(&g, OPEN_FOR_MS - 1), 0);
	probe = send_probes(&g, OPEN_FOR_MS);
	CHECK_INT(room(&g, OPEN_FOR_MS), 0);
	gate_back(&g, probe, false, OPEN_FOR_MS);
	CHECK_INT(g.breaker, BREAKER_HALF_OPEN);
	gate_back(&g, probe, false, OPEN_FOR_MS);
	CHECK_INT(g.breaker, BREAKER_CLOSED);
	CHECK_INT(gate_probe(&g), 0);
	gate_fini(&g);
}

static void a_probe_in_trouble_opens_it_again(void)
{
	struct gate g;

	open_gate(&g);
	gate_back(&g, send_probes(&g, OPEN_FOR_MS), true, OPEN_FOR_MS);
	CHECK_INT(g.breaker, BREAKER_OPEN);
	CHECK_INT(room(&g, 2 * OPEN_FOR_MS - 1), 0);
	gate_fini(&g);
}

static void what_went_out_before_it_opened_neither_closes_nor_opens_it(void)
{
	struct gate g;
	uint32_t probe;

	open_gate(&g);
	probe = send_probes(&g, OPEN_FOR_MS);
	gate_back(&g, 0, false, OPEN_FOR_MS);
	gate_back(&g, 0, false, OPEN_FOR_MS);
	CHECK_INT(g.breaker, BREAKER_HALF_OPEN);
	gate_back(&g, 0, true, OPEN_FOR_MS);
	CHECK_INT(g.breaker, BREAKER_HALF_OPEN);
	gate_back(&g, probe, false, OPEN_FOR_MS);
	gate_back(&g, probe, false, OPEN_FOR_MS);
	CHECK_INT(g.breaker, BREAKER_CLOSED);
	gate_fini(&g);
}

static void a_probe_of_an_earlier_opening_has_nothing_to_say(void)
{
	struct gate g;
	uint32_t first, second;

	open_gate(&g);
	first = send_probes(&g, OPEN_FOR_MS);
	gate_back(&g, first, true, OPEN_FOR_MS);
	second = send_probes(&g, 2 * OPEN_FOR_MS);
	CHECK(second != first);
	gate_back(&g, first, false, 2 * OPEN_FOR_MS);
	gate_back(&g, second, false, 2 * OPEN_FOR_MS);
	CHECK_INT(g.breaker, BREAKER_HALF_OPEN);
	gate_back(&g, second, false, 2 * OPEN_FOR_MS);
	CHECK_INT(g.breaker, BREAKER_CLOSED);
	gate_fini(&g);
}

static void troubles_further_apart_than_the_window_do_not_open_it(void)
{
	struct gate g;

	REQUIRE(gate_init(&g, &spec, 0) == 0);
	for (int64_t ms = 0; ms < 10000; ms += 501)
		gate_back(&g, 0, true, ms);
	CHECK_INT(g.breaker, BREAKER_CLOSED);
	gate_fini(&g);
}

UNIT_MAIN("gate", TEST(probes_that_go_well_close_it), TEST(a_probe_in_trouble_opens_it_again),
	TEST(what_went_out_before_it_opened_neither_closes_nor_opens_it),
	TEST(a_probe_of_an_earlier_opening_has_nothing_to_say),
	TEST(troubles_further_apart_than_the_window_do_not_open_it))
