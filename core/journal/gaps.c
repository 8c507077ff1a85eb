/* Known gaps in the chain. */
#include "journal/gaps.h"

#include <inttypes.h>

#include "base/mem.h"

int chain_gaps_add(struct chain_gaps *gaps, const struct chain_gap *gap)
{
	if (gaps->n == gaps->cap) {
		size_t cap = gaps->cap ? gaps->cap * 2 : 8;
		struct chain_gap *grown = realloc(gaps->list, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		gaps->list = grown;
		gaps->cap = cap;
	}
	gaps->list[gaps->n++] = *gap;
	return 0;
}

void chain_gaps_fini(struct chain_gaps *gaps)
{
	free(gaps->list);
	*gaps = (struct chain_gaps){0};
}

const struct chain_gap *chain_gaps_find(const struct chain_gaps *gaps, int64_t seq)
{
	for (size_t i = 0; i < gaps->n; i++)
		if (seq >= gaps->list[i].from && seq <= gaps->list[i].to)
			return &gaps->list[i];
	return NULL;
}

static int read_gap(const cJSON *item, struct chain_gaps *ret)
{
	const cJSON *hash = cJSON_GetArrayItem(item, 2);
	struct chain_gap gap;

	if (!json_to_int(cJSON_GetArrayItem(item, 0), &gap.from) ||
		!json_to_int(cJSON_GetArrayItem(item, 1), &gap.to) || !cJSON_IsString(hash) ||
		digest_parse(str_of(hash->valuestring), gap.next) < 0 || gap.from < 1 ||
		gap.to < gap.from)
		return -EBADMSG;
	return chain_gaps_add(ret, &gap);
}

static int read_payload(struct str payload, struct chain_gaps *ret)
{
	_cleanup_(json_freep) cJSON *json = NULL;
	const cJSON *item, *list;
	int r = json_parse(payload, JSON_DEPTH_MAX, &json, NULL);

	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	list = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(json, "metadata"), "missing");
	if (!cJSON_IsArray(list))
		return -EBADMSG;
	cJSON_ArrayForEach (item, list) {
		r = read_gap(item, ret);
		if (r < 0)
			return r;
	}
	return 0;
}

static int by_from(const void *a, const void *b)
{
	int64_t x = ((const struct chain_gap *)a)->from, y = ((const struct chain_gap *)b)->from;

	return (x > y) - (x < y);
}

int chain_gaps_read(sqlite3 *db, struct chain_gaps *ret, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(
		db, "SELECT seq, payload FROM events WHERE kind = ?1 ORDER BY seq", &s, e);
	int bad = r < 0 ? 0 : sql_bind_int(s, 1, EVENT_JOURNAL_RECOVERED);

	if (r < 0)
		return r;
	while ((r = sql_row(s, bad, e)) > 0) {
		r = read_payload(sql_str(s, 1), ret);
		if (r < 0)
			return err_set(e, r,
				"event %" PRId64 ": its list of missing events cannot be read",
				(int64_t)sqlite3_column_int64(s, 0));
	}
	if (ret->n)
		qsort(ret->list, ret->n, sizeof *ret->list, by_from);
	return r;
}

void chain_gaps_json(const struct chain_gaps *gaps, struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "missing");
	json_open(w, '[');
	for (size_t i = 0; i < gaps->n; i++) {
		char hash[DIGEST_TEXT_SIZE];

		digest_text(gaps->list[i].next, hash);
		json_open(w, '[');
		json_int(w, gaps->list[i].from);
		json_int(w, gaps->list[i].to);
		json_text(w, hash);
		json_close(w, ']');
	}
	json_close(w, ']');
	json_close(w, '}');
}
