/* Makes the n-th allocation of the process fail, by standing in front of the real allocator. */
#include "alloc_fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define REAL(name) __interceptor_##name
#define COUNTS	   0 /* strdup() and others go past us into the sanitizer, which finds leaks itself */
#else
#define COUNTS	   1
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t n, size_t size);
void *REAL(realloc)(void *p, size_t size);
void REAL(free)(void *p);

static atomic_long countdown; /* 0: unarmed */
static atomic_bool has_failed, fails_on;
static atomic_long balance;

static void arm(size_t n, bool on)
{
	has_failed = false;
	fails_on = on;
	countdown = (long)n;
}

void alloc_fault_at(size_t n)
{
	arm(n, false);
}

void alloc_fault_from(size_t n)
{
	arm(n, true);
}

bool alloc_fault_end(void)
{
	countdown = 0;
	fails_on = false;
	return has_failed;
}

void *alloc_fault_realloc(void *p, size_t size)
{
	long left = atomic_exchange(&countdown, 0);
	void *bigger = realloc(p, size);

	countdown = left;
	return bigger;
}

long alloc_fault_balance(void)
{
	return COUNTS ? balance : 0;
}

static inline bool must_fail(void)
{
	if (countdown == 0 || (atomic_fetch_sub(&countdown, 1) != 1))
		return false;
	if (fails_on)
		countdown = 1;
	has_failed = true;
	errno = ENOMEM;
	return true;
}

static inline void *counted(void *p)
{
	if (p)
		balance++;
	return p;
}

/* ThreadSanitizer allocates before it is ready for anybody in between: there no allocation fails. */
#ifndef __SANITIZE_THREAD__

#define EXPORT __attribute__((visibility("default")))

EXPORT void *malloc(size_t size)
{
	return must_fail() ? NULL : counted(REAL(malloc)(size));
}

EXPORT void *calloc(size_t n, size_t size)
{
	return must_fail() ? NULL : counted(REAL(calloc)(n, size));
}

EXPORT void *realloc(void *p, size_t size)
{
	if (must_fail())
		return NULL;
	return p ? REAL(realloc)(p, size) : counted(REAL(realloc)(p, size));
}

EXPORT void free(void *p)
{
	if (p)
		balance--;
	REAL(free)(p);
}

#endif
