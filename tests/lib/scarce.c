/* Preloaded into the daemon: between the first SIGUSR1 and the second one allocation in SCARCE_RATE fails, at
 * random from SCARCE_SEED. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static atomic_bool is_on;
static _Atomic uint64_t state;
static uint64_t rate = 1000;

static void on_signal(int number)
{
	(void)number;
	is_on = !is_on;
}

static uint64_t number_of(const char *name)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : 0;
}

__attribute__((constructor)) static void start(void)
{
	rate = number_of("SCARCE_RATE") ? number_of("SCARCE_RATE") : rate;
	state = number_of("SCARCE_SEED");
	signal(SIGUSR1, on_signal);
}

/* splitmix64 */
static bool must_fail(void)
{
	uint64_t x;

	if (!is_on)
		return false;
	x = atomic_fetch_add(&state, UINT64_C(0x9e3779b97f4a7c15));
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	if ((x ^ x >> 31) % rate)
		return false;
	errno = ENOMEM;
	return true;
}

#define EXPORT __attribute__((visibility("default")))

EXPORT void *malloc(size_t size)
{
	return must_fail() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	return must_fail() ? NULL : __libc_realloc(p, size);
}
