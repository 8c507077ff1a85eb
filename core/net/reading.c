/* Reading for the net loop: one thread, a queue of jobs to it and a queue of finished ones back. */
#include "net/reading.h"

struct reading {
	struct queue jobs, finished;
	struct reader *reader;
	struct event *on_finished;
	pthread_t thread;
	bool has_thread;
	size_t n_waiting; /* [net loop] */
	atomic_bool is_ending, is_interrupted;
};

static void *run_jobs(void *arg)
{
	struct reading *rd = arg;
	bool is_last;

	pthread_setname_np(pthread_self(), "reader");
	do {
		struct queue_node *n;

		is_last = atomic_load(&rd->is_ending);
		n = queue_take(&rd->jobs, is_last ? 0 : INT64_MAX);
		while (n) {
			struct read_job *job = (struct read_job *)n;

			n = n->next;
			if (atomic_load(&rd->is_interrupted))
				reader_interrupt(rd->reader);
			if (!job->is_unwanted || !atomic_load(job->is_unwanted))
				job->run(job, rd->reader);
			queue_push(&rd->finished, &job->node);
		}
	} while (!is_last);
	return NULL;
}

static void finish_jobs(evutil_socket_t fd, short events, void *arg)
{
	struct reading *rd = arg;
	struct queue_node *n = queue_take(&rd->finished, 0);

	(void)fd, (void)events;
	while (n) {
		struct read_job *job = (struct read_job *)n;

		n = n->next;
		rd->n_waiting--;
		job->done(job);
	}
}

int reading_create(struct event_base *base, const char *journal_path, struct pipeline_set *set,
	struct reading **ret, struct err *e)
{
	struct reading *rd = calloc(1, sizeof *rd);
	int r;

	if (!rd)
		return err_set(e, -ENOMEM, "no memory for a reader");
	r = queue_init(&rd->jobs, false);
	if (r == 0)
		r = queue_init(&rd->finished, true);
	if (r < 0) {
		free(rd);
		return err_set(e, r, "cannot make a queue: %s", strerror(-r));
	}
	r = reader_open(journal_path, set, &rd->reader, e);
	if (r < 0)
		goto fail;
	rd->on_finished =
		event_new(base, rd->finished.event_fd, EV_READ | EV_PERSIST, finish_jobs, rd);
	if (!rd->on_finished || event_add(rd->on_finished, NULL) < 0 ||
		pthread_create(&rd->thread, NULL, run_jobs, rd) != 0) {
		r = err_set(e, -EAGAIN, "cannot start a reader's thread");
		goto fail;
	}
	rd->has_thread = true;
	*ret = rd;
	return 0;
fail:
	reading_destroy(rd);
	return r;
}

void reading_submit(struct reading *rd, struct read_job *job)
{
	rd->n_waiting++;
	queue_push(&rd->jobs, &job->node);
}

size_t reading_waiting(const struct reading *rd)
{
	return rd->n_waiting;
}

void reading_interrupt(struct reading *rd)
{
	atomic_store(&rd->is_interrupted, true);
	reader_interrupt(rd->reader);
}

void reading_destroy(struct reading *rd)
{
	if (!rd)
		return;
	if (rd->has_thread) {
		atomic_store(&rd->is_ending, true);
		queue_poke(&rd->jobs);
		pthread_join(rd->thread, NULL);
		finish_jobs(-1, 0, rd);
	}
	if (rd->on_finished)
		event_free(rd->on_finished);
	reader_close(rd->reader);
	queue_fini(&rd->jobs);
	queue_fini(&rd->finished);
	free(rd);
}
