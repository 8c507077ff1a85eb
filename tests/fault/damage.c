/* `damage BASE N SEED`: a journal that is damaged in N ways, each time anew: every damage must be found and named, and
 * what precedes it must be saved. One line of figures; exit 1 with the seed of the first that is not.
 *
 * BASE is the file of a stopped or a killed daemon (with its write-ahead log). A damage after which every table and
 * every index still says the same is none: a bit in a free page, or in a counter of the file's header. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/digest.h"
#include "base/mem.h"
#include "journal/rebuild.h"
#include "journal/recover.h"

enum kind { BIT_FLIP, TRUNCATION, TORN_PAGE, EDIT, DELETION, INSERTION, SWAP, KINDS };
static const char *const kind_names[KINDS] = {
	"bit flips", "truncations", "torn pages", "edits", "deletions", "insertions", "swaps"};

static struct damage {
	const char *base;
	char folder[64], path[96], saved[96];
	uint64_t random;
	struct chain_head head; /* of the base */
	uint8_t content[DIGEST_SIZE];
	char what[400]; /* was done */
	int64_t n_harmless, n_found, n_saved, n_kept, n_lost;
	int64_t n_of[KINDS];
	uint64_t seed;
} d;

static void fail(const char *why)
{
	fprintf(stderr, "seed %" PRIu64 ": %s: %s\n", d.seed, d.what, why);
	exit(1);
}

/* splitmix64 */
static uint64_t draw(uint64_t below)
{
	uint64_t x = d.random += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return (x ^ x >> 31) % below;
}

/* --- files --- */

static void copy_file(const char *from, const char *to)
{
	char bytes[65536];
	FILE *in = fopen(from, "re"), *out;
	size_t n;

	if (!in) {
		remove(to);
		return;
	}
	out = fopen(to, "we");
	while (out && (n = fread(bytes, 1, sizeof bytes, in)) > 0)
		fwrite(bytes, 1, n, out);
	fclose(in);
	if (!out || fclose(out) != 0)
		fail("cannot copy");
}

static void with_ends(const char *path, void (*do_one)(const char *name))
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock", ".partial"};
	char name[128];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof name, "%s%s", path, ends[i]);
		do_one(name);
	}
}

static void drop(const char *name)
{
	remove(name);
}

static void begin_anew(void)
{
	char from[4200], to[128];

	with_ends(d.path, drop);
	with_ends(d.saved, drop);
	copy_file(d.base, d.path);
	snprintf(from, sizeof from, "%s-wal", d.base);
	snprintf(to, sizeof to, "%s-wal", d.path);
	copy_file(from, to);
}

static int64_t size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : 0;
}

/* --- what a journal says --- */

static int digest_rows(sqlite3 *db, const char *sql, struct digest *digest)
{
	sqlite3_stmt *s = NULL;
	int r = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

	while (r == SQLITE_OK && (r = sqlite3_step(s)) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(s); i++) {
			int type = sqlite3_column_type(s, i);
			const void *p = sqlite3_column_blob(s, i);
			int n = sqlite3_column_bytes(s, i);

			digest_add(digest, &type, sizeof type);
			digest_add(digest, &n, sizeof n);
			if (n)
				digest_add(digest, p, (size_t)n);
		}
		r = SQLITE_OK;
	}
	sqlite3_finalize(s);
	return r == SQLITE_DONE ? 0 : -1;
}

/* -1: it cannot be read as a whole. */
static int content_of(const char *path, uint8_t ret[DIGEST_SIZE])
{
	static const char *const queries[] = {"SELECT * FROM events ORDER BY seq",
		"SELECT * FROM orders ORDER BY seq",
		"SELECT * FROM product_blocks ORDER BY product, block",
		"SELECT * FROM state ORDER BY key", "SELECT * FROM idempotency ORDER BY key",
		"SELECT * FROM generations ORDER BY digest", "SELECT * FROM meta ORDER BY key",
		"SELECT name, sql FROM sqlite_schema ORDER BY name", "PRAGMA application_id",
		"PRAGMA integrity_check"};
	struct digest digest;
	sqlite3 *db = NULL;
	int r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK ? 0 : -1;

	if (digest_init(&digest) < 0)
		fail("no memory");
	digest_start(&digest);
	for (size_t i = 0; i < ARRAY_LEN(queries) && r == 0; i++)
		r = digest_rows(db, queries[i], &digest);
	digest_finish(&digest, ret);
	digest_fini(&digest);
	sqlite3_close(db);
	return r;
}

/* --- damage --- */

static void change_bytes(const char *path, int64_t at, size_t n, bool is_flip)
{
	unsigned char bytes[4096];
	FILE *f = fopen(path, "r+e");

	if (!f || fseeko(f, at, SEEK_SET) != 0)
		fail("cannot open");
	n = fread(bytes, 1, n, f);
	for (size_t i = 0; i < n; i++)
		bytes[i] = is_flip ? bytes[i] ^ (unsigned char)(1u << draw(8))
				   : (unsigned char)draw(256);
	fseeko(f, at, SEEK_SET);
	fwrite(bytes, 1, n, f);
	if (fclose(f) != 0)
		fail("cannot write");
}

/* The main file or its log, by their sizes. */
static const char *choose_file(char name[128])
{
	int64_t main_size, log_size;

	snprintf(name, 128, "%s-wal", d.path);
	main_size = size_of(d.path);
	log_size = size_of(name);
	return (int64_t)draw((uint64_t)(main_size + log_size)) < main_size ? d.path : name;
}

static void run_sql(const char *sql)
{
	sqlite3 *db = NULL;
	char *why = NULL;

	if (sqlite3_open(d.path, &db) != SQLITE_OK ||
		sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail(why ? why : "cannot open");
	sqlite3_close(db);
}

static void edit(int64_t seq)
{
	static const char *const changes[] = {"time_us = time_us + 1",
		"order_seq = ifnull(order_seq, 0) + 1", "kind = kind % 20 + 1",
		"type = type || 'x'", "stage = ifnull(stage, '') || 'x'", "attempt = attempt + 1",
		"id = randomblob(16)", "salt = randomblob(16)", "payload = payload || ' '",
		"payload = NULL", "payload = replace(payload, '}', ',\"x\":1}')",
		"digest = randomblob(32)", "hash = randomblob(32)", "hash = NULL", "digest = x''"};
	size_t n = draw(ARRAY_LEN(changes));
	char sql[200];

	if (strcmp(changes[n], "hash = NULL") == 0) /* the table does not take it */
		n--;
	snprintf(sql, sizeof sql, "UPDATE events SET %s WHERE seq = %" PRId64, changes[n], seq);
	snprintf(d.what, sizeof d.what, "%s", sql);
	run_sql(sql);
}

static void change_rows(enum kind kind)
{
	int64_t seq = 1 + (int64_t)draw((uint64_t)d.head.seq - 1), other;
	char sql[600];

	if (kind == EDIT) {
		edit(seq);
		return;
	}
	other = seq + 1 + (int64_t)draw((uint64_t)(d.head.seq - seq));
	if (kind == DELETION && draw(2))
		snprintf(sql, sizeof sql,
			"DELETE FROM events WHERE seq BETWEEN %" PRId64 " AND %" PRId64, seq,
			seq + (int64_t)draw(3));
	else if (kind == DELETION)
		snprintf(sql, sizeof sql,
			"DELETE FROM events WHERE seq = %" PRId64
			"; UPDATE events SET seq = -seq WHERE seq > %" PRId64
			"; UPDATE events SET seq = -seq - 1 WHERE seq < 0",
			seq, seq);
	else if (kind == SWAP)
		snprintf(sql, sizeof sql,
			"UPDATE events SET seq = 0 WHERE seq = %" PRId64
			"; UPDATE events SET seq = %" PRId64 " WHERE seq = %" PRId64
			"; UPDATE events SET seq = %" PRId64 " WHERE seq = 0",
			seq, seq, other, other);
	else
		snprintf(sql, sizeof sql,
			"UPDATE events SET seq = -seq WHERE seq > %" PRId64
			"; UPDATE events SET seq = -seq + 1 WHERE seq < 0;"
			"INSERT INTO events SELECT %" PRId64
			", time_us, order_seq, kind, type, stage, attempt, id, salt,"
			" payload, digest, hash FROM events WHERE seq = %" PRId64,
			seq, seq + 1, other > seq ? other + 1 : other);
	snprintf(d.what, sizeof d.what, "%.380s", sql);
	run_sql(sql);
}

static void do_damage(enum kind kind)
{
	char name[128];
	const char *file = choose_file(name);
	int64_t size = size_of(file), at = (int64_t)draw((uint64_t)size);

	if (kind >= EDIT) {
		change_rows(kind);
		return;
	}
	if (kind == TORN_PAGE)
		at -= at % 512;
	snprintf(d.what, sizeof d.what, "%s at %" PRId64 " of %" PRId64 " in %s", kind_names[kind],
		at, size, file == name ? "the log" : "the file");
	if (kind == BIT_FLIP)
		change_bytes(file, at, 1, true);
	else if (kind == TORN_PAGE)
		change_bytes(file, at, 512 << draw(4), false);
	else if (truncate(file, at) < 0)
		fail("cannot truncate");
}

/* --- what is made of it --- */

/* The first wrong event; 0: nothing was found. */
static int64_t find(void)
{
	const struct verify_request request = {.heads = &d.head, .n_heads = 1};
	struct verify_report report;
	struct replay_report replayed;
	struct pipeline_set set = {0};
	struct err e = {0};
	int64_t seq = 0;
	int r = journal_verify_chain(d.path, &request, &report, &e);

	if (r < 0)
		seq = report.fault_seq ? report.fault_seq : 1;
	if (r == -EBADMSG && (!report.fault || !report.fault_seq))
		fail(err_wrap(&e, r, "a fault without a name") ? err_text(&e) : "");
	if (r == 0) {
		r = journal_replay(d.path, &set, NULL, &replayed, &e);
		seq = r < 0 ? d.head.seq + 1 : 0;
		replay_report_fini(&replayed);
	}
	if (r < 0 && !*err_text(&e))
		fail("a fault without words");
	verify_report_fini(&report);
	pipeline_set_fini(&set);
	return seq;
}

/* Every event that was saved is one of the base, as it was. */
static void check_saved_rows(int64_t last)
{
	char sql[600];
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;

	if (sqlite3_open(d.saved, &db) != SQLITE_OK)
		fail("what was saved cannot be opened");
	snprintf(sql, sizeof sql, "ATTACH '%s' AS base", d.base);
	sqlite3_exec(db, sql, NULL, NULL, NULL);
	snprintf(sql, sizeof sql,
		"SELECT count(*) FROM (SELECT * FROM main.events WHERE seq <= %" PRId64
		" EXCEPT SELECT * FROM base.events)",
		last);
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
		fail(sqlite3_errmsg(db));
	if (sqlite3_column_int64(s, 0))
		fail("an event was saved that never was");
	sqlite3_finalize(s);
	sqlite3_close(db);
}

static void check_saved(const struct recover_report *report)
{
	const struct verify_request all = {0};
	struct verify_report chain;
	struct replay_report replayed;
	struct pipeline_set set = {0};
	struct err e = {0};

	if (journal_verify_chain(d.saved, &all, &chain, &e) < 0)
		fail(err_text(&e));
	if (chain.gaps.n != report->gaps.n)
		fail("the gaps are not told of");
	if (journal_replay(d.saved, &set, NULL, &replayed, &e) < 0)
		fail(err_text(&e));
	verify_report_fini(&chain);
	replay_report_fini(&replayed);
	pipeline_set_fini(&set);
	check_saved_rows(report->last_saved.seq);
}

/* `fault_seq`: the first event that verification did not take. */
static void save(enum kind kind, int64_t fault_seq)
{
	struct recover_report report;
	struct err e = {0};
	int64_t before, at_most = kind == BIT_FLIP || kind == EDIT ? 64 : d.head.seq;
	int r = journal_recover(d.path, d.saved, INT64_C(1800000000000000), NULL, &report, &e);

	if (r < 0 && (r != -ENODATA || fault_seq > 1 || kind == BIT_FLIP || kind == EDIT))
		fail(err_text(&e));
	if (r < 0) {
		recover_report_fini(&report);
		return;
	}
	before = report.gaps.n ? report.gaps.list[0].from - 1 : report.last_saved.seq;
	if (before < fault_seq - 1 && before < d.head.seq)
		fail("something before the damage was not saved");
	if (d.head.seq - report.n_kept > at_most)
		fail("more was lost than the damage took");
	check_saved(&report);
	d.n_saved++;
	d.n_kept += report.n_kept;
	d.n_lost += d.head.seq > report.n_kept ? d.head.seq - report.n_kept : 0;
	recover_report_fini(&report);
}

static void try_one(uint64_t seed)
{
	uint8_t content[DIGEST_SIZE];
	enum kind kind;
	int64_t fault_seq;

	d.seed = d.random = seed;
	kind = (enum kind)draw(KINDS);
	d.n_of[kind]++;
	begin_anew();
	do_damage(kind);
	fault_seq = find();
	if (fault_seq) {
		d.n_found++;
		save(kind, fault_seq);
		return;
	}
	if (content_of(d.path, content) < 0 || memcmp(content, d.content, sizeof content) != 0)
		fail("the damage was not found");
	d.n_harmless++;
}

int main(int argc, char **argv)
{
	char folder[] = "/dev/shm/stageline-damage-XXXXXX";
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 50,
		 first = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	struct err e = {0};

	if (argc < 2 || !mkdtemp(folder))
		return 2;
	d.base = argv[1];
	snprintf(d.folder, sizeof d.folder, "%s", folder);
	snprintf(d.path, sizeof d.path, "%s/journal.sqlite", d.folder);
	snprintf(d.saved, sizeof d.saved, "%s/saved.sqlite", d.folder);
	snprintf(d.what, sizeof d.what, "the base");
	begin_anew();
	if (journal_head(d.path, &d.head, &e) < 0 || find() || content_of(d.path, d.content) < 0)
		fail(e.code ? err_text(&e) : "it is damaged already");
	for (uint64_t i = 0; i < n; i++)
		try_one(first + i);
	with_ends(d.path, drop);
	with_ends(d.saved, drop);
	rmdir(d.folder);
	printf("%" PRId64 " found, %" PRId64 " without effect, %" PRId64 " saved, %" PRId64
	       " events kept, %" PRId64 " events lost,",
		d.n_found, d.n_harmless, d.n_saved, d.n_kept, d.n_lost);
	for (size_t i = 0; i < KINDS; i++)
		printf(" %" PRId64 " %s%s", d.n_of[i], kind_names[i], i + 1 < KINDS ? "," : "\n");
	return 0;
}
