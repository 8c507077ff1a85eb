/* The application on the net loop: what the routes share, the way of answers back from the sequencer, and the
 * end. */
#include "net/app.h"

#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "version.h"

static void on_answers(evutil_socket_t fd, short events, void *arg)
{
	struct app *app = arg;
	struct queue_node *n = queue_take(&app->answers, 0);

	(void)fd, (void)events;
	while (n) {
		struct command *c = (struct command *)n;

		n = n->next;
		app->n_unanswered--;
		c->on_answer(c);
	}
}

void app_on_answers(void *arg, struct command *first)
{
	struct app *app = arg;

	queue_push_all(&app->answers, &first->node);
}

void app_on_commit(void *arg, struct feed_batch *batch)
{
	struct app *app = arg;

	live_feed(app->live, batch);
}

static void on_done(void *arg, const struct http_route *route, int status, int64_t duration_us)
{
	struct app *app = arg;

	access_count(&app->access, route, status, duration_us);
}

/* The client does without it, and says so. */
static void add_libraries(struct files *files)
{
	struct err e = {0};

	if (files_add(files, "lib/chart.js", STAGELINE_CHART_JS, &e) < 0)
		log_info("no charts in the client: %s", err_text(&e));
}

int app_create(
	struct event_base *base, const struct app_options *options, struct app **ret, struct err *e)
{
	struct app *app = calloc(1, sizeof *app);
	int r;

	if (!app)
		return err_set(e, -ENOMEM, "no memory to start");
	app->base = base;
	app->limits = options->limits;
	app->started_us = clock_wall_us();
	r = queue_init(&app->answers, true);
	if (r < 0) {
		free(app);
		return err_set(e, r, "cannot make a queue: %s", strerror(-r));
	}
	app->on_answers =
		event_new(base, app->answers.event_fd, EV_READ | EV_PERSIST, on_answers, app);
	if (!app->on_answers || event_add(app->on_answers, NULL) < 0)
		r = err_set(e, -ENOMEM, "no memory to start");
	if (r == 0)
		r = live_create(app, &app->live, e);
	if (r == 0)
		r = files_load(options->www, &app->files, e);
	if (r == 0)
		add_libraries(app->files);
	if (r == 0)
		r = http_create(base, app_routes, app, &options->limits.http, &app->http, e);
	app->journal_path = str_dup(str_of(options->journal_path));
	if (r == 0 && (!app->journal_path || access_init(&app->access, app_routes) < 0))
		r = err_set(e, -ENOMEM, "no memory to start");
	if (r < 0) {
		app_free(app);
		return r;
	}
	app->is_read_only = options->read_only != NULL;
	http_set_read_only(app->http, options->read_only);
	http_on_done(app->http, on_done);
	*ret = app;
	return 0;
}

int app_start(
	struct app *app, struct engine *engine, const struct app_options *options, struct err *e)
{
	int r;

	app->engine = engine;
	app->set = options->set;
	r = reading_create(app->base, options->journal_path, options->set, &app->reading, e);
	if (r == 0)
		r = live_start(app->live, options->journal_path, options->set, e);
	return r == 0 ? samples_start(app, &app->samples, e) : r;
}

int app_read_past(struct app *app, struct err *e)
{
	return reading_create(app->base, app->journal_path, app->set, &app->past, e);
}

void app_submit(struct app *app, struct command *c)
{
	app->n_unanswered++;
	c->owner = app;
	if (!app->is_draining) {
		engine_submit(app->engine, c);
		return;
	}
	/* The sequencer may have ended. Answered from the loop, as the others are. */
	c->result = err_set(&c->err, -ESHUTDOWN, "Stageline is stopping");
	queue_push(&app->answers, &c->node);
}

void app_drain(struct app *app)
{
	app->is_draining = true;
	bulk_close(app);
	if (app->past)
		reading_interrupt(app->past);
	live_close_all(app->live);
	samples_close(app->samples);
	http_drain(app->http);
}

void app_free(struct app *app)
{
	if (!app)
		return;
	if (app->on_answers) {
		on_answers(-1, 0, app);
		event_free(app->on_answers);
	}
	bulk_free_all(app);
	reading_destroy(app->past);
	reading_destroy(app->reading);
	live_stop(app->live);
	http_destroy(app->http);
	live_free(app->live);
	samples_free(app->samples);
	files_free(app->files);
	queue_fini(&app->answers);
	access_fini(&app->access);
	free(app->journal_path);
	free(app->last_reload.errors);
	free(app);
}

int64_t app_watchers(const struct app *app)
{
	return live_watchers(app->live) + samples_watchers(app->samples);
}

int64_t app_journal_bytes(const struct app *app, const char *suffix)
{
	_cleanup_(buf_fini) struct buf name = {0};
	struct stat st;

	buf_fmt(&name, "%s%s", app->journal_path, suffix);
	return name.failed || stat(name.data, &st) < 0 ? 0 : st.st_size;
}

bool app_read(struct app *app, struct reading *reading, struct http_request *req,
	struct read_job *job, int *result)
{
	if (reading_waiting(reading) >= (size_t)app->limits.reads) {
		http_problem(req, 503, "too many requests wait for the journal to be read");
		return false;
	}
	if (result) {
		*result = -ECANCELED;
		job->is_unwanted = http_unwanted(req);
	}
	reading_submit(reading, job);
	return true;
}

void app_cannot_read(struct http_request *req, const char *what, const struct err *e)
{
	if (!atomic_load(http_unwanted(req)))
		log_error("%s: %s", what, err_text(e));
	http_problem(req, 503, "%s: %s", what, err_text(e));
}

bool app_query_int(struct http_request *req, const char *name, int64_t min, int64_t max,
	int64_t fallback, int64_t *ret)
{
	struct str text = http_query(req, name);
	char digits[24], *end;

	*ret = fallback;
	if (!text.p)
		return true;
	if (text.n && text.n < sizeof digits && text.p[0] >= '0' && text.p[0] <= '9') {
		memcpy(digits, text.p, text.n);
		digits[text.n] = '\0';
		errno = 0;
		*ret = strtoll(digits, &end, 10);
		if (!errno && !*end && *ret >= min && *ret <= max)
			return true;
	}
	http_problem(req, 400, "'%s' must be a whole number from %lld to %lld", name,
		(long long)min, (long long)max);
	return false;
}
