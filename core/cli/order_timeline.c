/* `stageline orders timeline`: segments of time, stage by stage, read off the events of an order. */
#include "cli/order_timeline.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/table.h"

enum kind { KIND_QUEUE, KIND_RUN, KIND_UNDO, KIND_BACKOFF, KIND_WAIT, KIND_HOLD, N_KINDS };

static const char *const kind_names[N_KINDS] = {
	"in_line", "attempt", "undoing", "backoff", "waiting", "on_hold"};

#define UNKNOWN INT64_MIN /* a time */

struct segment {
	enum kind kind;
	int64_t from_ms, to_ms;
	const cJSON *event; /* that ended an attempt; NULL: it is none */
	bool is_open;	    /* it goes on */
};

/* What has gone on since an event. */
struct since {
	bool is_any;
	enum kind kind;
	int64_t at_ms, due_ms; /* `due_ms`: the end of a backoff */
};

struct timeline {
	const cJSON *events;
	const char *stage; /* the one that is looked at */
	struct since since;
	struct json_writer *w;
};

/* --- what events say --- */

static bool is_one_of(struct str text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(text, words[i]))
			return true;
	return false;
}

static bool is_type(const cJSON *event, const char *type)
{
	return str_is(json_member(event, "event_type"), type);
}

/* To the millisecond, as durations are. */
static int64_t time_of(const cJSON *event, const char *name)
{
	struct str text = json_member(event, name);
	int64_t at_us;

	return text.p && clock_parse(text, &at_us) == 0 ? at_us / 1000 : UNKNOWN;
}

static bool is_end(const cJSON *event)
{
	return str_is(json_member(event, "status"), "success") || is_type(event, "stage_skipped");
}

/* When the stage was first behind the order. UNKNOWN: not yet. */
static int64_t end_ms(const cJSON *events, const char *stage)
{
	const cJSON *event;

	cJSON_ArrayForEach (event, events) {
		if (str_is(json_member(event, "stage"), stage) && is_end(event))
			return time_of(event, "timestamp");
	}
	return UNKNOWN;
}

/* From when on nothing stood before the stage. */
static int64_t ready_ms(const cJSON *events, const cJSON *stage)
{
	const cJSON *first = events ? events->child : NULL, *before;
	int64_t ready = is_type(first, "order_created") ? time_of(first, "timestamp") : UNKNOWN;

	cJSON_ArrayForEach (before, cJSON_GetObjectItemCaseSensitive(stage, "after")) {
		const char *name = cJSON_GetStringValue(before);
		int64_t end = name ? end_ms(events, name) : UNKNOWN;

		if (end == UNKNOWN || ready == UNKNOWN)
			return UNKNOWN;
		ready = end > ready ? end : ready;
	}
	return ready;
}

/* --- segments --- */

static void add(const struct timeline *t, const struct segment *s)
{
	struct json_writer *w = t->w;

	if (s->to_ms <= s->from_ms && !s->event)
		return;
	json_open(w, '{');
	json_key(w, "stage");
	json_text(w, t->stage);
	json_key(w, "what");
	json_text(w, kind_names[s->kind]);
	if (s->event) {
		json_key(w, "attempt");
		json_int(w, json_int_member(s->event, "attempt"));
		json_key(w, "outcome");
		json_str(w, json_member(s->event, "status"));
	}
	json_key(w, "open");
	json_bool(w, s->is_open);
	json_key(w, "from");
	json_time(w, s->from_ms * 1000);
	json_key(w, "ms");
	json_int(w, s->to_ms - s->from_ms);
	json_close(w, '}');
}

/* What has gone on ends at `at_ms`; after a backoff the rest of the time was spent in line. */
static void end_since(struct timeline *t, int64_t at_ms, bool is_open)
{
	const struct since *s = &t->since;
	struct segment whole = {s->kind, s->at_ms, at_ms, .is_open = is_open};
	bool has_rest = s->kind == KIND_BACKOFF && s->due_ms < at_ms;

	if (!s->is_any || s->at_ms == UNKNOWN)
		return;
	if (has_rest) {
		whole.to_ms = s->due_ms;
		whole.is_open = false;
	}
	add(t, &whole);
	if (has_rest)
		add(t, &(struct segment){KIND_QUEUE, s->due_ms, at_ms, .is_open = is_open});
	t->since.is_any = false;
}

static bool ends_attempt(const cJSON *event)
{
	static const char *const outcomes[] = {"success", "undone", "failed", "retrying", "held"};

	return json_int_member(event, "attempt") &&
	       (is_type(event, "attempt_lost") || is_type(event, "stage_waiting") ||
		       is_one_of(json_member(event, "status"), outcomes, ARRAY_LEN(outcomes)));
}

/* What goes on from this event until the stage's next one. */
static struct since since_event(const cJSON *event, int64_t at_ms)
{
	static const char *const released[] = {"attempt_lost", "stage_released", "stage_signalled"};
	struct str status = json_member(event, "status");
	int64_t due_ms = time_of(event, "due_at");

	if (str_is(status, "retrying"))
		return (struct since){true, KIND_BACKOFF, at_ms, due_ms > at_ms ? due_ms : at_ms};
	if (str_is(status, "held"))
		return (struct since){true, KIND_HOLD, at_ms};
	if (is_type(event, "stage_waiting"))
		return (struct since){true, KIND_WAIT, at_ms};
	if (is_one_of(json_member(event, "event_type"), released, ARRAY_LEN(released)))
		return (struct since){true, KIND_QUEUE, at_ms};
	return (struct since){0};
}

static void take_event(struct timeline *t, const cJSON *event)
{
	int64_t at_ms = time_of(event, "timestamp"),
		took_ms = json_int_member(event, "duration_ms");
	struct segment attempt = {KIND_RUN, at_ms, at_ms, event};

	if (at_ms == UNKNOWN)
		return;
	attempt.from_ms -= took_ms;
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(event, "undo")))
		attempt.kind = KIND_UNDO;
	if (ends_attempt(event)) {
		end_since(t, attempt.from_ms, false);
		add(t, &attempt);
	} else {
		end_since(t, at_ms, false);
	}
	t->since = since_event(event, at_ms);
}

static void take_stage(struct timeline *t, const cJSON *stage, int64_t now_ms)
{
	static const char *const open[] = {
		"queued", "running", "retrying", "waiting", "held", "undoing"};
	const cJSON *event;

	t->stage = json_member(stage, "name").p;
	t->since = (struct since){true, KIND_QUEUE, ready_ms(t->events, stage)};
	cJSON_ArrayForEach (event, t->events) {
		if (t->stage && str_is(json_member(event, "stage"), t->stage))
			take_event(t, event);
	}
	if (is_one_of(json_member(stage, "status"), open, ARRAY_LEN(open)))
		end_since(t, now_ms, true);
}

/* --- the command --- */

static void add_segment(struct table *t, const cJSON *segment)
{
	const char *from = json_member(segment, "from").p;
	char to_the_ms[CLOCK_TEXT_SIZE];

	snprintf(to_the_ms, sizeof to_the_ms, "%.23sZ", from ? from : "");
	table_add_member(t, segment, "stage");
	table_add_member(t, segment, "what");
	table_add_member(t, segment, "attempt");
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(segment, "open")))
		table_add(t, "goes on");
	else
		table_add_member(t, segment, "outcome");
	table_add(t, to_the_ms);
	table_add_member(t, segment, "ms");
}

static int print_table(const struct buf *text)
{
	static const struct table_column columns[] = {{"STAGE", .is_cut = true}, {"WHAT"},
		{"ATTEMPT", .is_number = true}, {"OUTCOME", .is_status = true}, {"FROM"},
		{"MS", .is_number = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	_cleanup_(json_freep) cJSON *json = NULL;
	const cJSON *segment;

	if (json_parse(buf_view(text), JSON_DEPTH_MAX, &json, NULL) < 0)
		return remote_no_memory();
	cJSON_ArrayForEach (segment, cJSON_GetObjectItemCaseSensitive(json, "timeline")) {
		add_segment(&t, segment);
	}
	table_print(&t);
	return EXIT_SUCCESS;
}

int order_timeline(const struct remote *r, const cJSON *answer)
{
	const cJSON *order = cJSON_GetObjectItemCaseSensitive(answer, "order"),
		    *events = cJSON_GetObjectItemCaseSensitive(answer, "events"), *stage;
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};
	struct timeline t = {.events = events, .w = &w};
	int64_t now_ms = events && events->child ? time_of(events->child->prev, "timestamp") : 0;

	if (!r->flags[FLAG_AT] && clock_wall_us() / 1000 > now_ms)
		now_ms = clock_wall_us() / 1000;
	json_open(&w, '{');
	json_key(&w, "id");
	json_str(&w, json_member(order, "id"));
	json_key(&w, "timeline");
	json_open(&w, '[');
	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(order, "stages")) {
		take_stage(&t, stage, now_ms);
	}
	json_close(&w, ']');
	json_close(&w, '}');
	if (text.failed)
		return remote_no_memory();
	if (!r->flags[FLAG_JSON])
		return print_table(&text);
	puts(text.data);
	return EXIT_SUCCESS;
}
