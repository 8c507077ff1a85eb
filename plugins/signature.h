/* Signatures of requests as Standard Webhooks 1.0 has them (standardwebhooks.com): HMAC-SHA256 of
 * "ID.TIMESTAMP.BODY", with every secret, so that a receiver can be moved from one secret to the next. */
#pragma once

#include "text.h"

enum { SECRETS_MAX = 4, SECRET_BYTES_MIN = 24, SECRET_BYTES_MAX = 64 };

struct secrets {
	size_t n;
	struct {
		unsigned char bytes[SECRET_BYTES_MAX];
		size_t n;
	} list[SECRETS_MAX];
};

/* Secrets as text, one per line: "whsec_" and base64 of 24 to 64 bytes; the prefix may be missing. -EINVAL,
 * and `why` is the reason. */
int secrets_read(const char *text, struct secrets *ret, const char **why);
/* The value of the header webhook-signature: "v1,…", one per secret, with blanks between. */
void signature_write(const struct secrets *secrets, const char *id, long long timestamp_s,
	const char *body, size_t n, struct text *out);
/* Overwrites them. */
void secrets_forget(struct secrets *secrets);
