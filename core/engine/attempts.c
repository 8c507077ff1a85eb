/* Which attempts are out: a mapped file of slots and a stack of those that are free. */
#include "engine/attempts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static const char head[sizeof(struct attempt_slot)] = "stageline-out-1\n";

_Static_assert(sizeof(struct attempt_slot) == 16, "slots are 16 bytes on disk");

enum { FILE_BYTES = (ATTEMPTS_MAX + 1) * sizeof(struct attempt_slot) };

/* All of the file is allocated: writing through the map must never find the disk full. */
static int map_file(int fd, struct attempt_slot **ret)
{
	int r = -posix_fallocate(fd, 0, FILE_BYTES);
	void *map;

	if (r < 0)
		return r;
	map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret = map;
	return 0;
}

int attempts_open(const char *path, struct attempts *ret, struct err *e)
{
	static const char nothing[sizeof head];
	struct attempts a = {0};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640), r;

	if (fd < 0)
		return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	r = map_file(fd, &a.slots);
	close(fd);
	if (r < 0)
		return err_set(e, r, "'%s': %s", path, strerror(-r));
	a.free = malloc(ATTEMPTS_MAX * sizeof *a.free);
	if (!a.free) {
		attempts_close(&a);
		return err_set(e, -ENOMEM, "no memory to start");
	}
	if (memcmp(a.slots, nothing, sizeof nothing) == 0)
		memcpy(a.slots, head, sizeof head);
	if (memcmp(a.slots, head, sizeof head) != 0) {
		attempts_close(&a);
		return err_set(e, -EINVAL, "'%s' is not a file of attempts; move it away", path);
	}
	*ret = a;
	return 0;
}

const struct attempt_slot *attempts_left(const struct attempts *a, size_t *from)
{
	while (++*from <= ATTEMPTS_MAX)
		if (atomic_load(&a->slots[*from].mark) != TASK_MARK_FREE)
			return &a->slots[*from];
	return NULL;
}

void attempts_clear(struct attempts *a)
{
	a->n_free = 0;
	for (size_t i = ATTEMPTS_MAX; i > 0; i--) {
		if (atomic_load(&a->slots[i].mark) != TASK_MARK_FREE) /* untouched pages stay so */
			atomic_store(&a->slots[i].mark, TASK_MARK_FREE);
		a->free[a->n_free++] = (uint16_t)i;
	}
}

void attempts_close(struct attempts *a)
{
	if (a->slots)
		munmap(a->slots, FILE_BYTES);
	free(a->free);
	*a = (struct attempts){0};
}

bool attempts_take(struct attempts *a, struct task *t)
{
	struct attempt_slot *s;

	if (!a->n_free)
		return false;
	s = &a->slots[a->free[--a->n_free]];
	s->order_seq = t->order_seq;
	s->attempt = t->attempt;
	s->stage = (uint16_t)t->stage;
	s->undo = t->undo;
	atomic_store_explicit(&s->mark, TASK_MARK_OUT, memory_order_release);
	t->mark = &s->mark;
	return true;
}

void attempts_give_back(struct attempts *a, struct task *t)
{
	struct attempt_slot *s;

	if (!t || !t->mark)
		return;
	s = CONTAINER_OF(t->mark, struct attempt_slot, mark);
	atomic_store(&s->mark, TASK_MARK_FREE);
	a->free[a->n_free++] = (uint16_t)(s - a->slots);
	t->mark = NULL;
}
