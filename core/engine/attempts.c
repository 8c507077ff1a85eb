/* Which attempts are out: a mapped file of slots and a stack of those that are free. */
#include "engine/attempts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
	BOOT_ID_SIZE = 40,
	SYNC_MS = 1000, /* marks are younger than this on disk, so that few attempts are in doubt */
};

struct head {
	char name[sizeof(struct attempt_slot)];
	char boot_id[BOOT_ID_SIZE];
	/* Every attempt of the events up to here that may be out has its mark on disk. In memory it may be ahead
	 * of the disk, never the other way round. */
	int64_t synced_seq;
};

static const char head_name[sizeof(struct attempt_slot)] = "stageline-out-1\n";

_Static_assert(sizeof(struct head) == ATTEMPTS_FIRST * sizeof(struct attempt_slot),
	"slots begin behind it");

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

/* All zeros when there is none: then no boot is the same as another. */
static void read_boot_id(char out[BOOT_ID_SIZE])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	memset(out, 0, BOOT_ID_SIZE);
	if (fd < 0)
		return;
	if (read(fd, out, ID_TEXT_SIZE - 1) != ID_TEXT_SIZE - 1)
		memset(out, 0, BOOT_ID_SIZE);
	close(fd);
}

/* The process alone died before any code of those ran: they are as a stop in good order left them. */
static void take_back(struct attempts *a)
{
	for (size_t i = ATTEMPTS_FIRST; i <= ATTEMPTS_MAX; i++)
		if (atomic_load(&a->slots[i].mark) == TASK_MARK_AGAIN)
			atomic_store(&a->slots[i].mark, TASK_MARK_BEGUN);
}

int attempts_open(const char *path, struct attempts *ret, struct err *e)
{
	static const char nothing[sizeof head_name];
	struct head *head;
	char boot_id[BOOT_ID_SIZE];
	struct attempts a = {0};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640), r;

	if (fd < 0)
		return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	a.fd = fd;
	r = map_file(fd, &a.slots);
	if (r < 0) {
		attempts_close(&a);
		return err_set(e, r, "'%s': %s", path, strerror(-r));
	}
	a.free = malloc(ATTEMPTS_MAX * sizeof *a.free);
	if (!a.free) {
		attempts_close(&a);
		return err_set(e, -ENOMEM, "no memory to start");
	}
	head = (struct head *)a.slots;
	a.is_new = memcmp(head->name, nothing, sizeof nothing) == 0;
	if (a.is_new)
		memcpy(head->name, head_name, sizeof head_name);
	if (memcmp(head->name, head_name, sizeof head_name) != 0) {
		attempts_close(&a);
		return err_set(e, -EINVAL, "'%s' is not a file of attempts; move it away", path);
	}
	read_boot_id(boot_id);
	a.is_same_boot = memcmp(head->boot_id, boot_id, sizeof boot_id) == 0;
	if (a.is_same_boot)
		take_back(&a);
	*ret = a;
	return 0;
}

const struct attempt_slot *attempts_left(const struct attempts *a, size_t *from)
{
	if (*from < ATTEMPTS_FIRST)
		*from = ATTEMPTS_FIRST - 1;
	while (++*from <= ATTEMPTS_MAX)
		if (atomic_load(&a->slots[*from].mark) != TASK_MARK_FREE)
			return &a->slots[*from];
	return NULL;
}

bool attempts_had_begun(const struct attempts *a, const struct attempt_slot *s, bool *ret_suspect)
{
	unsigned char mark = atomic_load(&s->mark);

	*ret_suspect = mark == TASK_MARK_RUNNING;
	if (mark == TASK_MARK_BEGUN)
		return false;
	return !a->is_same_boot || mark == TASK_MARK_RUNNING || mark == TASK_MARK_LATER;
}

bool attempts_may_be_lost(const struct attempts *a, int64_t last_seq)
{
	const struct head *head = (const struct head *)a->slots;

	return !a->is_same_boot && !a->is_new && last_seq > head->synced_seq;
}

bool attempts_add_begun(struct attempts *a, const struct attempt_slot *about)
{
	size_t i = a->added_at ? a->added_at : ATTEMPTS_FIRST;

	while (i <= ATTEMPTS_MAX / 2 && atomic_load(&a->slots[i].mark) != TASK_MARK_FREE)
		i++;
	a->added_at = i;
	if (i > ATTEMPTS_MAX / 2)
		return false;
	a->slots[i].order_seq = about->order_seq;
	a->slots[i].attempt = about->attempt;
	a->slots[i].stage = about->stage;
	a->slots[i].moves = about->moves;
	a->slots[i].undo = about->undo;
	atomic_store(&a->slots[i].mark, TASK_MARK_BEGUN);
	return true;
}

void attempts_over(struct attempts *a, size_t slot)
{
	atomic_store(&a->slots[slot].mark, TASK_MARK_FREE);
}

void attempts_clear(struct attempts *a, int64_t last_seq)
{
	struct head *head = (struct head *)a->slots;

	a->n_free = 0;
	for (size_t i = ATTEMPTS_MAX; i >= ATTEMPTS_FIRST; i--) {
		unsigned char mark = atomic_load(&a->slots[i].mark);

		if (mark == TASK_MARK_BEGUN)
			continue;
		if (mark != TASK_MARK_FREE) /* untouched pages stay so */
			atomic_store(&a->slots[i].mark, TASK_MARK_FREE);
		a->free[a->n_free++] = (uint16_t)i;
	}
	a->must_sync = true;
	if (attempts_sync(a, last_seq) < 0)
		return; /* the old head stays: it says too much rather than too little */
	read_boot_id(head->boot_id);
}

void attempts_stop(struct attempts *a, int64_t last_seq)
{
	for (size_t i = ATTEMPTS_FIRST; i <= ATTEMPTS_MAX; i++) {
		unsigned char mark = atomic_load(&a->slots[i].mark);

		if (mark != TASK_MARK_FREE && mark != TASK_MARK_OUT)
			atomic_store(&a->slots[i].mark, TASK_MARK_BEGUN);
	}
	attempts_clear(a, last_seq);
}

static bool says_begun(const struct attempt_slot *s, int64_t order_seq, uint8_t moves, size_t stage,
	uint32_t attempt, bool undo)
{
	return s->order_seq == order_seq && s->moves == moves && s->stage == stage &&
	       s->attempt == attempt && s->undo == undo && atomic_load(&s->mark) == TASK_MARK_BEGUN;
}

/* NULL: there is none. They are looked for in the order in which they stand, mostly. */
static struct attempt_slot *find_begun(struct attempts *a, int64_t order_seq, uint8_t moves,
	size_t stage, uint32_t attempt, bool undo)
{
	enum { N = ATTEMPTS_MAX - ATTEMPTS_FIRST + 1 };

	for (size_t k = 0; k < N; k++) {
		size_t i = (a->found_at + k) % N;
		struct attempt_slot *s = &a->slots[ATTEMPTS_FIRST + i];

		if (!says_begun(s, order_seq, moves, stage, attempt, undo))
			continue;
		a->found_at = i;
		return s;
	}
	return NULL;
}

static void set_free(struct attempts *a, struct attempt_slot *s)
{
	atomic_store(&s->mark, TASK_MARK_FREE);
	a->free[a->n_free++] = (uint16_t)(s - a->slots);
}

void attempts_forget(struct attempts *a, int64_t order_seq, uint8_t moves, size_t stage,
	uint32_t attempt, bool undo)
{
	struct attempt_slot *s = find_begun(a, order_seq, moves, stage, attempt, undo);

	if (s)
		set_free(a, s);
}

void attempts_keep(struct task *t)
{
	task_set_mark(t, TASK_MARK_BEGUN);
	t->mark = NULL;
}

void attempts_close(struct attempts *a)
{
	if (a->slots)
		munmap(a->slots, FILE_BYTES);
	if (a->free || a->slots || a->fd > 0)
		close(a->fd);
	free(a->free);
	*a = (struct attempts){0};
}

bool attempts_take(struct attempts *a, struct task *t, int64_t last_seq, bool is_again)
{
	const struct head *head = (const struct head *)a->slots;
	struct attempt_slot *s = NULL;

	if (is_again)
		s = find_begun(a, t->order_seq, t->moves, t->stage, t->attempt, t->undo);
	if (s) {
		t->mark = &s->mark;
		task_unmark(t);
		a->must_sync |= t->idle_mark == TASK_MARK_AGAIN;
		return true;
	}
	if (!a->n_free)
		return false;
	s = &a->slots[a->free[--a->n_free]];
	s->order_seq = t->order_seq;
	s->attempt = t->attempt;
	s->stage = (uint8_t)t->stage;
	s->moves = t->moves;
	s->undo = t->undo;
	t->mark = &s->mark;
	task_unmark(t);
	a->may_sync = true;
	if (last_seq <= head->synced_seq)
		a->must_sync = true;
	return true;
}

int64_t attempts_sync_at(const struct attempts *a)
{
	return a->may_sync ? a->synced_ms + SYNC_MS : INT64_MAX;
}

/* The kernel takes pages that it failed to write for written: writing them once more is what makes it try again. */
static void write_again(struct attempts *a)
{
	for (size_t i = ATTEMPTS_FIRST; i <= ATTEMPTS_MAX; i++) {
		unsigned char mark = atomic_load(&a->slots[i].mark);

		while (mark != TASK_MARK_FREE &&
			!atomic_compare_exchange_weak(&a->slots[i].mark, &mark, mark))
			;
	}
}

int attempts_sync(struct attempts *a, int64_t last_seq)
{
	struct head *head = (struct head *)a->slots;
	int64_t now_ms = clock_mono_ms();

	if (!a->must_sync && (!a->may_sync || now_ms < attempts_sync_at(a)))
		return 0;
	a->synced_ms = now_ms;
	a->must_sync = a->may_sync = false;
	if (fdatasync(a->fd) < 0) {
		int r = -errno;

		write_again(a);
		a->may_sync = true;
		return r;
	}
	head->synced_seq = last_seq;
	return 0;
}

void attempts_give_back(struct attempts *a, struct task *t)
{
	struct attempt_slot *s;

	if (!t || !t->mark)
		return;
	s = CONTAINER_OF(t->mark, struct attempt_slot, mark);
	set_free(a, s);
	t->mark = NULL;
}
