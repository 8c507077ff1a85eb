/* The played disk of the marks of attempts: what a loss of power leaves of them. */
#include <fcntl.h>
#include <unistd.h>

#include "world.h"

enum { MARKS_PAGE = 4096 };

static char synced[MARKS_BYTES]; /* what the power leaves for certain */

void world_format_marks(void)
{
	memset(synced, 0, sizeof synced);
}

static int read_file(int fd, char out[MARKS_BYTES])
{
	ssize_t n = pread(fd, out, MARKS_BYTES, 0);

	if (n < 0)
		return -1;
	memset(out + n, 0, MARKS_BYTES - (size_t)n);
	return 0;
}

/* Stands in for libc's: SQLite is on the played disk, so only the marks are synced by it. */
int fdatasync(int fd)
{
	return read_file(fd, synced);
}

void world_read_marks(const struct world *w, char out[MARKS_BYTES])
{
	int fd = open(w->attempts_path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read_file(fd, out) < 0)
		world_fail(w, "the marks cannot be read");
	close(fd);
}

void world_write_marks(const struct world *w, const char marks[MARKS_BYTES])
{
	int fd = open(w->attempts_path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, marks, MARKS_BYTES, 0) != MARKS_BYTES)
		world_fail(w, "the marks cannot be written");
	close(fd);
}

void world_lose_marks(const struct world *w, uint64_t chance)
{
	static const size_t boot_id_at = 16;
	char marks[MARKS_BYTES];

	world_read_marks(w, marks);
	for (size_t i = 0; i < MARKS_BYTES / MARKS_PAGE; i++)
		if (chance >> i & 1)
			memcpy(marks + i * MARKS_PAGE, synced + i * MARKS_PAGE, MARKS_PAGE);
	if (marks[boot_id_at])
		marks[boot_id_at] = '-'; /* no boot is called so */
	world_write_marks(w, marks);
	memcpy(synced, marks, MARKS_BYTES);
}
