/* The log that the last process left, made durable before anything is done on the strength of it. */
#pragma once

#include "journal/sql.h"

/* What can be read of a log need not be on the disk: whoever wrote it was killed before the sync, or a sync failed and
 * the system takes the pages for written, so that no later sync writes them. So each byte is written once more where it
 * is, and synced. `db` is in WAL mode and has written nothing yet; nobody else writes. -ENOMEM, -ENOSPC, -EIO and
 * what sql_error() says. */
int settle_log(sqlite3 *db, struct err *e);
