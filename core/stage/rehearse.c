/* Whether the stages of a pipeline can start: each plugin's create() is run once, in a process of its own with the
 * stage's sandbox, all of them at the same time. What a plugin finds wrong only then is a fault of the file, too. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "stage/children.h"
#include "stage/wire.h"

enum { REHEARSAL_MS = 10000 };

struct rehearsal {
	const struct stage_spec *spec;
	const struct plugin *plugin;
	struct process process;
	bool is_there, is_ready;
	char said[POOL_TEXT_MAX]; /* its own words why it cannot start */
	struct module_map modules;
	struct autopsy autopsy;
};

/* --- where and how it is said --- */

/* The option that the words begin with: "url: …", "secret_file '…' …". */
static const struct yaml_node *option_in(const struct yaml_node *config, const char *words)
{
	size_t n = strcspn(words, ": '");
	char name[64];

	if (!config || !n || n >= sizeof name)
		return NULL;
	snprintf(name, sizeof name, "%.*s", (int)n, words);
	return yaml_get(config, name);
}

static const struct yaml_node *place_of(const struct stage_spec *spec, const char *text)
{
	static const char before[] = "could not start: ";
	const struct yaml_node *config = yaml_get(spec->node, "config");
	const char *words = strstr(text, before);
	const struct yaml_node *at = words ? option_in(config, words + sizeof before - 1) : NULL;

	at = at ? at : config;
	at = at ? at : yaml_get(spec->node, "plugin");
	return at ? at : spec->node;
}

static void find_fault(struct rehearsal *r, struct yaml_faults *faults)
{
	char text[POOL_TEXT_MAX];

	if (r->said[0]) {
		yaml_fault(faults, place_of(r->spec, r->said), "%s", r->said);
		return;
	}
	autopsy_text(&r->autopsy, text, sizeof text);
	yaml_fault(faults, place_of(r->spec, ""), "stage '%s': plugin '%s' could not start: %s",
		r->spec->name, r->spec->plugin, text);
}

/* --- its process --- */

static int start(struct rehearsal *r, const struct pipeline *p, struct err *e)
{
	struct wire_start s = child_link_words(p, (size_t)(r->spec - p->stages), r->plugin);
	int result = process_start(&r->process, r->spec->name, r->plugin->fd, e);

	if (result < 0)
		return result;
	r->is_there = true;
	r->autopsy = (struct autopsy){
		.plugin = r->plugin, .sandbox = &r->spec->sandbox, .modules = &r->modules};
	wire_put_start(&r->process.out, &s);
	return 0;
}

static int hear_frame(struct rehearsal *r, const struct wire_frame *f)
{
	struct module_map *m = &r->modules;
	const char *text;
	int result = 0;

	switch (f->type) {
	case WIRE_MODULES:
		buf_clear(&m->body);
		buf_str(&m->body, f->body);
		return m->body.failed ? -ENOMEM
				      : wire_get_modules(buf_view(&m->body), m->list, &m->n);
	case WIRE_READY:
		r->is_ready = true;
		return 0;
	case WIRE_LEAVE:
		result = wire_get_text(f->body, &text);
		if (result == 0)
			snprintf(r->said, sizeof r->said, "%s", text);
		return result;
	case WIRE_CRASH:
		r->autopsy.has_crash = true;
		return wire_get_crash(f->body, &r->autopsy.crash);
	case WIRE_TRACE:
		return wire_get_trace(f->body, r->autopsy.trace, &r->autopsy.n_trace);
	default: /* what it logs is said again when it starts for good */
		return f->type == WIRE_LOG ? 0 : -EPROTO;
	}
}

static void hear(struct rehearsal *r)
{
	struct buf *in = &r->process.in;
	struct wire_frame frame;
	int result = 0;

	while (r->process.fd >= 0) {
		struct str rest;
		ssize_t n = process_receive(&r->process);

		if (n == -EAGAIN)
			return;
		rest = buf_view(in);
		while (n > 0 && (result = wire_take(&rest, WIRE_ANSWER_MAX, &frame)) > 0 &&
			(result = hear_frame(r, &frame)) == 0)
			;
		if (rest.n)
			memmove(in->data, rest.p, rest.n);
		in->len = rest.n;
		if (result < 0)
			r->autopsy.broken = "wrote what is no answer";
		if (n <= 0 || result < 0 || r->is_ready)
			process_hang_up(&r->process);
	}
}

static void end_late(struct rehearsal *r)
{
	if (!r->said[0])
		snprintf(r->said, sizeof r->said,
			"stage '%s': plugin '%s' could not start: not within %d ms", r->spec->name,
			r->spec->plugin, REHEARSAL_MS);
	process_signal(&r->process, SIGKILL);
}

static size_t poll_all(struct rehearsal *all, size_t n, struct pollfd *fds, int64_t until_ms)
{
	int64_t left_ms = until_ms - clock_mono_ms();
	int timeout = until_ms == INT64_MAX ? -1 : left_ms > 0 ? (int)left_ms : 0;
	size_t n_there = 0;

	for (size_t i = 0; i < n; i++) {
		struct process *q = &all[i].process;

		n_there += all[i].is_there;
		fds[2 * i] =
			(struct pollfd){.fd = all[i].is_there ? q->pid_fd : -1, .events = POLLIN};
		fds[2 * i + 1] = (struct pollfd){.fd = all[i].is_there ? q->fd : -1,
			.events = (short)(POLLIN | (q->out.len ? POLLOUT : 0))};
	}
	if (n_there)
		poll(fds, (nfds_t)(2 * n), timeout);
	return n_there;
}

static void look_after(struct rehearsal *r, const struct pollfd fds[2])
{
	uint64_t n_begun;

	if (fds[1].revents & POLLOUT)
		process_send(&r->process);
	if ((fds[0].revents | fds[1].revents) & (POLLIN | POLLHUP | POLLERR))
		hear(r);
	if (fds[0].revents && process_reap(&r->process, &r->autopsy.status, &n_begun))
		r->is_there = false;
}

static void run_all(struct rehearsal *all, size_t n, struct pollfd *fds)
{
	int64_t until_ms = clock_mono_ms() + REHEARSAL_MS;

	while (poll_all(all, n, fds, until_ms)) {
		for (size_t i = 0; i < n; i++)
			if (all[i].is_there)
				look_after(&all[i], &fds[2 * i]);
		if (clock_mono_ms() < until_ms)
			continue;
		until_ms = INT64_MAX;
		for (size_t i = 0; i < n; i++)
			if (all[i].is_there)
				end_late(&all[i]);
	}
}

int stage_rehearse(const struct pipeline *p, const struct plugin_folders *folders,
	struct yaml_faults *faults, struct err *e)
{
	_cleanup_(freep) struct rehearsal *all = calloc(p->n_stages, sizeof *all);
	_cleanup_(freep) struct pollfd *fds = calloc(2 * p->n_stages, sizeof *fds);
	size_t n_before = faults->n;
	int r = all && fds ? 0 : -ENOMEM;

	for (size_t i = 0; i < p->n_stages && r == 0; i++) {
		all[i].spec = &p->stages[i];
		r = plugin_load_stage(folders, all[i].spec, &all[i].plugin, e);
		if (r == 0)
			r = start(&all[i], p, e);
	}
	if (all && fds)
		run_all(all, p->n_stages, fds);
	for (size_t i = 0; all && i < p->n_stages; i++) {
		if (r == 0 && !all[i].is_ready)
			find_fault(&all[i], faults);
		buf_fini(&all[i].modules.body);
	}
	return r < 0 ? r : faults->n > n_before ? -EINVAL : 0;
}
