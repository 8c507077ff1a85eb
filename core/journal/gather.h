/* Writes to SQLite's log, gathered: the frames of a batch reach the file by one write, right before the sync that
 * makes them durable, instead of by two small ones for each page. Nobody reads frames before that sync: the
 * index beside the log tells of them only after it, since synchronous=FULL ends each commit with one. [sequencer] */
#pragma once

#include "journal/sql.h"

/* Puts itself between `db`, which is in WAL mode, and its open log, until SQLite closes that. -ENOMEM: nothing
 * has changed. A disk on which the sync is not what comes last is left as it is. */
int gather_log(sqlite3 *db, struct err *e);
