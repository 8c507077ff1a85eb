/* The pieces that an order costs, each in a function named piece_… that callgrind counts by itself: the model,
 * events as text, the journal, an order as read, as shown, and as sent to a watcher. Clock, ids and random bytes
 * are fixed, so that two runs count the same.
 *
 *   pieces PIPELINE [NAME]    NAME: the piece that is done twice, to see that somebody notices */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "journal/journal.h"
#include "model/apply.h"
#include "model/decide.h"
#include "net/http.h"
#include "net/shape.h"
#include "net/ws.h"

enum { TIMES = 64, EVENTS_MAX = 16 };

#define PIECE __attribute__((noinline, noclone)) static void

/* Everything that happens to one order. */
struct life {
	struct arena arena;
	struct order *order;
	struct event *events[EVENTS_MAX];
	size_t n;
	struct buf payloads[EVENTS_MAX];
};

struct pieces {
	struct pipeline_set set;
	const struct pipeline *pipeline;
	struct order_facts *facts; /* of every order */
	struct life lives[TIMES];  /* the next seq of each follows the last of the one before */
	struct journal *journal;
	struct event_base *base;
	struct http_server *http;
	struct ws *ws;
	struct buf out;
};

static const char body[] =
	"{\"customer_email\": \"ann@example.com\", \"total_amount\": 1059.97, \"items\": ["
	"{\"product_id\": \"PROD-001\", \"name\": \"Laptop\", \"quantity\": 1, \"price\": 999.99},"
	"{\"product_id\": \"PROD-002\", \"name\": \"Mouse\", \"quantity\": 2, \"price\": 29.99}]}";

static void need(bool is_well, const char *what)
{
	if (is_well)
		return;
	fprintf(stderr, "pieces: %s\n", what);
	exit(1);
}

/* --- a world that is always the same --- */

static int64_t now_us = INT64_C(1700000000000000);

static int64_t fixed_clock(void)
{
	return now_us;
}

/* splitmix64. */
static void fixed_random(void *out, size_t n)
{
	static uint64_t state = 1;

	for (size_t i = 0; i < n; i++) {
		uint64_t x = state += 0x9e3779b97f4a7c15;

		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
		((unsigned char *)out)[i] = (unsigned char)(x >> 56);
	}
}

static int no_number(void *arg, struct str key, int64_t *ret)
{
	(void)arg, (void)key;
	*ret = 1000000;
	return 0;
}

static struct decide_env env_now(void)
{
	now_us += 100;
	return (struct decide_env){.now_us = now_us, .random = 1, .state_number = no_number};
}

/* --- an order's life, as the shipped stages answer --- */

static const struct {
	const char *message, *result;
	struct effect effects[2];
	size_t n_effects;
} answers[] = {
	{"Order validated", "{\"items\":2,\"total\":1059.97}", {{0}}, 0},
	{"Payment captured", "{\"transaction_id\":\"TXN-0123456789ABCDEF\",\"amount\":1059.97}",
		{{.kind = EFFECT_ADD,
			.key = {"payments/captured", 17},
			.delta = 105997,
			.floor = EFFECT_NO_FLOOR}},
		1},
	{"Inventory reserved", "{\"reserved\":{\"PROD-001\":1,\"PROD-002\":2}}",
		{{.kind = EFFECT_ADD, .key = {"stock/PROD-001", 14}, .delta = -1, .floor = 0},
			{.kind = EFFECT_ADD,
				.key = {"stock/PROD-002", 14},
				.delta = -2,
				.floor = 0}},
		2},
	{"Shipment created", "{\"tracking_number\":\"TRK-0123456789ABCDEF\"}", {{0}}, 0},
};

static void life_take(struct life *l, struct event_list *list, int64_t first_seq)
{
	for (struct event *ev = list->first; ev; ev = ev->next) {
		need(l->n < EVENTS_MAX, "more events than an order has");
		ev->seq = first_seq + (int64_t)l->n;
		ev->order_seq = first_seq;
		l->events[l->n++] = ev;
		need(apply(l->order, ev) == 0, "an event does not fit");
	}
}

static void life_advance(struct life *l, struct event_list *list, int64_t first_seq)
{
	int r;

	do {
		struct decide_env env = env_now();

		life_take(l, list, first_seq);
		event_list_init(list, &l->arena);
		r = decide_settle(&env, l->order, list);
		need(r >= 0, "settle");
	} while (r > 0);
}

static void life_answer(struct life *l, size_t stage, int64_t first_seq)
{
	struct decide_env env = env_now();
	struct task t = {.pipeline = l->order->pipeline,
		.stage = stage,
		.order_id = l->order->id,
		.order_seq = first_seq,
		.attempt = l->order->stages[stage].attempt,
		.verdict = VERDICT_DONE,
		.message = (char *)answers[stage].message,
		.result = (char *)answers[stage].result,
		.delay_ms = -1,
		.duration_us = 3000,
		.effects = (struct effect *)answers[stage].effects,
		.n_effects = answers[stage].n_effects};
	struct event_list list;

	event_list_init(&list, &l->arena);
	need(decide_verdict(&env, l->order, &t, &list) == 0, "a verdict does not fit");
	life_advance(l, &list, first_seq);
}

static void life_run(struct life *l, const struct pipeline *p, const struct order_facts *facts,
	int64_t first_seq)
{
	struct decide_env env = env_now();
	struct event_list list;
	struct id id;

	id_create(&id, env.now_us);
	l->order = order_new(p);
	need(l->order, "no memory");
	event_list_init(&list, &l->arena);
	need(decide_create(&env, &id, p, STR(body), (struct str){0}, &list) == 0, "create");
	list.first->facts = facts;
	life_advance(l, &list, first_seq);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		life_answer(l, i, first_seq);
	need(order_is_terminal(l->order), "the order is not completed");
}

static void life_end(struct life *l)
{
	for (size_t i = 0; i < l->n; i++)
		buf_fini(&l->payloads[i]);
	order_free(l->order);
	arena_fini(&l->arena);
	*l = (struct life){0};
}

/* --- the pieces: each TIMES of what its name says --- */

PIECE piece_order_life(struct pieces *p)
{
	int64_t seq = journal_last_seq(p->journal) + 1;

	for (size_t i = 0; i < TIMES; i++) {
		life_run(&p->lives[i], p->pipeline, p->facts, seq);
		seq += (int64_t)p->lives[i].n;
	}
}

PIECE piece_events_encode(struct pieces *p)
{
	for (size_t i = 0; i < TIMES; i++)
		for (size_t k = 0; k < p->lives[i].n; k++)
			event_encode(p->lives[i].events[k], &p->lives[i].payloads[k]);
}

PIECE piece_events_decode(struct pieces *p)
{
	for (size_t i = 0; i < TIMES; i++) {
		struct arena arena = {0};

		for (size_t k = 0; k < p->lives[i].n; k++) {
			struct event ev = {.kind = p->lives[i].events[k]->kind};

			need(event_decode(buf_view(&p->lives[i].payloads[k]), &ev, &arena) == 0,
				"decode");
		}
		arena_fini(&arena);
	}
}

/* One batch: what TIMES orders write from first to last. */
PIECE piece_journal_batch(struct pieces *p)
{
	struct err e = {0};
	int r = journal_begin(p->journal, &e);

	for (size_t i = 0; i < TIMES && r == 0; i++)
		for (size_t k = 0; k < p->lives[i].n && r == 0; k++)
			r = journal_append(p->journal, p->lives[i].events[k], &e);
	for (size_t i = 0; i < TIMES && r == 0; i++)
		r = journal_put_order(p->journal, p->lives[i].order, &e);
	if (r == 0)
		r = journal_commit(p->journal, &e);
	need(r == 0, err_text(&e));
}

PIECE piece_order_read(struct pieces *p)
{
	for (size_t i = 0; i < TIMES; i++) {
		struct order_facts *facts = NULL;
		struct buf errors = {0};

		buf_clear(&p->out);
		need(shape_order(STR(body), JSON_DEPTH_MAX, &p->out, &facts, &errors, NULL) == 0,
			"shape");
		buf_fini(&errors);
		free(facts);
	}
}

PIECE piece_order_json(struct pieces *p)
{
	for (size_t i = 0; i < TIMES; i++) {
		buf_clear(&p->out);
		order_json(p->lives[i].order, &(struct json_writer){&p->out, false});
	}
}

/* Every event of an order as text, in a WebSocket frame of its own. */
PIECE piece_event_frames(struct pieces *p)
{
	for (size_t i = 0; i < TIMES; i++)
		for (size_t k = 0; k < p->lives[i].n; k++) {
			buf_clear(&p->out);
			event_json(p->lives[i].events[k], &(struct json_writer){&p->out, false});
			need(ws_send(p->ws, buf_view(&p->out)), "the watcher is gone");
		}
}

/* --- around them --- */

static void put_stock(struct pieces *p)
{
	struct effect stock[] = {
		{.kind = EFFECT_ADD, .key = STR("stock/PROD-001"), .delta = 1000000, .floor = 0},
		{.kind = EFFECT_ADD, .key = STR("stock/PROD-002"), .delta = 1000000, .floor = 0}};
	struct event ev = {.kind = EVENT_STATE_ADJUSTED,
		.type = STR("state_adjusted"),
		.time_us = now_us,
		.duration_ms = -1,
		.effects = stock,
		.n_effects = ARRAY_LEN(stock)};
	struct err e = {0};
	int r = journal_begin(p->journal, &e);

	if (r == 0)
		r = journal_append(p->journal, &ev, &e);
	if (r == 0)
		r = journal_commit(p->journal, &e);
	need(r == 0, err_text(&e));
}

/* The events get other seqs when they are appended: they are those they have. */
static void renew_lives(struct pieces *p)
{
	int64_t seq = journal_last_seq(p->journal) + 1;

	for (size_t i = 0; i < TIMES; i++) {
		life_end(&p->lives[i]);
		life_run(&p->lives[i], p->pipeline, p->facts, seq);
		seq += (int64_t)p->lives[i].n;
	}
}

static void on_gone(void *arg)
{
	((struct pieces *)arg)->ws = NULL;
}

static void on_watch(void *arg, struct http_request *req)
{
	struct pieces *p = arg;

	p->ws = ws_accept(req, on_gone, p);
}

static void read_facts(struct pieces *p)
{
	_cleanup_(json_freep) cJSON *json = NULL;

	need(json_parse(STR(body), JSON_DEPTH_MAX, &json, NULL) == 0 &&
			order_facts_of(json, &p->facts) == 0,
		"no facts");
}

static int open_watcher(struct pieces *p)
{
	static const struct http_route routes[] = {{"GET", "/ws", "", on_watch}, {0}};
	static const struct http_limits limits = {.body_bytes = 65536,
		.header_bytes = 8192,
		.connections = 10,
		.idle_ms = 60000,
		.backlog_bytes = 64 << 20};
	static const char upgrade[] =
		"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err e = {0};
	uint16_t port;

	p->base = event_base_new();
	need(http_create(p->base, routes, p, &limits, &p->http, &e) == 0, err_text(&e));
	need(http_listen(p->http, "127.0.0.1", 0, &port, &e) == 0, err_text(&e));
	to.sin_port = htons(port);
	need(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
	need(write(fd, upgrade, sizeof upgrade - 1) == sizeof upgrade - 1, "write");
	while (!p->ws)
		event_base_loop(p->base, EVLOOP_ONCE);
	return fd;
}

static struct pipeline *read_pipeline(const char *path)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct pipeline *p = NULL;
	static char text[65536];
	FILE *f = fopen(path, "re");

	need(f, path);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	fclose(f);
	need(pipeline_parse(str_of(text), &p, &faults) == 0, "the pipeline file is wrong");
	return p;
}

static void remove_files(const char *dir, const char *path)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char name[80];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof name, "%s%s", path, ends[i]);
		unlink(name);
	}
	rmdir(dir);
}

static const struct {
	const char *name;
	void (*run)(struct pieces *p);
	void (*prepare)(struct pieces *p); /* before each time; may be NULL */
} table[] = {
	{"order_life", piece_order_life, NULL},
	{"events_encode", piece_events_encode, NULL},
	{"events_decode", piece_events_decode, NULL},
	{"journal_batch", piece_journal_batch, renew_lives},
	{"order_read", piece_order_read, NULL},
	{"order_json", piece_order_json, NULL},
	{"event_frames", piece_event_frames, NULL},
};

static void run_all(struct pieces *p, const char *twice)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		for (int n = twice && strcmp(twice, table[i].name) == 0 ? 2 : 1; n; n--) {
			if (table[i].prepare)
				table[i].prepare(p);
			table[i].run(p);
		}
}

int main(int argc, char **argv)
{
	static const struct clock_source clocks = {fixed_clock, fixed_clock};
	char dir[] = "/tmp/stageline-pieces-XXXXXX", path[64];
	static struct pieces p;
	struct err e = {0};
	int fd;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: pieces PIPELINE [NAME]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	clock_set_source(&clocks);
	id_set_random(fixed_random);
	need(mkdtemp(dir), "no folder");
	snprintf(path, sizeof path, "%s/journal.sqlite", dir);
	need(journal_open(path, &p.journal, &e) == 0, err_text(&e));
	put_stock(&p);
	p.pipeline = pipeline_set_add(&p.set, read_pipeline(argv[1]));
	read_facts(&p);
	fd = open_watcher(&p);
	run_all(&p, argc > 2 ? argv[2] : NULL);
	close(fd);
	journal_close(p.journal);
	remove_files(dir, path);
	for (size_t i = 0; i < TIMES; i++)
		life_end(&p.lives[i]);
	http_destroy(p.http);
	event_base_free(p.base);
	pipeline_set_fini(&p.set);
	buf_fini(&p.out);
	free(p.facts);
	return 0;
}
