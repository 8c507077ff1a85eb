/* The application on the net loop: routes, what they share, and the way from HTTP to the engine and back. */
#pragma once

#include "engine/engine.h"
#include "net/access.h"
#include "net/files.h"
#include "net/http.h"
#include "net/reading.h"

struct app_limits {
	struct http_limits http;
	int64_t unanswered;  /* commands that wait for their commit: 503 above */
	int64_t reads;	     /* requests that wait for the journal to be read: 503 above */
	int64_t open_orders; /* that have neither ended nor are on hold: 503 above */
	int64_t json_depth;
	int64_t bulk; /* dead letters that one filter takes */
};

struct live_room;
struct samples;
struct bulk;

/* How the pipeline file was loaded last. */
struct reload_report {
	int64_t at_us; /* wall time; 0: not since the start */
	bool is_ok, is_unchanged;
	char generation[PIPELINE_DIGEST_SIZE]; /* that was current then */
	char *errors;			       /* JSON array; NULL: none */
};

struct app {
	struct event_base *base;
	struct engine *engine;
	struct http_server *http;
	struct files *files;
	struct reading *reading; /* orders, lists, state */
	struct reading *past;	 /* the state as it was; NULL: nobody has asked yet */
	int64_t n_past;		 /* jobs that wait there */
	char *journal_path;
	struct pipeline_set *set; /* borrowed */
	struct live_room *live;
	struct samples *samples; /* NULL: not started yet */
	struct app_limits limits;
	struct queue answers; /* commands that came back */
	struct event *on_answers;
	int64_t n_unanswered;
	struct bulk *bulks; /* jobs on many dead letters, newest first */
	int64_t n_bulks;    /* since start */
	struct reload_report last_reload;
	struct access access;
	int64_t started_us; /* wall time */
	bool is_draining, is_read_only;
};

struct app_options {
	const char *journal_path, *www;
	const char *read_only; /* why nothing can be changed; NULL: it can; borrowed */
	struct app_limits limits;
	struct pipeline_set *set;
};

/* What the engine calls back with; `arg` is the app. [sequencer] */
void app_on_answers(void *arg, struct command *first);
void app_on_commit(void *arg, struct feed_batch *batch);

/* In two steps, because the engine needs the app and the app the engine: create, then start. */
int app_create(struct event_base *base, const struct app_options *options, struct app **ret,
	struct err *e);
int app_start(
	struct app *app, struct engine *engine, const struct app_options *options, struct err *e);
/* Sends a command to the engine; its on_answer is called on the net loop, later. While the app is draining the
 * answer is -ESHUTDOWN. */
void app_submit(struct app *app, struct command *c);
/* Has the pipeline file loaded anew; the log and GET /pipeline tell how it went. */
void app_reload(struct app *app);
/* Makes `app->past`. */
int app_read_past(struct app *app, struct err *e);
/* Nothing new is accepted; watchers are told to come back. */
void app_drain(struct app *app);
void app_free(struct app *app);

/* --- the routes, by file --- */
extern const struct http_route app_routes[];

/* orders.c */
void route_place_order(void *app, struct http_request *req);
void route_get_order(void *app, struct http_request *req);
void route_list_orders(void *app, struct http_request *req);
/* Answers with the order and its events, as GET does. */
void orders_answer_read(struct app *app, struct http_request *req, const struct id *id);

/* people.c */
void route_cancel_order(void *app, struct http_request *req);
void route_erase_order(void *app, struct http_request *req);
void route_signal_order(void *app, struct http_request *req);
void route_pause_stage(void *app, struct http_request *req);
void route_resume_stage(void *app, struct http_request *req);
void route_adjust_state(void *app, struct http_request *req);

/* dead_letters.c, bulk.c */
void route_dead_letters(void *app, struct http_request *req);
void route_edit_dead_letter(void *app, struct http_request *req);
void route_retry_dead_letters(void *app, struct http_request *req);
void route_skip_dead_letters(void *app, struct http_request *req);
void route_discard_dead_letters(void *app, struct http_request *req);
void route_bulk_job(void *app, struct http_request *req);
/* Bulk jobs end where they are. */
void bulk_close(struct app *app);
void bulk_free_all(struct app *app);

/* operations.c */
void route_products(void *app, struct http_request *req);
void route_stats(void *app, struct http_request *req);
void route_health(void *app, struct http_request *req);
void route_livez(void *app, struct http_request *req);
void route_readyz(void *app, struct http_request *req);
void route_pipeline(void *app, struct http_request *req);

/* state.c */
void route_state(void *app, struct http_request *req);
/* A reader on a thread of its own, for what takes long; the caller counts its jobs in `n_past`. NULL: answered. */
struct reading *state_past(struct app *app, struct http_request *req);

/* lookback.c */
void route_stage_errors(void *app, struct http_request *req);
void route_state_history(void *app, struct http_request *req);

/* api.c */
void route_openapi(void *app, struct http_request *req);
void route_asyncapi(void *app, struct http_request *req);

/* metrics.c */
void route_metrics(void *app, struct http_request *req);

/* system.c */
void route_system(void *app, struct http_request *req);

/* samples.c */
int samples_start(struct app *app, struct samples **ret, struct err *e);
void samples_close(struct samples *s); /* says goodbye to who follows */
void samples_free(struct samples *s);  /* after the HTTP server */
int64_t samples_watchers(const struct samples *s);
int64_t process_resident_bytes(void); /* memory that the daemon has now; 0: not known */
void route_pipeline_history(void *app, struct http_request *req);
void route_watch_pipeline(void *app, struct http_request *req);
void route_stream_pipeline(void *app, struct http_request *req);

/* reload.c */
void route_reload(void *app, struct http_request *req);
void reload_write_report(struct app *app, struct json_writer *w);

/* generations.c */
void route_generations(void *app, struct http_request *req);
void route_migrate(void *app, struct http_request *req);

/* live.c: in two steps like the app; stopped before the HTTP server goes, freed after it */
int live_create(struct app *app, struct live_room **ret, struct err *e);
int live_start(
	struct live_room *room, const char *journal_path, struct pipeline_set *set, struct err *e);
void live_close_all(struct live_room *room); /* says goodbye to every watcher */
void live_stop(struct live_room *room);
void live_free(struct live_room *room);
void live_feed(struct live_room *room, struct feed_batch *batch); /* [sequencer] takes the batch */
int64_t live_watchers(const struct live_room *room);
void route_watch_order(void *app, struct http_request *req);
void route_watch_events(void *app, struct http_request *req);
void route_stream_events(void *app, struct http_request *req);

/* Who follows orders, the journal or the pipeline. */
int64_t app_watchers(const struct app *app);
/* The size of the journal's file; of the one beside it with that suffix, such as "-wal". 0: there is none. */
int64_t app_journal_bytes(const struct app *app, const char *suffix);

/* Submits the job of a request, one of the many that only look. False: too many wait, the request is answered with 503,
 * and the job is the caller's. When the client has gone before its turn comes, `run` is passed over and *result
 * is -ECANCELED; NULL: `run` is never passed over. */
bool app_read(struct app *app, struct reading *reading, struct http_request *req,
	struct read_job *job, int *result);
/* Answers that what was asked for cannot be read, and logs it, unless nobody waits for it. `what`: "orders cannot
 * be listed". */
void app_cannot_read(struct http_request *req, const char *what, const struct err *e);
/* For numbers in queries: absent gives `fallback`. False: answered with 400. */
bool app_query_int(struct http_request *req, const char *name, int64_t min, int64_t max,
	int64_t fallback, int64_t *ret);
