/* A stage that runs again in a retrial. */
#include "kit/retrial_stage.h"

#include "base/mem.h"

enum { LOOK_MS = 200, DEATHS_MAX = 20 };

struct retrial_stage {
	struct instance *instance;
	struct pool *pool;
	struct queue answers;
	unsigned n_deaths;
};

static void on_verdicts(void *stage, struct task *first)
{
	queue_push_all(&((struct retrial_stage *)stage)->answers, &first->node);
}

int retrial_stage_create(const struct pipeline *p, size_t stage,
	const struct plugin_folders *folders, struct retrial_stage **ret, struct err *e)
{
	const struct stage_spec *spec = &p->stages[stage];
	struct retrial_stage *s = calloc(1, sizeof *s);
	const struct plugin *plugin;
	int r = s ? queue_init(&s->answers, false) : -ENOMEM;

	if (r < 0) {
		free(s);
		return err_set(e, r, "stage '%s': no memory", spec->name);
	}
	r = plugin_load_stage(folders, spec, &plugin, e);
	if (r == 0)
		r = instance_describe(p, stage, plugin, &s->instance, e);
	if (r == 0 && (r = pool_create(s->instance, 1, on_verdicts, s, &s->pool)) < 0)
		err_set(e, r, "no memory for its process");
	if (r < 0) {
		retrial_stage_destroy(s);
		return err_wrap(e, r, "stage '%s'", spec->name);
	}
	*ret = s;
	return 0;
}

void retrial_stage_destroy(struct retrial_stage *s)
{
	struct queue_node *n;

	if (!s)
		return;
	pool_destroy(s->pool);
	n = queue_take(&s->answers, 0);
	while (n) {
		struct task *t = CONTAINER_OF(n, struct task, node);

		n = n->next;
		task_free(t);
	}
	instance_destroy(s->instance);
	queue_fini(&s->answers);
	free(s);
}

/* Why no process can be started; "": it can. */
static const char *trouble(struct retrial_stage *s, struct pool_health *health)
{
	return pool_health(s->pool, health) ? health->trouble : "";
}

int retrial_stage_run(struct retrial_stage *s, struct task *t, struct task **ret, struct err *e)
{
	struct pool_health health;
	struct queue_node *n;
	const char *name = instance_spec(s->instance)->name;

	if (s->n_deaths == DEATHS_MAX) {
		task_free(t);
		return err_set(e, -ECHILD,
			"stage '%s' ended its process %d times, and was not asked any more", name,
			DEATHS_MAX);
	}
	pool_submit(s->pool, t);
	while (!(n = queue_take(&s->answers, clock_mono_ms() + LOOK_MS)))
		if (*trouble(s, &health)) /* the pool frees the task */
			return err_set(e, -EIO, "stage '%s': %s", name, health.trouble);
	t = CONTAINER_OF(n, struct task, node);
	s->n_deaths += t->verdict == VERDICT_CRASH || t->verdict == VERDICT_TIMEOUT;
	*ret = t;
	return 0;
}
