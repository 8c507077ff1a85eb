/* `stageline orders diff`: asks for the order at both moments, since the daemon shows one at a time. */
#include "cli/order_diff.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/order_compare.h"
#include "cli/table.h"

/* The answer to GET /orders/{id}?at=. Without `order`: it was not placed yet. */
struct moment {
	struct client_answer answer;
	const cJSON *order, *first, *last; /* its oldest and its newest event */
};

struct diff {
	struct remote *r;
	char id[ID_TEXT_SIZE];
	struct moment from, to;
	cJSON *changes;
	const cJSON *between; /* the first of `to` that came after `from`, with those behind it */
};

static void read_moment(struct moment *m)
{
	const cJSON *events = cJSON_GetObjectItemCaseSensitive(m->answer.json, "events");

	m->order = cJSON_GetObjectItemCaseSensitive(m->answer.json, "order");
	m->first = events ? events->child : NULL;
	m->last = m->first ? m->first->prev : NULL; /* the last one, in cJSON */
}

/* `at` NULL: now. `may_lack`: the order may not have been placed yet. */
static int look(struct diff *d, const char *at, bool may_lack, struct moment *m)
{
	_cleanup_(buf_fini) struct buf path = {0};
	int status;

	buf_fmt(&path, "/orders/%s", d->id);
	if (at) {
		buf_text(&path, "?at=");
		remote_escaped(&path, at);
	}
	status = remote_send(d->r, path.failed ? NULL : path.data, NULL, &m->answer);
	if (status != EXIT_SUCCESS || (may_lack && m->answer.status == 404))
		return status;
	read_moment(m);
	return remote_judge(d->r, &m->answer);
}

/* Before its last event. */
static int look_before(struct diff *d, const struct moment *to, struct moment *m)
{
	char seq[24];

	if (to->last == to->first)
		return EXIT_SUCCESS;
	snprintf(seq, sizeof seq, "%lld", (long long)json_int_member(to->last->prev, "seq"));
	return look(d, seq, false, m);
}

static int look_at_both(struct diff *d)
{
	const char *from = d->r->flags[FLAG_FROM];
	int status = look(d, d->r->flags[FLAG_TO], false, &d->to);

	if (status != EXIT_SUCCESS)
		return status;
	status = from ? look(d, from, true, &d->from) : look_before(d, &d->to, &d->from);
	if (status != EXIT_SUCCESS)
		return status;
	if (json_int_member(d->from.last, "seq") > json_int_member(d->to.last, "seq"))
		return remote_refuse(d->r, "--from is after --to");
	return EXIT_SUCCESS;
}

/* --- as JSON --- */

static void write_moment(struct json_writer *w, const char *name, const cJSON *last)
{
	static const char *const members[] = {"seq", "timestamp", "event_type"};

	json_key(w, name);
	if (!last) {
		json_null(w);
		return;
	}
	json_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		json_key(w, members[i]);
		json_tree(w, cJSON_GetObjectItemCaseSensitive(last, members[i]));
	}
	json_close(w, '}');
}

static int print_json(const struct diff *d)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};

	json_open(&w, '{');
	json_key(&w, "id");
	json_text(&w, d->id);
	write_moment(&w, "from", d->from.last);
	write_moment(&w, "to", d->to.last);
	json_key(&w, "changes");
	json_tree(&w, d->changes);
	json_key(&w, "events");
	json_open(&w, '[');
	for (const cJSON *event = d->between; event; event = event->next)
		json_tree(&w, event);
	json_close(&w, ']');
	json_close(&w, '}');
	if (text.failed)
		return remote_no_memory();
	puts(text.data);
	return EXIT_SUCCESS;
}

/* --- for people --- */

static void add_moment(struct table *t, const char *label, const cJSON *last)
{
	_cleanup_(buf_fini) struct buf text = {0};
	const char *type = json_member(last, "event_type").p,
		   *at = json_member(last, "timestamp").p;

	table_add(t, label);
	if (type && at)
		buf_fmt(&text, "after event %lld, %s, at %s",
			(long long)json_int_member(last, "seq"), type, at);
	else
		buf_text(&text, "before it was placed");
	table_add(t, text.data);
	t->text.failed |= text.failed;
}

static void print_text(const struct diff *d)
{
	const struct table_column columns[] = {{"ORDER"}, {d->id, .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};

	add_moment(&t, "from", d->from.last);
	add_moment(&t, "to", d->to.last);
	table_print(&t);
	putchar('\n');
	if (!order_changes_print(d->changes, d->between))
		fputs("Nothing is different\n", stderr);
}

static int compare(struct diff *d)
{
	int64_t from = json_int_member(d->from.last, "seq");

	d->changes = order_compare(d->from.order, d->to.order);
	d->between = d->to.first;
	while (d->between && json_int_member(d->between, "seq") <= from)
		d->between = d->between->next;
	if (!d->changes)
		return remote_no_memory();
	if (d->r->flags[FLAG_JSON])
		return print_json(d);
	print_text(d);
	return EXIT_SUCCESS;
}

int order_diff(struct remote *r)
{
	struct diff d = {.r = r};
	int status;

	if (!remote_id(r, r->arguments[0], d.id))
		return EXIT_USAGE;
	status = look_at_both(&d);
	if (status == EXIT_SUCCESS)
		status = compare(&d);
	cJSON_Delete(d.changes);
	client_answer_fini(&d.from.answer);
	client_answer_fini(&d.to.answer);
	return status;
}
