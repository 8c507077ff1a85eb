/* The tables of a journal file, and the way from older versions to this one. */
#pragma once

#include "journal/sql.h"

/* Creates the tables in an empty database or brings an older one up to date, in one transaction.
 * -EINVAL: another program's file. -EPROTO: made by a newer version. */
int schema_migrate(sqlite3 *db, struct err *e);
/* Whether a reader of this version understands the file. -EINVAL, -EPROTO. */
int schema_check(sqlite3 *db, struct err *e);
