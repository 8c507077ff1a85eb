/* A stage's process: makes the one instance, goes into the sandbox, and works on one task after the other.
 *
 * It believes the daemon, and nobody else. Whatever goes wrong ends it: the daemon starts another. */
#include "stage/child.h"

#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stage/child_tickets.h"
#include "stage/claim.h"
#include "stage/crash.h"
#include "stage/confine.h"
#include "stage/sandbox.h"
#include "stage/stage.h"
#include "stage/wire.h"

enum { READ_BYTES = 64 * 1024, ROOM_BYTES = 1 << 20, LOOK_EVERY = 64, WAKE_SPARE_MS = 20 };

struct child {
	struct buf in, out;
	size_t in_at; /* taken from `in` */
	struct claim *claim;
	struct pipeline *pipeline;
	struct instance *instance;
	struct stage_spec *spec;
	bool has_timer, is_limited;
	timer_t timer; /* of processor time */
	uint64_t n_calls;
	struct child_tickets tickets;
};

/* --- the socket --- */

/* The process has one socket, and any thread of a plugin may log or wake. */
static pthread_mutex_t socket_lock = PTHREAD_MUTEX_INITIALIZER;

static bool send_all(const char *p, size_t n)
{
	while (n) {
		ssize_t m = write(CHILD_FD, p, n);

		if (m < 0 && errno != EINTR)
			return false;
		if (m > 0) {
			p += m;
			n -= (size_t)m;
		}
	}
	return true;
}

/* Sends what is in `out`. Without the daemon there is nothing left to do. */
static void send_out(struct buf *out)
{
	bool is_sent;

	pthread_mutex_lock(&socket_lock);
	is_sent = !out->failed && send_all(out->data, out->len);
	pthread_mutex_unlock(&socket_lock);
	if (!is_sent)
		_exit(EXIT_FAILURE);
	buf_clear(out);
}

/* Whoever speaks while a call goes on: other threads of a plugin, too. */
static void on_log(enum log_level level, const char *text)
{
	_cleanup_(buf_fini) struct buf out = {0};

	wire_put_log(&out, level, text);
	send_out(&out);
}

/* The plugin wakes a task: the daemon is told once, and knows the tasks of this process only. */
static int on_wake(void *arg, uint64_t ticket)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct child *c = arg;
	int r = child_tickets_wake(&c->tickets, ticket, clock_mono_ms());

	if (r > 0) {
		wire_put_wake(&out, ticket);
		send_out(&out);
	}
	return r < 0 ? r : 0;
}

/* Waits for one frame. False: the daemon has closed its end. */
static bool next_frame(struct child *c, struct wire_frame *ret)
{
	for (;;) {
		struct str rest = {c->in.data + c->in_at, c->in.len - c->in_at};
		int r = c->in.len ? wire_take(&rest, WIRE_TASK_MAX, ret) : 0;
		char *room;
		ssize_t n;

		if (r < 0)
			_exit(EXIT_FAILURE);
		if (r > 0) {
			c->in_at = c->in.len - rest.n;
			return true;
		}
		if (rest.n && c->in_at)
			memmove(c->in.data, rest.p, rest.n);
		c->in.len = rest.n;
		c->in_at = 0;
		room = buf_reserve(&c->in, READ_BYTES);
		n = room ? read(CHILD_FD, room, READ_BYTES) : -1;
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		c->in.len += n > 0 ? (size_t)n : 0;
	}
}

/* --- starting --- */

static int leave(struct child *c, const struct err *e)
{
	wire_put_text(&c->out, WIRE_LEAVE, err_text(e));
	send_out(&c->out);
	_exit(EXIT_FAILURE);
}

struct modules {
	struct wire_module list[WIRE_MODULES_MAX];
	size_t n;
	char own[4096];	    /* the binary has no name there */
	const char *plugin; /* the plugin is called by its descriptor there */
};

static const char *path_of(const struct modules *m, const char *name)
{
	if (!*name)
		return m->own;
	return m->plugin && str_starts(str_of(name), STR("/proc/")) ? m->plugin : name;
}

static int on_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct modules *m = arg;
	struct wire_module *module = &m->list[m->n];
	uint64_t start = UINT64_MAX, end = 0;

	(void)size;
	if (m->n == WIRE_MODULES_MAX)
		return 1;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t at = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD)
			continue;
		start = at < start ? at : start;
		end = at + p->p_memsz > end ? at + p->p_memsz : end;
	}
	*module = (struct wire_module){.bias = info->dlpi_addr,
		.start = start,
		.end = end,
		.path = path_of(m, info->dlpi_name)};
	m->n++;
	return 0;
}

static void say_modules(struct child *c, const char *plugin)
{
	static struct modules modules;

	modules.plugin = plugin;

	modules.n = 0;
	dl_iterate_phdr(on_module, &modules);
	wire_put_modules(&c->out, modules.list, modules.n);
	send_out(&c->out);
}

static int load(
	struct child *c, const struct wire_start *s, const struct plugin **ret, struct err *e)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	int r = pipeline_parse(s->pipeline, &c->pipeline, &faults);

	if (r < 0)
		return err_set(e, r, "its pipeline cannot be read");
	if (s->stage >= c->pipeline->n_stages)
		return err_set(e, -EINVAL, "its pipeline has no stage %u", s->stage);
	c->spec = &c->pipeline->stages[s->stage];
	if (s->is_confined)
		stage_confine(c->spec);
	r = plugin_load_fd(CHILD_PLUGIN_FD, s->path, s->name, ret, e);
	if (r == 0)
		close(CHILD_PLUGIN_FD); /* it is mapped */
	return r;
}

static void make_timer(struct child *c)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU};

	c->has_timer = !c->spec->sandbox.is_off && c->spec->sandbox.cpu_ms > 0 &&
		       timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &c->timer) == 0;
}

/* A stage that the daemon runs in threads is only rehearsed here, as it would be there. */
static int start(struct child *c, const struct wire_start *s, struct buf *lacks, struct err *e)
{
	const struct plugin *plugin;
	bool is_boxed;
	int r = load(c, s, &plugin, e);

	if (r < 0)
		return r;
	is_boxed = c->spec->isolation == ISOLATION_PROCESS && !c->spec->sandbox.is_off;
	say_modules(c, s->path); /* create() may crash */
	c->is_limited = is_boxed && !s->is_sanitized;
	if (is_boxed)
		r = sandbox_enter(&c->spec->sandbox, s->is_sanitized, lacks, e);
	if (r < 0)
		return r;
	r = instance_create(c->pipeline, s->stage, plugin, &c->instance, e);
	if (r == 0)
		instance_set_waker(c->instance, on_wake, c);
	return r;
}

/* --- working --- */

static void set_timer(struct child *c, int64_t ms)
{
	struct itimerspec at = {
		.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = ms % 1000 * 1000000}};

	if (c->has_timer)
		timer_settime(c->timer, 0, &at, NULL);
}

/* What a plugin leaks shall not become an order's trouble: the process makes room for a new one in time. */
static void leave_when_worn(struct child *c, enum verdict verdict)
{
	unsigned long long used, most = (unsigned long long)c->spec->sandbox.memory;
	struct err e = {0};

	if (!c->is_limited || (verdict != VERDICT_RETRY && c->n_calls % LOOK_EVERY))
		return;
	used = crash_memory();
	if (used <= most / 4 * 3)
		return;
	err_set(&e, -ENOMEM, "its memory has grown to %llu of %llu MiB", used >> 20, most >> 20);
	leave(c, &e);
}

static int64_t began_us(const struct task *t)
{
	return t->started_us ? t->started_us : clock_mono_us();
}

/* How long after its beginning an attempt may be woken. The daemon ends it a little later, so that what the plugin was
 * told is true: a call follows. */
static int64_t wake_time_ms(const struct child *c)
{
	int64_t timeout_ms = c->spec->timeout_ms, spare_ms = timeout_ms / 10;

	if (timeout_ms <= 0)
		return INT64_MAX / 2;
	return timeout_ms - (spare_ms < WAKE_SPARE_MS ? spare_ms : WAKE_SPARE_MS);
}

static void work(struct child *c, struct str body)
{
	struct task *t = NULL;
	uint64_t number;
	enum verdict verdict;

	if (wire_get_task(body, &number, &t) < 0)
		_exit(EXIT_FAILURE);
	if (!claim_begin(c->claim))
		_exit(EXIT_SUCCESS); /* somebody else does it */
	t->pipeline = c->pipeline;
	t->stage = (size_t)(c->spec - c->pipeline->stages);
	if (child_tickets_begin(&c->tickets, t->ticket, began_us(t) / 1000 + wake_time_ms(c)) < 0)
		t->ticket = 0;
	crash_set_in_call(true);
	set_timer(c, c->spec->sandbox.cpu_ms);
	(c->spec->is_confined ? confined_run : instance_run)(c->instance, t);
	set_timer(c, 0);
	crash_set_in_call(false);
	verdict = t->verdict;
	if (verdict != VERDICT_LATER)
		child_tickets_end(&c->tickets, t->ticket);
	wire_put_answer(&c->out, number, t);
	task_free(t);
	send_out(&c->out);
	c->n_calls++;
	leave_when_worn(c, verdict);
}

static void map_claim(struct child *c)
{
	void *page = mmap(NULL, CLAIM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, CHILD_CLAIM_FD, 0);

	if (page == MAP_FAILED)
		_exit(EXIT_FAILURE);
	close(CHILD_CLAIM_FD);
	c->claim = page;
}

int child_run(void)
{
	_cleanup_(buf_fini) struct buf lacks = {0};
	struct child c = {.tickets = {.lock = PTHREAD_MUTEX_INITIALIZER}};
	struct wire_start s;
	struct wire_frame frame;
	struct err e = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (!next_frame(&c, &frame) || frame.type != WIRE_START ||
		wire_get_start(frame.body, &s) < 0 || getppid() != (pid_t)s.parent)
		return EXIT_FAILURE;
	map_claim(&c);
	log_set_level((enum log_level)s.log_level);
	log_set_sink(on_log);
	crash_catch(CHILD_FD, !s.is_sanitized);
	if (start(&c, &s, &lacks, &e) < 0)
		return leave(&c, &e);
	make_timer(&c);
	say_modules(&c, s.path);
	wire_put_text(&c.out, WIRE_READY, buf_view(&lacks).p);
	send_out(&c.out);
	while (next_frame(&c, &frame)) {
		if (frame.type != WIRE_TASK)
			_exit(EXIT_FAILURE);
		work(&c, frame.body);
	}
	instance_destroy(c.instance);
	_exit(EXIT_SUCCESS);
}
