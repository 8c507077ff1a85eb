/* Makes the n-th allocation of the process fail, and counts what is not freed.
 *
 * A test program that links alloc_fault.c has its own malloc, calloc, realloc and free in front of
 * libc's (or the sanitizer's), so allocations inside libraries count too. Those by posix_memalign()
 * and its kin are not seen. Unarmed it does nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Thread sanitizer does not let anything stand in front of malloc: there nothing ever fails. */
#ifdef __SANITIZE_THREAD__
#define ALLOC_FAULT_IS_THERE false
#else
#define ALLOC_FAULT_IS_THERE true
#endif

/* From now on the n-th allocation fails, n from 1, once. */
void alloc_fault_at(size_t n);
/* The n-th and all after it fail. */
void alloc_fault_from(size_t n);
/* Stops failing. Whether an allocation has failed since it was armed. */
bool alloc_fault_end(void);
/* realloc() for what tests themselves need meanwhile: never fails on purpose, and does not count. */
void *alloc_fault_realloc(void *p, size_t size);
/* Allocations that were not freed yet, since the process started. Always 0 under a sanitizer, whose
 * own leak check tells then. */
long alloc_fault_balance(void);
