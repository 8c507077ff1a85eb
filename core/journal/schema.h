/* The tables of a journal file, and the way from older versions to this one. */
#pragma once

#include "base/buf.h"
#include "journal/sql.h"

/* Creates the tables in an empty database or brings an older one up to date, in one transaction.
 * -EINVAL: another program's file. -EPROTO: made by a newer version. */
int schema_migrate(sqlite3 *db, struct err *e);
/* Opens a journal for reading, in a transaction: all reads see one moment. -EINVAL, -EPROTO as below. Returns owned. */
int schema_open(const char *path, sqlite3 **ret, struct err *e);
/* Drops the indices of the projections, for filling these; `ret` gets the SQL that makes them anew. */
int schema_drop_indices(sqlite3 *db, struct buf *ret, struct err *e);
/* Whether a reader of this version understands the file. -EINVAL, -EPROTO. */
int schema_check(sqlite3 *db, struct err *e);
