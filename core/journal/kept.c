/* Digests of remains: written by the removal, asked by verification. */
#include "journal/kept.h"

#include <inttypes.h>

#include "base/mem.h"

enum { HEX_SIZE = 2 * KEPT_DIGEST_SIZE };

static void hex_of(struct str remains, char out[HEX_SIZE + 1])
{
	uint8_t digest[DIGEST_SIZE];
	char text[DIGEST_TEXT_SIZE];

	digest_once(remains, digest);
	digest_text(digest, text);
	memcpy(out, text, HEX_SIZE);
	out[HEX_SIZE] = '\0';
}

void kept_add(struct buf *text, int64_t order_seq, int64_t seq, struct str remains)
{
	char hex[HEX_SIZE + 1];

	hex_of(remains, hex);
	buf_fmt(text, "%s%" PRId64 ":%s", text->len ? "," : "", seq - order_seq, hex);
}

/* --- asking --- */

int kept_cache_init(struct kept_cache *c, sqlite3 *db, struct chain *chain, struct err *e)
{
	*c = (struct kept_cache){.chain = chain};
	return sql_prepare(db,
		"SELECT salt, payload, digest FROM events WHERE order_seq = ?1 AND kind IN (21, 22)"
		" ORDER BY seq LIMIT 1",
		&c->find, e);
}

_Static_assert(EVENT_ORDER_ERASED == 21 && EVENT_ORDER_ARCHIVED == 22, "as the statement says");

void kept_cache_fini(struct kept_cache *c)
{
	sqlite3_finalize(c->find);
	for (size_t i = 0; i < KEPT_SLOTS; i++)
		free(c->slots[i].text);
	*c = (struct kept_cache){0};
}

/* *ret stays NULL when the row is not what was appended. */
static int read_kept(struct kept_cache *c, sqlite3_stmt *s, char **ret)
{
	_cleanup_(json_freep) cJSON *payload = NULL;
	struct str salt = sql_str(s, 0), text = sql_str(s, 1), stored = sql_str(s, 2), kept;
	uint8_t digest[CHAIN_HASH_SIZE];
	int r;

	if (salt.n != CHAIN_SALT_SIZE || stored.n != CHAIN_HASH_SIZE || !text.p)
		return 0;
	r = chain_digest(c->chain, (const uint8_t *)salt.p, text, digest);
	if (r < 0 || memcmp(digest, stored.p, CHAIN_HASH_SIZE) != 0)
		return r;
	r = json_parse(text, JSON_DEPTH_MAX, &payload, NULL);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	kept = json_member(payload, "kept");
	*ret = kept.p ? str_dup(kept) : NULL;
	return kept.p && !*ret ? -ENOMEM : 0;
}

static int find_kept(struct kept_cache *c, int64_t order_seq, const char **ret, struct err *e)
{
	size_t slot = (size_t)order_seq % KEPT_SLOTS;
	char *text = NULL;
	int r;

	if (c->slots[slot].order_seq == order_seq) {
		*ret = c->slots[slot].text;
		return 0;
	}
	r = sql_row(c->find, sql_bind_int(c->find, 1, order_seq), e);
	if (r > 0) {
		r = read_kept(c, c->find, &text);
		sqlite3_reset(c->find);
		if (r < 0)
			return err_set(e, r, "out of memory");
	}
	if (r < 0)
		return r;
	free(c->slots[slot].text);
	c->slots[slot].order_seq = order_seq;
	*ret = c->slots[slot].text = text;
	return 0;
}

/* The hex of the event, or NULL. */
static const char *find_event(const char *text, int64_t distance)
{
	while (*text) {
		char *end;
		int64_t n = strtoll(text, &end, 10);

		if (*end != ':' || strnlen(end, HEX_SIZE + 2) < HEX_SIZE + 1)
			return NULL;
		if (n == distance)
			return end + 1;
		text = end + 1 + HEX_SIZE;
		text += *text == ',';
	}
	return NULL;
}

int kept_check(
	struct kept_cache *c, int64_t order_seq, int64_t seq, struct str payload, struct err *e)
{
	const char *text = NULL, *should;
	char is[HEX_SIZE + 1];
	int r = find_kept(c, order_seq, &text, e);

	if (r < 0)
		return r;
	if (!text)
		return -ENOENT;
	should = find_event(text, seq - order_seq);
	hex_of(payload, is);
	return should && memcmp(is, should, HEX_SIZE) == 0;
}
