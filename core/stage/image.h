/* A shared object as it would lie in memory, without being loaded: its segments in plain memory of our own, its
 * data relocations done by hand, nothing of it executable and nothing of it run. For files that are not trusted:
 * every offset is checked against the file and against the image. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { IMAGE_SIZE_MAX = 256 << 20 };

struct dynamic;

struct image {
	char *memory; /* more follows it that is no part of the object */
	size_t size;
	const char *machine; /* "x86-64"; static */
	bool is_native;	     /* it is for this machine */
	struct dynamic *dynamic;
};

/* -EPROTO: not a shared object of a known kind, or damaged; -ENOMEM, or what reading the file gave. */
int image_open(const char *path, struct image *ret, struct err *e);
/* The same of an open file, which stays the caller's. */
int image_read(int fd, struct image *ret, struct err *e);
/* Whether objects of the machine that this runs on are of a known kind. */
bool image_knows_this_machine(void);
void image_close(struct image *im);

/* The data symbol that the object defines: where it lies in the image, and its size. -ENOENT: it defines none;
 * -EPROTO: it is not data, or damaged. */
int image_find(const struct image *im, const char *symbol, const void **ret, size_t *ret_size,
	struct err *e);

/* Whether so many bytes lie there. A pointer into another library, whatever it is, does not. */
bool image_has(const struct image *im, const void *p, size_t size);
/* Whether a text lies there, with its NUL. */
bool image_has_text(const struct image *im, const char *p);
