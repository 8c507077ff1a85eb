/* What the service manager is told, and what it hands over. Outside of systemd, and in a build without libsystemd,
 * nothing of it happens. */
#pragma once

#include <event2/event.h>

#include "engine/engine.h"
#include "net/http.h"

/* Log lines go to the journal with fields (STAGELINE_ORDER, STAGELINE_STAGE …) when stderr is the journal. */
void systemd_log(void);

/* "READY=1", "STOPPING=1", "STATUS=…", as in sd_notify(3); several are separated by newlines. */
void systemd_tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* How often the watchdog wants to be fed at least; 0: there is none. */
int64_t systemd_watchdog_ms(void);

/* Listens on every socket that was handed over. 0: there was none, *ret_port stays. -EPERM: one of them can be reached
 * from elsewhere. Else how many. */
int systemd_listen(struct http_server *s, uint16_t *ret_port, struct err *e);

/* Feeds the watchdog from the net loop, and only while the sequencer turns, too. NULL in *ret: there is none. */
struct systemd_watchdog;
int systemd_watchdog_start(
	struct event_base *base, struct engine *en, struct systemd_watchdog **ret, struct err *e);
void systemd_watchdog_stop(struct systemd_watchdog *w); /* NULL is fine */
