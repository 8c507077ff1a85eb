/* SHA-256 (FIPS 180-4) by OpenSSL, with a context kept for many messages. */
#pragma once

#include <stdint.h>

#include "base/str.h"

enum { DIGEST_SIZE = 32, DIGEST_TEXT_SIZE = 65 };

struct digest {
	void *context; /* SHA256_CTX */
};

/* -ENOMEM. One `struct digest` serves one thread. */
int digest_init(struct digest *d);
void digest_fini(struct digest *d);
void digest_start(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t n);
/* Returns 0: nothing between init and fini can fail. */
int digest_finish(struct digest *d, uint8_t out[DIGEST_SIZE]);

/* One message at once. Returns 0. */
int digest_once(struct str message, uint8_t out[DIGEST_SIZE]);

/* Lowercase hex with a NUL. */
void digest_text(const uint8_t bytes[DIGEST_SIZE], char out[DIGEST_TEXT_SIZE]);
/* Exactly `n` bytes from hex of either case. -EINVAL: that it is not. */
int hex_parse(struct str text, uint8_t *out, size_t n);

static inline int digest_parse(struct str text, uint8_t out[DIGEST_SIZE])
{
	return hex_parse(text, out, DIGEST_SIZE);
}
