/* An engine that only shows: the journal of nobody, read. It has no writer, no bus, no stages and no thread. */
#include "base/mem.h"
#include "engine/internal.h"

int engine_show(const struct engine_options *options, struct pipeline_set *set, struct engine **ret,
	struct err *e)
{
	struct engine *en = engine_new(options, set);
	const struct pipeline *p;
	int64_t last = 0;
	int r;

	if (!en)
		return err_set(e, -ENOMEM, "no memory to start");
	en->is_show = true;
	r = reader_open(options->journal_path, set, &en->reader, e);
	if (r == 0)
		r = reader_current(en->reader, &p, e);
	if (r == 0)
		r = engine_count(en, e);
	if (r == 0)
		r = reader_begin(en->reader, &last, e);
	if (r < 0) {
		engine_free(en);
		return r;
	}
	reader_end(en->reader);
	atomic_store(&en->pipeline, p);
	atomic_store(&en->last_seq, last);
	*ret = en;
	return 0;
}

void engine_show_refuse(struct engine *en, struct command *c)
{
	c->result = err_set(&c->err, -EROFS, "%s", ENGINE_SHOW_REASON);
	c->node.next = NULL;
	en->options.on_answers(en->options.arg, c);
}
