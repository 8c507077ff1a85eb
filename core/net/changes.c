/* Changes of files by inotify: which of them matter, and when they have settled. */
#include "net/changes.h"

#include <limits.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	QUIET_MS = 300,	   /* after the last change */
	LATEST_MS = 3000,  /* after the first one, however much goes on */
	MISSING_MS = 1000, /* a folder that is gone is looked for so often */
};

#define CHANGES                                                                                    \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF |   \
		IN_MOVE_SELF)

struct changes {
	int fd;
	const char *file; /* the name within its folder */
	char folder[PATH_MAX];
	struct plugin_folders folders;
	void (*on_change)(void *arg);
	void *arg;
	struct event *readable, *timer;
	int64_t first_ms; /* of the changes that nobody was told of; 0: none */
	bool is_missing;
};

static void start_timer(struct changes *c, int64_t ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_add(c->timer, &tv);
}

/* Watching a folder once more changes nothing. False: one is not there. */
static bool watch_all(struct changes *c)
{
	bool has_all = inotify_add_watch(c->fd, c->folder, CHANGES) >= 0;

	for (size_t i = 0; i < c->folders.n; i++)
		has_all &= inotify_add_watch(c->fd, c->folders.paths[i], CHANGES) >= 0;
	return has_all;
}

static bool is_plugin(const char *name)
{
	size_t n = strlen(name);

	return n > 3 && strcmp(name + n - 3, ".so") == 0;
}

static void on_event(struct changes *c, const struct inotify_event *ev)
{
	int64_t now_ms = clock_mono_ms(), left_ms;

	if (ev->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF))
		c->is_missing = true;
	else if (!(ev->mask & IN_Q_OVERFLOW) &&
		 (!ev->len || (strcmp(ev->name, c->file) != 0 && !is_plugin(ev->name))))
		return;
	if (!c->first_ms)
		c->first_ms = now_ms;
	left_ms = c->first_ms + LATEST_MS - now_ms;
	start_timer(c, left_ms < QUIET_MS ? (left_ms > 0 ? left_ms : 0) : QUIET_MS);
}

static void on_readable(evutil_socket_t fd, short events, void *arg)
{
	_Alignas(struct inotify_event) char bytes[16 * (sizeof(struct inotify_event) + NAME_MAX)];
	struct changes *c = arg;
	ssize_t n;

	(void)events;
	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		for (char *p = bytes; p < bytes + n;) {
			const struct inotify_event *ev = (const struct inotify_event *)p;

			on_event(c, ev);
			p += sizeof *ev + ev->len;
		}
}

static void on_timer(evutil_socket_t fd, short events, void *arg)
{
	struct changes *c = arg;
	bool was_missing = c->is_missing, is_due = c->first_ms != 0;

	(void)fd, (void)events;
	c->first_ms = 0;
	if (was_missing) {
		c->is_missing = !watch_all(c);
		is_due |= !c->is_missing; /* it may have come back with something new */
	}
	if (c->is_missing)
		start_timer(c, MISSING_MS);
	if (is_due)
		c->on_change(c->arg);
}

static void split(struct changes *c, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(c->folder, sizeof c->folder, ".");
	else if (slash == path)
		snprintf(c->folder, sizeof c->folder, "/");
	else
		snprintf(c->folder, sizeof c->folder, "%.*s", (int)(slash - path), path);
	c->file = slash ? slash + 1 : path;
}

int changes_watch(struct event_base *base, const char *file, const struct plugin_folders *folders,
	void (*on_change)(void *arg), void *arg, struct changes **ret, struct err *e)
{
	struct changes *c = malloc(sizeof *c);

	if (!c)
		return err_set(e, -ENOMEM, "no memory to watch files");
	*c = (struct changes){.folders = *folders, .on_change = on_change, .arg = arg};
	split(c, file);
	c->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (c->fd < 0 || inotify_add_watch(c->fd, c->folder, CHANGES) < 0) {
		int r = err_set(
			e, -errno, "'%s' cannot be watched: %s", c->folder, strerror(errno));

		if (c->fd >= 0)
			close(c->fd);
		free(c);
		return r;
	}
	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->timer = event_new(base, -1, 0, on_timer, c);
	if (!c->readable || !c->timer || event_add(c->readable, NULL) < 0) {
		changes_free(c);
		return err_set(e, -ENOMEM, "no memory to watch files");
	}
	c->is_missing = !watch_all(c);
	if (c->is_missing)
		start_timer(c, MISSING_MS);
	*ret = c;
	return 0;
}

void changes_free(struct changes *c)
{
	if (!c)
		return;
	if (c->readable)
		event_free(c->readable);
	if (c->timer)
		event_free(c->timer);
	close(c->fd);
	free(c);
}
