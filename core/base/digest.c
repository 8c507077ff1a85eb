/* SHA-256 by OpenSSL, which may allocate with every message. */
#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>

int digest_init(struct digest *d)
{
	d->has_failed = false;
	d->context = EVP_MD_CTX_new();
	if (!d->context)
		return -ENOMEM;
	if (EVP_DigestInit_ex(d->context, EVP_sha256(), NULL) != 1) {
		digest_fini(d);
		return -ENOMEM;
	}
	return 0;
}

void digest_fini(struct digest *d)
{
	EVP_MD_CTX_free(d->context);
	d->context = NULL;
}

void digest_start(struct digest *d)
{
	d->has_failed = EVP_DigestInit_ex(d->context, NULL, NULL) != 1;
}

void digest_add(struct digest *d, const void *data, size_t n)
{
	d->has_failed = d->has_failed || EVP_DigestUpdate(d->context, data, n) != 1;
}

int digest_finish(struct digest *d, uint8_t out[DIGEST_SIZE])
{
	d->has_failed = d->has_failed || EVP_DigestFinal_ex(d->context, out, NULL) != 1;
	return d->has_failed ? -ENOMEM : 0;
}

int digest_once(struct str message, uint8_t out[DIGEST_SIZE])
{
	int ok = EVP_Digest(message.p, message.n, out, NULL, EVP_sha256(), NULL);

	return ok == 1 ? 0 : -ENOMEM;
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
