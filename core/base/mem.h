/* Ownership in two words: _cleanup_ for what dies here, steal_ptr for what leaves. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Takes the pointer out of a variable and leaves NULL, so that its cleanup does nothing. */
#define steal_ptr(p)                                                                               \
	({                                                                                         \
		__auto_type steal_slot_ = &(p);                                                    \
		__auto_type steal_value_ = *steal_slot_;                                           \
		*steal_slot_ = NULL;                                                               \
		steal_value_;                                                                      \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}
