/* Addresses to functions, signals and statuses to sentences. */
#include "stage/autopsy.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "base/option.h"
#include "stage/sandbox.h"
#include "stage/symbols.h"

enum { LINES_MAX = 12, NAME_BYTES = 96, NEAR_NULL = 65536 };

#define HOST "" /* how the binary is called among the mapped objects */

/* --- the backtrace --- */

static const struct wire_module *module_of(const struct autopsy *a, uint64_t address)
{
	for (size_t i = 0; i < a->modules->n; i++)
		if (address >= a->modules->list[i].start && address < a->modules->list[i].end)
			return &a->modules->list[i];
	return NULL;
}

static const char *file_of(const struct wire_module *m)
{
	const char *slash = m ? strrchr(m->path, '/') : NULL;

	if (!m)
		return "nowhere";
	return strcmp(m->path, HOST) == 0 ? "stageline" : slash ? slash + 1 : m->path;
}

static bool is_plugin(const struct autopsy *a, const struct wire_module *m)
{
	return m && strcmp(m->path, a->plugin->path) == 0;
}

enum { PATH_BYTES = 40 };

/* Only files that are ours to open: the process may name any. */
static const char *readable_file(
	const struct autopsy *a, const struct wire_module *m, char room[PATH_BYTES])
{
	if (!m)
		return NULL;
	if (strcmp(m->path, HOST) == 0)
		return "/proc/self/exe";
	if (is_plugin(a, m)) { /* its own build */
		snprintf(room, PATH_BYTES, "/proc/self/fd/%d", a->plugin->fd);
		return room;
	}
	return symbol_is_mapped(m->path) ? m->path : NULL;
}

static void name_address(const struct autopsy *a, const struct wire_module *m, uint64_t address,
	char *out, size_t size)
{
	char room[PATH_BYTES];
	const char *file = readable_file(a, m, room);
	char name[NAME_BYTES];
	uint64_t offset;

	if (file && symbol_find(file, address - m->bias, name, sizeof name, &offset) == 0)
		snprintf(out, size, "%.*s+0x%llx", (int)strcspn(name, "."), name,
			(unsigned long long)offset); /* without .cold and the like */
	else
		snprintf(out, size, "0x%llx", (unsigned long long)(address - (m ? m->bias : 0)));
}

struct line {
	char name[NAME_BYTES + 24];
	const char *file;
	size_t n; /* the same again and again */
};

/* From the innermost one to where the plugin was called. */
static size_t collect(const struct autopsy *a, struct line lines[LINES_MAX])
{
	bool was_in_plugin = false;
	size_t n = 0;

	for (size_t i = 0; i < a->n_trace; i++) {
		uint64_t address = a->trace[i] - (i > 0); /* a return address is behind the call */
		const struct wire_module *m = module_of(a, address);
		struct line line = {.file = file_of(m), .n = 1};

		if (!n && !a->crash.signal && m && strcmp(m->path, HOST) == 0)
			continue; /* of exit(): our own handler */
		if (was_in_plugin && m && strcmp(m->path, HOST) == 0)
			break;
		was_in_plugin |= is_plugin(a, m);
		name_address(a, m, address, line.name, sizeof line.name);
		if (n && strcmp(lines[n - 1].name, line.name) == 0)
			lines[n - 1].n++;
		else if (n < LINES_MAX)
			lines[n++] = line;
	}
	return n;
}

void autopsy_trace(const struct autopsy *a, struct buf *out)
{
	struct line lines[LINES_MAX];
	size_t n = collect(a, lines);

	for (size_t i = 0; i < n; i++) {
		buf_text(out, i ? ", " : " in ");
		buf_text(out, lines[i].name);
		if (lines[i].n > 1)
			buf_fmt(out, " (%zu times)", lines[i].n);
		if (i + 1 == n || strcmp(lines[i].file, lines[i + 1].file) != 0)
			buf_fmt(out, " (%s)", lines[i].file);
	}
}

/* --- why --- */

static void say_signal(struct buf *out, int number)
{
	const char *name = sigabbrev_np(number);

	if (name)
		buf_fmt(out, "SIG%s", name);
	else
		buf_fmt(out, "signal %d", number);
}

static void say_forbidden(const struct autopsy *a, struct buf *out)
{
	_cleanup_(freep) char *name = sandbox_call_name(a->crash.system_call);

	if (name)
		buf_fmt(out, "it tried system call %s, which its sandbox forbids,", name);
	else
		buf_fmt(out, "it tried system call %d, which its sandbox forbids,",
			a->crash.system_call);
}

static void say_crash(const struct autopsy *a, struct buf *out)
{
	const struct wire_crash *c = &a->crash;
	unsigned long long most = (unsigned long long)a->sandbox->memory;
	char cpu[OPTION_UNIT_TEXT_SIZE];

	option_duration_text(a->sandbox->cpu_ms, cpu);
	if (c->signal == 0)
		buf_text(out, "it called exit()");
	else if (c->signal == SIGSYS)
		say_forbidden(a, out);
	else if (c->signal == SIGXCPU)
		buf_fmt(out, "it used more than %s of processor time", cpu);
	else
		say_signal(out, (int)c->signal);
	/* Others differ from crash to crash, and dead letters are counted by cause. */
	if (c->signal == SIGSEGV && c->address < NEAR_NULL)
		buf_fmt(out, " at address 0x%llx", (unsigned long long)c->address);
	autopsy_trace(a, out);
	if (!a->sandbox->is_off && c->memory > most / 10 * 9)
		buf_fmt(out, "; its memory was used up (%llu of %llu MiB)",
			(unsigned long long)c->memory >> 20, most >> 20);
	if (!c->is_in_call)
		buf_text(out, "; outside of a call");
}

static void say_status(const struct autopsy *a, struct buf *out)
{
	if (WIFSIGNALED(a->status)) {
		buf_text(out, "it was ended by ");
		say_signal(out, WTERMSIG(a->status));
		if (WTERMSIG(a->status) == SIGKILL)
			buf_text(out, " (the kernel's, for want of memory?)");
	} else {
		buf_fmt(out, "it ended with status %d", WEXITSTATUS(a->status));
	}
}

static void make_printable(char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			*s = '?';
}

void autopsy_text(const struct autopsy *a, char *out, size_t size)
{
	_cleanup_(buf_fini) struct buf text = {0};

	if (a->broken)
		buf_fmt(&text, "it %s, and was killed", a->broken);
	else if (a->has_crash)
		say_crash(a, &text);
	else
		say_status(a, &text);
	snprintf(out, size, "%s", text.failed ? "no memory to tell" : buf_view(&text).p);
	make_printable(out);
}
