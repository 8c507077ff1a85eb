/* Signatures of requests as Standard Webhooks 1.0 has them. */
#include "signature.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum { BASE64_MAX = (SECRET_BYTES_MAX + 2) / 3 * 4, SIGNATURE_BYTES = 32 };

static const char prefix[] = "whsec_";

static int read_secret(const char *p, size_t n, struct secrets *ret, const char **why)
{
	unsigned char bytes[BASE64_MAX];
	int len;

	if (n > strlen(prefix) && memcmp(p, prefix, strlen(prefix)) == 0) {
		p += strlen(prefix);
		n -= strlen(prefix);
	}
	*why = "a secret is 'whsec_' and base64 of 24 to 64 bytes";
	len = n && n % 4 == 0 && n <= BASE64_MAX ? EVP_DecodeBlock(bytes, (const void *)p, (int)n)
						 : -1;
	if (len < 0)
		return -EINVAL;
	len -= (p[n - 1] == '=') + (p[n - 2] == '=');
	if (len < SECRET_BYTES_MIN || len > SECRET_BYTES_MAX)
		return -EINVAL;
	if (ret->n == SECRETS_MAX) {
		*why = "there are more than 4 secrets";
		return -EINVAL;
	}
	memcpy(ret->list[ret->n].bytes, bytes, (size_t)len);
	ret->list[ret->n++].n = (size_t)len;
	OPENSSL_cleanse(bytes, sizeof bytes);
	return 0;
}

int secrets_read(const char *text, struct secrets *ret, const char **why)
{
	static const char blanks[] = " \t\r\n";

	*ret = (struct secrets){0};
	for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
		size_t n = strcspn(text, blanks);
		int r = read_secret(text, n, ret, why);

		if (r < 0)
			return r;
		text += n;
	}
	*why = "there is no secret in it";
	return ret->n ? 0 : -EINVAL;
}

void signature_write(const struct secrets *secrets, const char *id, long long timestamp_s,
	const char *body, size_t n, struct text *out)
{
	struct text content = {0};

	text_fmt(&content, "%s.%lld.", id, timestamp_s);
	text_bytes(&content, body, n);
	for (size_t i = 0; i < secrets->n && !content.failed; i++) {
		unsigned char mac[EVP_MAX_MD_SIZE];
		char base64[SIGNATURE_BYTES * 2];

		if (!HMAC(EVP_sha256(), secrets->list[i].bytes, (int)secrets->list[i].n,
			    (const unsigned char *)content.p, content.n, mac, NULL))
			out->failed = true;
		EVP_EncodeBlock((unsigned char *)base64, mac, SIGNATURE_BYTES);
		text_fmt(out, "%sv1,%s", i ? " " : "", base64);
	}
	out->failed |= content.failed;
	text_fini(&content);
}

void secrets_forget(struct secrets *secrets)
{
	OPENSSL_cleanse(secrets, sizeof *secrets);
}
