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
	{"GET", "/ws/orders/{id}", "Follow one order (WebSocket)", route_watch_order},
	{"GET", "/ws/events", "Follow the journal (WebSocket)", route_watch_events},
	{"GET", "/events", "Follow the journal (server-sent events)", route_stream_events},
	{"GET", "/pipeline", "Stages, policies and live counts", route_pipeline},
	{"GET", "/products", "The catalogue", route_products},
	{"GET", "/state", "Stock and ledgers", route_state},
	{"GET", "/stats", "Counts of orders and events", route_stats},
	{"GET", "/health", "Health for people and monitors", route_health},
	{"GET", "/livez", "Whether the daemon runs", route_livez},
	{"GET", "/readyz", "Whether orders are accepted", route_readyz},
	{"GET", "/", "The client", route_index},
	{"GET", "/static/{file...}", "The client's files", route_static},
	{0},
};
