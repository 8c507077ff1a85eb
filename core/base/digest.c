/* SHA-256 by OpenSSL, through its low-level functions. They are marked as deprecated, but EVP allocates with every
 * message (OpenSSL 3.0) and, when memory fails while it sets itself up, dereferences NULL; these need no
 * setting up, allocate nothing and cannot fail, and every event is hashed. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>

int digest_init(struct digest *d)
{
	d->context = malloc(sizeof(SHA256_CTX));
	return d->context ? 0 : -ENOMEM;
}

void digest_fini(struct digest *d)
{
	free(d->context);
	d->context = NULL;
}

void digest_start(struct digest *d)
{
	SHA256_Init(d->context);
}

void digest_add(struct digest *d, const void *data, size_t n)
{
	SHA256_Update(d->context, data, n);
}

int digest_finish(struct digest *d, uint8_t out[DIGEST_SIZE])
{
	SHA256_Final(out, d->context);
	return 0;
}

int digest_once(struct str message, uint8_t out[DIGEST_SIZE])
{
	SHA256_CTX context; /* SHA256() itself goes through EVP */

	SHA256_Init(&context);
	SHA256_Update(&context, message.p, message.n);
	SHA256_Final(out, &context);
	return 0;
}

void digest_text(const uint8_t bytes[DIGEST_SIZE], char out[DIGEST_TEXT_SIZE])
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 0; i < DIGEST_SIZE; i++) {
		out[2 * i] = hex[bytes[i] >> 4];
		out[2 * i + 1] = hex[bytes[i] & 15];
	}
	out[DIGEST_TEXT_SIZE - 1] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_parse(struct str text, uint8_t *out, size_t n)
{
	if (text.n != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(text.p[2 * i]), low = hex_value(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}
