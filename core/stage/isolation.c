/* Which kind of pool runs a stage: threads, or processes when the pipeline file says so. */
#include "stage/pool.h"

static const struct pool_kind *kind_of(struct pool *p)
{
	return *(const struct pool_kind *const *)p;
}

int pool_create(struct instance *in, size_t workers,
	void (*on_verdicts)(void *arg, struct task *first), void *arg, struct pool **ret)
{
	const struct pool_kind *kind = instance_spec(in)->isolation == ISOLATION_PROCESS
					       ? &pool_of_processes
					       : &pool_of_threads;

	return kind->create(in, workers, on_verdicts, arg, ret);
}

void pool_submit(struct pool *p, struct task *first)
{
	kind_of(p)->submit(p, first);
}

int64_t pool_ask(struct pool *p, const struct task *about, int64_t now_ms, struct task **ret)
{
	*ret = NULL;
	return kind_of(p)->ask(p, about, now_ms, ret);
}

void pool_destroy(struct pool *p)
{
	if (p)
		kind_of(p)->destroy(p);
}

void pool_counts(struct pool *p, struct pool_counts *ret)
{
	kind_of(p)->counts(p, ret);
}

bool pool_health(struct pool *p, struct pool_health *ret)
{
	if (!kind_of(p)->health)
		return false;
	kind_of(p)->health(p, ret);
	return true;
}
