/* Packing values, and unpacking them without believing them. */
#include "base/pack.h"

#include <endian.h>
#include <errno.h>

#define TEXT_ABSENT UINT32_MAX

void pack_u32(struct buf *out, uint32_t v)
{
	v = htole32(v);
	buf_add(out, &v, sizeof v);
}

void pack_u64(struct buf *out, uint64_t v)
{
	v = htole64(v);
	buf_add(out, &v, sizeof v);
}

void pack_str(struct buf *out, struct str s)
{
	pack_u32(out, s.p ? (uint32_t)s.n : TEXT_ABSENT);
	if (!s.p)
		return;
	buf_str(out, s);
	buf_char(out, '\0');
}

const char *unpack_bytes(struct unpack *r, size_t n)
{
	const char *p = r->rest.p;

	if (r->failed || n > r->rest.n) {
		r->failed = true;
		return NULL;
	}
	r->rest.p += n;
	r->rest.n -= n;
	return p;
}

uint32_t unpack_u32(struct unpack *r)
{
	const char *p = unpack_bytes(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return le32toh(v);
}

uint64_t unpack_u64(struct unpack *r)
{
	const char *p = unpack_bytes(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return le64toh(v);
}

struct str unpack_str(struct unpack *r)
{
	uint32_t n = unpack_u32(r);
	const char *p, *end;

	if (r->failed || n == TEXT_ABSENT)
		return (struct str){0};
	p = unpack_bytes(r, n);
	end = unpack_bytes(r, 1);
	if (!end || *end)
		r->failed = true;
	if (r->failed)
		return (struct str){0};
	return (struct str){p, n};
}

const char *unpack_text(struct unpack *r)
{
	struct str s = unpack_str(r);

	if (s.p && memchr(s.p, '\0', s.n))
		r->failed = true;
	return r->failed ? NULL : s.p;
}

int unpack_end(const struct unpack *r)
{
	return r->failed || r->rest.n ? -EPROTO : 0;
}
