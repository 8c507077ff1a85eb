/* What becomes of the tasks of a process that has ended, and when the next one is started. */
#include "stage/children.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 30000 };

static void convict(struct pool *p, struct task *t, enum verdict verdict, const char *text)
{
	task_clear_verdict(t);
	t->verdict = verdict;
	t->message = task_keep(t, str_of(text));
	t->duration_us = clock_mono_us() - t->started_us;
	task_list_add(&p->finished, t);
}

/* The call that was going on is charged; those that waited behind it are not. */
static void share_out(struct pool *p, struct child_link *c, const char *why)
{
	/* A process that leaves has begun nothing more, nor has one that was killed from outside before it began the
	 * next; one that never did anything else is not believed. */
	bool has_begun = !c->is_leaving && c->n_begun > c->n_answered;
	bool is_free = !has_begun && c->n_answered && !c->is_timed_out && !c->autopsy.has_crash;
	struct task *t = is_free ? NULL : task_list_take(&c->pipe);
	struct task_list back = {0};
	char text[POOL_TEXT_MAX];

	snprintf(text, sizeof text, "%s%s", c->is_timed_out ? "" : "its process crashed: ", why);
	if (t)
		convict(p, t, c->is_timed_out ? VERDICT_TIMEOUT : VERDICT_CRASH, text);
	while ((t = task_list_take(&c->pipe))) {
		child_link_untouched(t);
		task_list_add(&back, t);
	}
	later_orphaned(&p->later, (int32_t)c->pid);
	task_list_put_first(&p->ready, &c->mine);
	task_list_put_first(&p->ready, &back);
}

/* The next one starts later and later while none gets anywhere. */
void children_back_off(struct pool *p, const char *why)
{
	int64_t ms = BACKOFF_FIRST_MS;

	for (unsigned i = 0; i < p->n_failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
	p->n_failures++;
	p->next_start_ms = clock_mono_ms() + ms;
	log_error("stage=%s no process can be started: %s; tried again in %lld ms",
		p->instance->spec->name, why, (long long)ms);
	pthread_mutex_lock(&p->lock);
	snprintf(p->health.trouble, sizeof p->health.trouble, "%s", why);
	pthread_mutex_unlock(&p->lock);
}

static void note_crash(struct pool *p, const struct child_link *c, const char *why)
{
	log_error("stage=%s process=%d crashed: %s", p->instance->spec->name, (int)c->pid, why);
	pthread_mutex_lock(&p->lock);
	p->health.crashes++;
	p->health.last_crash_us = clock_wall_us();
	snprintf(p->health.last_crash, sizeof p->health.last_crash, "%s", why);
	pthread_mutex_unlock(&p->lock);
}

static void find_out(const struct pool *p, const struct child_link *c, char *why, size_t size)
{
	_cleanup_(buf_fini) struct buf text = {0};

	if (c->last_words[0]) {
		snprintf(why, size, "%.*s", (int)size - 1, c->last_words);
	} else if (c->is_timed_out) {
		buf_fmt(&text, "no answer within %lld ms; its process was killed",
			(long long)p->later.timeout_ms);
		autopsy_trace(&c->autopsy, &text);
		snprintf(why, size, "%s", buf_view(&text).p);
	} else {
		autopsy_text(&c->autopsy, why, size);
	}
}

void children_bury(struct pool *p, struct child_link *c)
{
	char why[POOL_TEXT_MAX - 64];

	find_out(p, c, why, sizeof why);
	p->n_lost++;
	if (!c->pipe.n && !c->autopsy.has_crash &&
		(c->is_recalled || atomic_load(&p->is_stopping))) {
		log_debug("stage=%s process=%d ended", p->instance->spec->name, (int)c->pid);
	} else if (c->is_new) {
		children_back_off(p, why);
	} else if (c->is_leaving) {
		log_info("stage=%s process=%d makes room: %s", p->instance->spec->name, (int)c->pid,
			why);
	} else {
		note_crash(p, c, why);
		if (!c->n_given) /* it does that without being asked anything */
			children_back_off(p, why);
	}
	share_out(p, c, why);
}
