/* Identifiers: UUID version 7 (RFC 9562), and random bytes. */
#include "base/id.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>

enum { POOL_SIZE = 1024 };

typedef void random_source(void *out, size_t n);
static _Atomic(random_source *) other_source;

void id_set_random(void (*source)(void *out, size_t n))
{
	atomic_store_explicit(&other_source, source, memory_order_relaxed);
}

static void kernel_random(void *out, size_t n)
{
	static _Thread_local uint8_t pool[POOL_SIZE];
	static _Thread_local size_t left;

	assert(n <= POOL_SIZE);
	if (left < n) {
		size_t have = 0;

		while (have < POOL_SIZE) {
			ssize_t r = getrandom(pool + have, POOL_SIZE - have, 0);

			assert(r > 0 || errno == EINTR);
			have += r > 0 ? (size_t)r : 0;
		}
		left = POOL_SIZE;
	}
	left -= n;
	memcpy(out, pool + left, n);
}

void id_random(void *out, size_t n)
{
	random_source *source = atomic_load_explicit(&other_source, memory_order_relaxed);

	(source ? source : kernel_random)(out, n);
}

void id_create(struct id *ret, int64_t wall_us)
{
	uint64_t ms = (uint64_t)(wall_us / 1000);
	uint64_t fraction = (uint64_t)(wall_us % 1000) * 4096 / 1000;

	for (int i = 0; i < 6; i++)
		ret->bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	ret->bytes[6] = (uint8_t)(0x70 | (fraction >> 8));
	ret->bytes[7] = (uint8_t)fraction;
	id_random(ret->bytes + 8, 8);
	ret->bytes[8] = (uint8_t)(0x80 | (ret->bytes[8] & 0x3f));
}

static const char hyphen_before[16] = {[4] = 1, [6] = 1, [8] = 1, [10] = 1};

void id_text(const struct id *id, char out[ID_TEXT_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	for (int i = 0; i < 16; i++) {
		if (hyphen_before[i])
			*p++ = '-';
		*p++ = hex[id->bytes[i] >> 4];
		*p++ = hex[id->bytes[i] & 15];
	}
	*p = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int id_parse(struct str text, struct id *ret)
{
	struct id id;
	const char *p = text.p;

	if (text.n != ID_TEXT_SIZE - 1)
		return -EINVAL;
	for (int i = 0; i < 16; i++) {
		int high, low;

		if (hyphen_before[i] && *p++ != '-')
			return -EINVAL;
		high = hex_digit(*p++);
		low = hex_digit(*p++);
		if (high < 0 || low < 0)
			return -EINVAL;
		id.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret = id;
	return 0;
}
