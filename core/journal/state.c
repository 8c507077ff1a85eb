/* The state's map: entries read from the table on first use, written back by flush. */
#include "journal/state.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

enum { ARENA_KEPT_MAX = 1 << 20 };
/* Up to here the text of an integer is what a JSON writer makes of the same number. */
#define PLAIN_MAX INT64_C(999999999999999)

enum value_type { VALUE_ABSENT, VALUE_INTEGER, VALUE_JSON };

struct state_entry {
	struct state_entry *next;	/* in its bucket */
	struct state_entry *next_dirty; /* in the list of changed ones */
	struct str key;
	enum value_type type;
	bool is_dirty;
	int64_t number;	 /* VALUE_INTEGER */
	struct str json; /* VALUE_JSON */
};

int state_init(struct state *s, sqlite3 *db, struct err *e)
{
	int r;

	*s = (struct state){0};
	r = sql_prepare(db, "SELECT value FROM state WHERE key = ?1", &s->find, e);
	if (r == 0)
		r = sql_prepare(db,
			"INSERT INTO state VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = "
			"?2",
			&s->put, e);
	if (r == 0)
		r = sql_prepare(db, "DELETE FROM state WHERE key = ?1", &s->drop, e);
	return r;
}

int state_open_scratch(struct state *s, sqlite3 **ret_db, struct err *e)
{
	int r = sql_open(NULL, SQL_SCRATCH, ret_db, e);

	if (r == 0)
		r = sql_exec(*ret_db,
			"CREATE TABLE state(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT "
			"ROWID;"
			"BEGIN",
			e);
	return r == 0 ? state_init(s, *ret_db, e) : r;
}

void state_fini(struct state *s)
{
	sqlite3_finalize(s->find);
	sqlite3_finalize(s->put);
	sqlite3_finalize(s->drop);
	arena_fini(&s->arena);
	buf_fini(&s->text);
	*s = (struct state){0};
}

void state_clear(struct state *s)
{
	arena_fini(&s->arena);
	memset(s->buckets, 0, sizeof s->buckets);
	s->dirty = NULL;
	s->n = 0;
}

/* FNV-1a. Keys come from the pipeline file and its plugins, not from strangers. */
static size_t bucket_of(struct str key)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (unsigned char)key.p[i]) * UINT64_C(0x100000001b3);
	return (size_t)((h ^ h >> 32) % STATE_BUCKETS);
}

/* The text of an integer as this program writes it, within ±PLAIN_MAX. */
static bool is_plain_integer(struct str text, int64_t *ret)
{
	bool is_negative = text.n && text.p[0] == '-';
	size_t i = is_negative;
	int64_t v = 0;

	if (text.n == i || text.n - i > 15 || (text.p[i] == '0' && text.n > 1))
		return false;
	for (; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		v = v * 10 + (text.p[i] - '0');
	}
	*ret = is_negative ? -v : v;
	return true;
}

/* Any JSON in the one form that it always gets, whoever wrote it and however often it was read. */
static int set_json(struct state *s, struct state_entry *entry, struct str text, struct err *e)
{
	_cleanup_(json_freep) cJSON *j = NULL;
	struct json_writer w = {&s->text, false};
	int r;

	if (is_plain_integer(text, &entry->number)) {
		entry->type = VALUE_INTEGER;
		return 0;
	}
	r = json_parse(text, JSON_DEPTH_MAX, &j, e);
	if (r < 0)
		return err_wrap(e, r, "state '%.*s'", (int)entry->key.n, entry->key.p);
	if (json_to_int(j, &entry->number)) {
		entry->type = VALUE_INTEGER;
		return 0;
	}
	buf_clear(&s->text);
	json_tree(&w, j);
	if (s->text.failed || !arena_copy(&s->arena, buf_view(&s->text), &entry->json))
		return err_set(e, -ENOMEM, "out of memory");
	entry->type = VALUE_JSON;
	return 0;
}

/* What the table says about the key; sums beyond PLAIN_MAX are read back as integers too. */
static int load(struct state *s, struct state_entry *entry, struct err *e)
{
	int r = sql_row(s->find, sql_bind_str(s->find, 1, entry->key), e);

	if (r <= 0)
		return r;
	if (sqlite3_column_bytes(s->find, 0) > 0 &&
		!strpbrk((const char *)sqlite3_column_text(s->find, 0), ".eE\"[{tfn")) {
		entry->number = sqlite3_column_int64(s->find, 0);
		entry->type = VALUE_INTEGER;
		r = 0;
	} else {
		r = set_json(s, entry, sql_str(s->find, 0), e);
	}
	sqlite3_reset(s->find);
	return r;
}

static int find(struct state *s, struct str key, struct state_entry **ret, struct err *e)
{
	struct state_entry **bucket = &s->buckets[bucket_of(key)], *entry;
	int r;

	for (entry = *bucket; entry; entry = entry->next) {
		if (str_eq(entry->key, key)) {
			*ret = entry;
			return 0;
		}
	}
	entry = arena_alloc(&s->arena, sizeof *entry);
	if (!entry || !arena_copy(&s->arena, key, &entry->key))
		return err_set(e, -ENOMEM, "out of memory");
	r = load(s, entry, e);
	if (r < 0)
		return r;
	entry->next = *bucket;
	*bucket = entry;
	s->n++;
	*ret = entry;
	return 0;
}

static int add(struct state_entry *entry, const struct effect *f, struct err *e)
{
	int64_t sum, now = entry->type == VALUE_INTEGER ? entry->number : 0;
	int key_n = (int)f->key.n;

	if (entry->type == VALUE_JSON)
		return err_set(e, -EINVAL, "state '%.*s' is not an integer", key_n, f->key.p);
	if (__builtin_add_overflow(now, f->delta, &sum))
		return err_set(e, -ERANGE, "state '%.*s': %" PRId64 " %+" PRId64 " overflows",
			key_n, f->key.p, now, f->delta);
	if (sum < f->floor && f->delta < 0)
		return err_set(e, -EPROTO,
			"state '%.*s': %" PRId64 " %+" PRId64 " is below %" PRId64, key_n, f->key.p,
			now, f->delta, f->floor);
	entry->number = sum;
	entry->type = VALUE_INTEGER;
	return 0;
}

int state_apply(struct state *s, const struct effect *f, struct err *e)
{
	struct state_entry *entry = NULL;
	int r = find(s, f->key, &entry, e);

	if (r < 0)
		return r;
	if (f->kind == EFFECT_ADD)
		r = add(entry, f, e);
	else if (f->kind == EFFECT_PUT)
		r = set_json(s, entry, f->json, e);
	else
		entry->type = VALUE_ABSENT;
	if (r < 0 || entry->is_dirty)
		return r;
	entry->is_dirty = true;
	entry->next_dirty = s->dirty;
	s->dirty = entry;
	return 0;
}

static int write_entry(struct state *s, const struct state_entry *entry, struct err *e)
{
	char text[24];
	struct str value = entry->json;

	if (entry->type == VALUE_ABSENT)
		return sql_run(s->drop, sql_bind_str(s->drop, 1, entry->key), e);
	if (entry->type == VALUE_INTEGER)
		value = (struct str){
			text, (size_t)snprintf(text, sizeof text, "%" PRId64, entry->number)};
	return sql_run(
		s->put, sql_bind_str(s->put, 1, entry->key) | sql_bind_str(s->put, 2, value), e);
}

int state_flush(struct state *s, struct err *e)
{
	while (s->dirty) {
		int r = write_entry(s, s->dirty, e);

		if (r < 0)
			return r;
		s->dirty->is_dirty = false;
		s->dirty = s->dirty->next_dirty;
	}
	if (s->n > STATE_KEPT_MAX || s->arena.total > ARENA_KEPT_MAX)
		state_clear(s);
	return 0;
}

int state_number(struct state *s, struct str key, int64_t *ret, struct err *e)
{
	struct state_entry *entry = NULL;
	int r = find(s, key, &entry, e);

	if (r < 0)
		return r;
	if (entry->type == VALUE_JSON)
		return err_set(e, -EINVAL, "state '%.*s' is not an integer", (int)key.n, key.p);
	*ret = entry->type == VALUE_INTEGER ? entry->number : 0;
	return 0;
}

int state_has(struct state *s, struct str key, struct err *e)
{
	struct state_entry *entry = NULL;
	int r = find(s, key, &entry, e);

	return r < 0 ? r : entry->type != VALUE_ABSENT;
}
