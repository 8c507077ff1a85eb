/* The service manager: readiness, the watchdog, sockets that it holds. */
#include "cli/systemd.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "version.h"

#if HAVE_LIBSYSTEMD

#include <systemd/sd-daemon.h>

void systemd_tell(const char *fmt, ...)
{
	char state[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(state, sizeof state, fmt, ap);
	va_end(ap);
	sd_notify(false, state);
}

int64_t systemd_watchdog_ms(void)
{
	uint64_t us = 0;

	return sd_watchdog_enabled(false, &us) > 0 ? (int64_t)(us / 1000) : 0;
}

static int take_sockets(void)
{
	return sd_listen_fds(true);
}

enum { FIRST_SOCKET = SD_LISTEN_FDS_START };

#else

void systemd_tell(const char *fmt, ...)
{
	(void)fmt;
}

int64_t systemd_watchdog_ms(void)
{
	return 0;
}

static int take_sockets(void)
{
	return 0;
}

enum { FIRST_SOCKET = 3 };

#endif

/* --- sockets --- */

static int listen_on(struct http_server *s, int fd, uint16_t *ret_port, struct err *e)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof a;

	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return err_set(e, -errno, "socket %d of systemd: %s", fd, strerror(errno));
	if (!http_is_loopback((struct sockaddr *)&a))
		return err_set(e, -EPERM,
			"socket %d of systemd is not on a loopback address, and without access "
			"tokens anybody who reaches it could place and see orders "
			"(ListenStream= of stageline.socket)",
			fd);
	return http_listen_on(s, fd, ret_port, e);
}

int systemd_listen(struct http_server *s, uint16_t *ret_port, struct err *e)
{
	int n = take_sockets(), r = 0;

	if (n < 0)
		return err_set(e, n, "the sockets of systemd: %s", strerror(-n));
	for (int i = 0; i < n && r == 0; i++)
		r = listen_on(s, FIRST_SOCKET + i, ret_port, e);
	return r < 0 ? r : n;
}

/* --- the watchdog --- */

struct systemd_watchdog {
	struct event *tick;
	struct engine *engine;
	uint64_t turns; /* of the sequencer, when it was looked at last */
};

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
	struct systemd_watchdog *w = arg;

	(void)fd, (void)events;
	if (engine_has_turned(w->engine, &w->turns))
		systemd_tell("WATCHDOG=1");
}

int systemd_watchdog_start(
	struct event_base *base, struct engine *en, struct systemd_watchdog **ret, struct err *e)
{
	int64_t every_ms = systemd_watchdog_ms() / 4;
	struct timeval every = {every_ms / 1000, every_ms % 1000 * 1000};
	struct systemd_watchdog *w;

	if (!every_ms)
		return 0;
	w = calloc(1, sizeof *w);
	if (w) {
		w->engine = en;
		w->tick = event_new(base, -1, EV_PERSIST, on_tick, w);
	}
	if (!w || !w->tick || event_add(w->tick, &every) < 0) {
		systemd_watchdog_stop(w);
		return err_set(e, -ENOMEM, "no memory for the watchdog");
	}
	*ret = w;
	return 0;
}

void systemd_watchdog_stop(struct systemd_watchdog *w)
{
	if (!w)
		return;
	if (w->tick)
		event_free(w->tick);
	free(w);
}
