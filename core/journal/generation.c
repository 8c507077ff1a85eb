/* Generations that come out of the journal. */
#include "journal/generation.h"

#include "base/mem.h"

int generation_add(struct pipeline_set *set, struct str digest, struct str text,
	const struct pipeline **ret, struct err *e)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;
	struct err why = {0};
	int r = pipeline_parse(text, &p, &faults);

	if (r == -ENOMEM)
		return err_set(e, r, "out of memory");
	if (r < 0) {
		yaml_faults_first(&faults, &why);
		return err_set(
			e, -EPROTO, "generation %.*s: %s", (int)digest.n, digest.p, err_text(&why));
	}
	if (!str_is(digest, p->digest))
		return err_set(e, -EPROTO, "generation %.*s: its text is another one's (%s)",
			(int)digest.n, digest.p, p->digest);
	*ret = pipeline_set_add(set, steal_ptr(p));
	return 0;
}

void generations_read(sqlite3 *db, struct pipeline_set *set)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	const struct pipeline *p;

	if (sql_prepare(db, "SELECT digest, text FROM generations", &s, NULL) < 0)
		return;
	while (sql_row(s, 0, NULL) > 0)
		if (!pipeline_set_find(set, sql_str(s, 0)))
			generation_add(set, sql_str(s, 0), sql_str(s, 1), &p, NULL);
}
