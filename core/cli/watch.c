/* `stageline orders watch`: follows the journal (server-sent events) and shows, on a terminal, a line per order, else each
 * event as a line of JSON. A connection that is lost is made again and goes on where it was. */
#include "cli/watch.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/stream.h"
#include "cli/table.h"
#include "cli/terminal.h"

enum { EXIT_BY_SIGNAL = 130, SHOWN_MAX = 200 };

/* An order on the screen: its newest event. */
struct shown {
	char id[ID_TEXT_SIZE];
	cJSON *event;
	bool is_ended;
};

struct watch {
	struct remote *r;
	char (*ids)[ID_TEXT_SIZE]; /* those that were named */
	bool ended[WATCH_MAX];
	int64_t last[WATCH_MAX]; /* their newest events that are known */
	size_t n_ids, n_ended, n_bad;
	int64_t after; /* has everything up to this seq */
	bool is_screen, has_news;
	struct shown shown[SHOWN_MAX];
	size_t n_shown;
	struct stream stream;
};

/* --- the screen --- */

static void forget(struct watch *w, size_t i)
{
	cJSON_Delete(w->shown[i].event);
	memmove(&w->shown[i], &w->shown[i + 1], (w->n_shown - i - 1) * sizeof *w->shown);
	w->n_shown--;
}

/* The oldest that has ended makes room, else the oldest. */
static void make_room(struct watch *w, size_t room)
{
	while (w->n_shown && w->n_shown >= room) {
		size_t i = 0;

		while (i < w->n_shown && !w->shown[i].is_ended)
			i++;
		forget(w, i < w->n_shown ? i : 0);
	}
}

static size_t room_of_screen(void)
{
	size_t height = terminal_height();

	return height < 5 ? 3 : height - 2 > SHOWN_MAX ? SHOWN_MAX : height - 2;
}

/* Takes the event. */
static void show(struct watch *w, const char *id, cJSON *event, bool is_ended)
{
	size_t i = 0;

	while (i < w->n_shown && strcmp(w->shown[i].id, id) != 0)
		i++;
	if (i == w->n_shown) {
		make_room(w, room_of_screen());
		i = w->n_shown++;
		w->shown[i] = (struct shown){0};
		snprintf(w->shown[i].id, sizeof w->shown[i].id, "%s", id);
	}
	cJSON_Delete(w->shown[i].event);
	w->shown[i].event = event;
	w->shown[i].is_ended = is_ended;
	w->has_news = true;
}

static void draw(struct watch *w)
{
	static const struct table_column columns[] = {{"ORDER"}, {"TIME", .is_extra = true},
		{"EVENT", .is_cut = true}, {"STATUS", .is_status = true},
		{"STAGE", .is_cut = true, .is_extra = true},
		{"MESSAGE", .is_cut = true, .is_extra = true}};
	static const char *const members[] = {
		"order_id", "timestamp", "event_type", "status", "stage", "message"};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};

	if (!w->has_news)
		return;
	for (size_t i = 0; i < w->n_shown; i++)
		for (size_t k = 0; k < ARRAY_LEN(members); k++)
			table_add_member(&t, w->shown[i].event, members[k]);
	stream_redraw(&w->stream, w->n_shown + 1);
	table_print(&t);
	fflush(stdout);
	w->has_news = false;
}

static void on_tick(void *arg)
{
	struct watch *w = arg;

	if (w->is_screen)
		draw(w);
}

/* --- events --- */

/* What the event is of `ids`; SIZE_MAX: of none. */
static size_t find(const struct watch *w, const char *id)
{
	for (size_t i = 0; i < w->n_ids; i++)
		if (strcmp(w->ids[i], id) == 0)
			return i;
	return SIZE_MAX;
}

static bool is_end(const char *type)
{
	return strcmp(type, "order_completed") == 0 || strcmp(type, "order_failed") == 0 ||
	       strcmp(type, "order_cancelled") == 0;
}

static void note_end(struct watch *w, size_t i, const char *type)
{
	if (i == SIZE_MAX || w->ended[i])
		return;
	w->ended[i] = true;
	w->n_ended++;
	w->n_bad += strcmp(type, "order_completed") != 0;
}

/* Takes the event. */
static void take_event(struct watch *w, cJSON *event)
{
	const char *id = json_member(event, "order_id").p,
		   *type = json_member(event, "event_type").p;
	size_t i = id ? find(w, id) : SIZE_MAX;
	_cleanup_(buf_fini) struct buf line = {0};

	json_to_int(cJSON_GetObjectItemCaseSensitive(event, "seq"), &w->after);
	if (!id || !type || (w->n_ids && (i == SIZE_MAX || w->after <= w->last[i]))) {
		cJSON_Delete(event);
		return;
	}
	if (i != SIZE_MAX)
		w->last[i] = w->after;
	if (is_end(type))
		note_end(w, i, type);
	if (w->is_screen) {
		show(w, id, event, is_end(type));
		return;
	}
	json_tree(&(struct json_writer){&line, false}, event);
	cJSON_Delete(event);
	if (!line.failed)
		puts(line.data);
	fflush(stdout);
}

static bool is_over(const void *arg)
{
	const struct watch *w = arg;

	return w->n_ids && w->n_ended == w->n_ids;
}

static void on_event(void *arg, cJSON *event, bool is_reset)
{
	struct watch *w = arg;

	if (!is_reset) {
		take_event(w, event);
		return;
	}
	json_to_int(cJSON_GetObjectItemCaseSensitive(event, "last_seq"), &w->after);
	cJSON_Delete(event);
}

/* --- following --- */

/* What happened to an order until now. */
static int begin_with(struct watch *w, const char *id, int64_t *first)
{
	_cleanup_(client_answer_fini) struct client_answer answer;
	char path[64];
	int64_t last = 0;
	cJSON *events, *event;
	int status;

	snprintf(path, sizeof path, "/orders/%s", id);
	status = remote_request(w->r, path, NULL, &answer);
	if (status != EXIT_SUCCESS)
		return status;
	json_to_int(cJSON_GetObjectItemCaseSensitive(
			    cJSON_GetObjectItemCaseSensitive(answer.json, "order"), "last_seq"),
		&last);
	events = cJSON_GetObjectItemCaseSensitive(answer.json, "events");
	while ((event = cJSON_DetachItemFromArray(events, 0)))
		take_event(w, event);
	*first = last < *first ? last : *first;
	return EXIT_SUCCESS;
}

/* Events of before, when one stands behind another, come once more with the stream: those are left out. */
static int begin(struct watch *w)
{
	int64_t first = INT64_MAX;
	int status = EXIT_SUCCESS;

	for (size_t i = 0; i < w->n_ids && status == EXIT_SUCCESS; i++)
		status = begin_with(w, w->ids[i], &first);
	w->after = w->n_ids ? first : -1;
	return status;
}

static void where(void *arg, struct buf *path)
{
	const struct watch *w = arg;

	buf_text(path, "/events");
	if (w->after >= 0)
		buf_fmt(path, "?after=%lld", (long long)w->after);
}

static int follow(struct watch *w)
{
	int r = stream_follow(&w->stream);

	if (r == -EINTR)
		return w->n_ids ? EXIT_BY_SIGNAL : EXIT_SUCCESS;
	return r < 0 || w->n_bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool take_ids(struct watch *w)
{
	for (size_t i = 0; i < w->r->n_arguments; i++) {
		if (!remote_id(w->r, w->r->arguments[i], w->ids[w->n_ids]))
			return false;
		if (find(w, w->ids[w->n_ids]) == SIZE_MAX)
			w->n_ids++;
	}
	return true;
}

int watch_run(struct remote *r)
{
	_cleanup_(freep) struct watch *w = calloc(1, sizeof *w);
	_cleanup_(freep) char(*ids)[ID_TEXT_SIZE] = calloc(WATCH_MAX + 1, sizeof *ids);
	int status;

	if (!w || !ids)
		return remote_refuse(r, "no memory");
	w->r = r;
	w->ids = ids;
	w->is_screen = !r->flags[FLAG_JSON] && isatty(STDOUT_FILENO);
	w->stream = (struct stream){r, where, on_event, on_tick, is_over, w};
	if (!take_ids(w))
		return EXIT_USAGE;
	status = begin(w);
	w->stream.was_there = w->n_ids > 0;
	if (status == EXIT_SUCCESS)
		status = follow(w);
	if (w->is_screen)
		draw(w);
	while (w->n_shown)
		forget(w, w->n_shown - 1);
	stream_fini(&w->stream);
	return status;
}
