/* The route table: every path that Stageline answers, in one place. */
#include "net/app.h"

static void route_index(void *arg, struct http_request *req)
{
	struct app *app = arg;

	files_reply(app->files, req, STR("index.html"));
}

static void route_static(void *arg, struct http_request *req)
{
	struct app *app = arg;

	files_reply(app->files, req, http_param(req, "file"));
}

const struct http_route app_routes[] = {
	{"POST", "/orders", "Place an order", route_place_order},
	{"GET", "/orders", "List and search orders, newest first", route_list_orders},
	{"GET", "/orders/{id}", "One order with its events", route_get_order},
	{"POST", "/orders/{id}/cancel", "Cancel an order", route_cancel_order},
	{"POST", "/orders/{id}/erase", "Erase what an order says", route_erase_order},
	{"POST", "/orders/{id}/signals/{stage}", "Answer a stage that waits", route_signal_order},
	{"GET", "/dead-letters", "Orders on hold, or their causes", route_dead_letters},
	{"POST", "/dead-letters/retry", "Retry what is on hold", route_retry_dead_letters},
	{"POST", "/dead-letters/skip", "Skip the stages that hold", route_skip_dead_letters},
	{"POST", "/dead-letters/discard", "Give orders up and undo them",
		route_discard_dead_letters},
	{"GET", "/dead-letters/jobs/{job}", "How far a bulk job is", route_bulk_job},
	{"POST", "/dead-letters/{id}/edit", "Correct an order and retry it",
		route_edit_dead_letter},
	{"GET", "/ws/orders/{id}", "Follow one order (WebSocket)", route_watch_order},
	{"GET", "/ws/events", "Follow the journal (WebSocket)", route_watch_events},
	{"GET", "/events", "Follow the journal (server-sent events)", route_stream_events},
	{"GET", "/pipeline", "Stages, policies and live counts", route_pipeline},
	{"GET", "/pipeline/history", "The last five minutes, second by second",
		route_pipeline_history},
	{"GET", "/pipeline/samples", "Follow the pipeline, a sample a second (server-sent events)",
		route_stream_pipeline},
	{"GET", "/ws/pipeline", "Follow the pipeline, a sample a second (WebSocket)",
		route_watch_pipeline},
	{"POST", "/pipeline/reload", "Load the pipeline file anew", route_reload},
	{"GET", "/pipeline/generations", "Generations that unfinished orders are on",
		route_generations},
	{"POST", "/pipeline/migrate", "Move orders to the current generation", route_migrate},
	{"POST", "/pipeline/stages/{name}/pause", "Pause a stage", route_pause_stage},
	{"POST", "/pipeline/stages/{name}/resume", "Resume a stage", route_resume_stage},
	{"GET", "/pipeline/stages/{name}/errors", "What went wrong at a stage last",
		route_stage_errors},
	{"GET", "/products", "The catalogue", route_products},
	{"GET", "/state", "Stock and ledgers", route_state},
	{"GET", "/state/history", "What changed a value of the state", route_state_history},
	{"POST", "/state/adjust", "Change a value of the state", route_adjust_state},
	{"GET", "/stats", "Counts of orders and events", route_stats},
	{"GET", "/system", "The daemon itself: journal, memory, chain head", route_system},
	{"GET", "/metrics", "Figures for Prometheus", route_metrics},
	{"GET", "/health", "Health for people and monitors", route_health},
	{"GET", "/livez", "Whether the daemon runs", route_livez},
	{"GET", "/readyz", "Whether orders are accepted", route_readyz},
	{"GET", "/", "The client", route_index},
	{"GET", "/static/{file...}", "The client's files", route_static},
	{0},
};
