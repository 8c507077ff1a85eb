/* A disk that fails on purpose: a SQLite VFS over the default one. */
#include "fault_vfs.h"

#include "alloc_fault.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512 };

/* A write, or with bytes NULL a truncation to `offset`, that no sync has made durable. */
struct pending {
	struct pending *next;
	int64_t offset;
	size_t n;
	char *bytes;
};

struct image {
	char *bytes;
	size_t n, cap;
};

/* What the platters hold of one file, and what is still in caches. */
struct disk_file {
	struct disk_file *next;
	char *path;
	bool exists;
	struct image durable;
	struct pending *first, **last;
};

struct fault_file {
	sqlite3_file base;
	struct disk_file *disk; /* NULL: temporary, not followed */
	sqlite3_file *real;	/* behind this struct */
};

static struct {
	sqlite3_vfs vfs, *real;
	struct fault_plan plan;
	int n_seen, n_hits;
	bool is_off;
	struct disk_file *files;
} disk;

/* --- images --- */

static void image_resize(struct image *i, size_t n)
{
	if (n >= i->cap) {
		i->cap = 2 * n + 1;
		i->bytes = alloc_fault_realloc(i->bytes, i->cap);
		assert(i->bytes);
	}
	if (n > i->n)
		memset(i->bytes + i->n, 0, n - i->n);
	i->n = n;
}

static void image_write(struct image *i, size_t offset, const char *bytes, size_t n)
{
	if (offset + n > i->n)
		image_resize(i, offset + n);
	memcpy(i->bytes + offset, bytes, n);
}

static void image_apply(struct image *i, const struct pending *p)
{
	if (p->bytes)
		image_write(i, (size_t)p->offset, p->bytes, p->n);
	else
		image_resize(i, (size_t)p->offset);
}

static void image_read(struct image *i, const char *path)
{
	FILE *f = fopen(path, "rb");
	char block[4096];
	size_t n;

	while (f && (n = fread(block, 1, sizeof block, f)) > 0)
		image_write(i, i->n, block, n);
	if (f)
		fclose(f);
}

static void pending_clear(struct disk_file *f, bool is_durable)
{
	while (f->first) {
		struct pending *p = f->first;

		if (is_durable)
			image_apply(&f->durable, p);
		f->first = p->next;
		free(p->bytes);
		free(p);
	}
	f->last = &f->first;
}

static void pending_add(struct disk_file *f, int64_t offset, const void *bytes, size_t n)
{
	struct pending *p;

	if (!f)
		return;
	p = alloc_fault_realloc(NULL, sizeof *p);
	assert(p);
	memset(p, 0, sizeof *p);
	p->offset = offset;
	p->n = n;
	if (bytes) {
		p->bytes = alloc_fault_realloc(NULL, n + 1);
		assert(p->bytes);
		memcpy(p->bytes, bytes, n);
	}
	*f->last = p;
	f->last = &p->next;
}

static struct disk_file *disk_file_find(const char *path)
{
	for (struct disk_file *f = disk.files; f; f = f->next)
		if (strcmp(f->path, path) == 0)
			return f;
	return NULL;
}

/* A file as it is now counts as durable when it is seen for the first time. */
static struct disk_file *disk_file_get(const char *path)
{
	struct disk_file *f = disk_file_find(path);

	if (!f) {
		f = alloc_fault_realloc(NULL, sizeof *f);
		assert(f);
		memset(f, 0, sizeof *f);
		f->path = strdup(path);
		f->last = &f->first;
		f->next = disk.files;
		disk.files = f;
	}
	if (!f->exists)
		image_read(&f->durable, path);
	f->exists = true;
	return f;
}

static void disk_file_drop(struct disk_file *f)
{
	pending_clear(f, false);
	free(f->durable.bytes);
	f->durable = (struct image){0};
	f->exists = false;
}

/* --- the plan --- */

static int fault(enum fault_op op, int own_error)
{
	const struct fault_plan *plan = &disk.plan;
	bool is_hit = disk.is_off;

	if (!is_hit && plan->nth && (plan->ops & op)) {
		disk.n_seen++;
		is_hit = disk.n_seen == plan->nth || (plan->is_sticky && disk.n_seen > plan->nth);
		disk.is_off = is_hit && plan->is_power_loss;
	}
	if (!is_hit)
		return SQLITE_OK;
	disk.n_hits++;
	errno = EIO;
	return plan->error && !disk.is_off ? plan->error : own_error;
}

/* --- file methods --- */

static struct fault_file *of(sqlite3_file *file)
{
	return (struct fault_file *)file;
}

static int file_close(sqlite3_file *file)
{
	return of(file)->real->pMethods->xClose(of(file)->real);
}

static int file_read(sqlite3_file *file, void *out, int n, sqlite3_int64 offset)
{
	int r = fault(FAULT_READ, SQLITE_IOERR_READ);

	return r ? r : of(file)->real->pMethods->xRead(of(file)->real, out, n, offset);
}

static int file_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
	int r = fault(FAULT_WRITE, SQLITE_IOERR_WRITE);

	if (r)
		return r;
	pending_add(of(file)->disk, offset, bytes, (size_t)n);
	return of(file)->real->pMethods->xWrite(of(file)->real, bytes, n, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int r = fault(FAULT_TRUNCATE, SQLITE_IOERR_TRUNCATE);

	if (r)
		return r;
	pending_add(of(file)->disk, size, NULL, 0);
	return of(file)->real->pMethods->xTruncate(of(file)->real, size);
}

static int file_sync(sqlite3_file *file, int flags)
{
	int r = fault(FAULT_SYNC, SQLITE_IOERR_FSYNC);

	(void)flags;
	/* What a failed sync did not write, the system takes for written: no later one makes it durable. */
	if (of(file)->disk && !disk.is_off)
		pending_clear(of(file)->disk, r == SQLITE_OK);
	if (r)
		return r;
	return SQLITE_OK; /* the real disk need not: its power stays on */
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	return of(file)->real->pMethods->xFileSize(of(file)->real, ret);
}

static int file_lock(sqlite3_file *file, int level)
{
	return of(file)->real->pMethods->xLock(of(file)->real, level);
}

static int file_unlock(sqlite3_file *file, int level)
{
	return of(file)->real->pMethods->xUnlock(of(file)->real, level);
}

static int file_check_lock(sqlite3_file *file, int *ret)
{
	return of(file)->real->pMethods->xCheckReservedLock(of(file)->real, ret);
}

static int file_control(sqlite3_file *file, int op, void *arg)
{
	return of(file)->real->pMethods->xFileControl(of(file)->real, op, arg);
}

static int file_sector_size(sqlite3_file *file)
{
	return of(file)->real->pMethods->xSectorSize(of(file)->real);
}

static int file_characteristics(sqlite3_file *file)
{
	return of(file)->real->pMethods->xDeviceCharacteristics(of(file)->real);
}

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
	return of(file)->real->pMethods->xShmMap(of(file)->real, page, size, extend, ret);
}

static int file_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
	return of(file)->real->pMethods->xShmLock(of(file)->real, offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *file)
{
	of(file)->real->pMethods->xShmBarrier(of(file)->real);
}

static int file_shm_unmap(sqlite3_file *file, int delete_flag)
{
	return of(file)->real->pMethods->xShmUnmap(of(file)->real, delete_flag);
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 2,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_lock,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xShmMap = file_shm_map,
	.xShmLock = file_shm_lock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
};

/* --- VFS methods --- */

static int vfs_open(
	sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *ret)
{
	struct fault_file *f = of(file);
	int r = fault(FAULT_OPEN, SQLITE_CANTOPEN);

	(void)vfs;
	memset(f, 0, sizeof *f);
	if (r)
		return r;
	f->real = (sqlite3_file *)(f + 1);
	r = disk.real->xOpen(disk.real, name, f->real, flags, ret);
	if (r != SQLITE_OK)
		return r;
	f->base.pMethods = &file_methods;
	if (name && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)))
		f->disk = disk_file_get(name);
	return SQLITE_OK;
}

/* A deletion is durable at once. */
static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	struct disk_file *f = disk_file_find(name);
	int r = fault(FAULT_DELETE, SQLITE_IOERR_DELETE);

	(void)vfs;
	if (r)
		return r;
	if (f)
		disk_file_drop(f);
	return disk.real->xDelete(disk.real, name, sync_dir);
}

void fault_vfs_install(void)
{
	disk.real = sqlite3_vfs_find(NULL);
	disk.vfs = *disk.real;
	disk.vfs.zName = "fault";
	disk.vfs.szOsFile = (int)sizeof(struct fault_file) + disk.real->szOsFile;
	disk.vfs.xOpen = vfs_open;
	disk.vfs.xDelete = vfs_delete;
	fault_vfs_plan(&(struct fault_plan){0});
	disk.is_off = false;
	sqlite3_vfs_register(&disk.vfs, 1);
}

void fault_vfs_remove(void)
{
	sqlite3_vfs_unregister(&disk.vfs);
	sqlite3_vfs_register(disk.real, 1);
	while (disk.files) {
		struct disk_file *f = disk.files;

		disk.files = f->next;
		disk_file_drop(f);
		free(f->path);
		free(f);
	}
}

void fault_vfs_plan(const struct fault_plan *plan)
{
	disk.plan = *plan;
	disk.n_seen = disk.n_hits = 0;
}

int fault_vfs_hits(void)
{
	return disk.n_hits;
}

/* --- power --- */

void fault_vfs_power_off(void)
{
	disk.is_off = true;
}

void fault_vfs_resume(void)
{
	disk.is_off = false;
	fault_vfs_plan(&(struct fault_plan){0});
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Each sector of a write on its own arrives or does not. */
static void apply_torn(struct image *i, const struct pending *p, uint64_t *random)
{
	for (size_t from = 0; from < p->n;) {
		size_t offset = (size_t)p->offset + from;
		size_t n = SECTOR - offset % SECTOR;

		if (n > p->n - from)
			n = p->n - from;
		if (next_random(random) & 1)
			image_write(i, offset, p->bytes + from, n);
		from += n;
	}
}

static void survive(struct disk_file *f, uint64_t *random)
{
	for (const struct pending *p = f->first; p; p = p->next) {
		switch (next_random(random) % 3) {
		case 0:
			image_apply(&f->durable, p);
			break;
		case 1:
			apply_torn(&f->durable, p, random);
			break;
		default:
			break;
		}
	}
	pending_clear(f, false);
}

static int image_store(const struct image *i, const char *path)
{
	FILE *out = fopen(path, "wb");
	bool is_written;

	if (!out)
		return -errno;
	is_written = fwrite(i->bytes ? i->bytes : "", 1, i->n, out) == i->n;
	return fclose(out) == 0 && is_written ? 0 : -EIO;
}

int fault_vfs_power_on(uint64_t seed)
{
	uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	char shm[4096];
	int r = 0;

	for (struct disk_file *f = disk.files; f && r == 0; f = f->next) {
		if (!f->exists)
			continue;
		survive(f, &random);
		r = image_store(&f->durable, f->path);
		snprintf(shm, sizeof shm, "%s-shm", f->path);
		remove(shm);
	}
	fault_vfs_resume();
	return r;
}
