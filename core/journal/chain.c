/* The hash chain's bytes and hashes. Where they are stored is not known here. */
#include "journal/chain.h"

int chain_init(struct chain *c)
{
	c->header = (struct buf){0};
	return digest_init(&c->digest);
}

void chain_fini(struct chain *c)
{
	digest_fini(&c->digest);
	buf_fini(&c->header);
}

static unsigned char *put_number(unsigned char *p, uint64_t value, int n_bytes)
{
	for (int shift = 8 * (n_bytes - 1); shift >= 0; shift -= 8)
		*p++ = (unsigned char)(value >> shift);
	return p;
}

static void add_text(struct buf *out, struct str text)
{
	unsigned char length[4];

	put_number(length, text.n, sizeof length);
	buf_add(out, length, sizeof length);
	buf_str(out, text);
}

void chain_header(const struct event *ev, struct buf *out)
{
	static const struct id none;
	const struct id *id = ev->kind == EVENT_ORDER_CREATED ? &ev->order_id : &none;
	unsigned char fixed[48], *p = fixed;

	p = put_number(p, (uint64_t)ev->seq, 8);
	p = put_number(p, (uint64_t)ev->time_us, 8);
	p = put_number(p, (uint64_t)ev->order_seq, 8);
	p = put_number(p, (uint64_t)ev->kind, 4);
	p = put_number(p, ev->attempt, 4);
	memcpy(p, id->bytes, sizeof id->bytes);
	buf_add(out, fixed, sizeof fixed);
	add_text(out, ev->type);
	add_text(out, ev->stage);
}

int chain_digest(struct chain *c, const uint8_t salt[CHAIN_SALT_SIZE], struct str payload,
	uint8_t out[CHAIN_HASH_SIZE])
{
	digest_start(&c->digest);
	digest_add(&c->digest, salt, CHAIN_SALT_SIZE);
	digest_add(&c->digest, payload.p, payload.n);
	return digest_finish(&c->digest, out);
}

int chain_hash(struct chain *c, const uint8_t previous[CHAIN_HASH_SIZE], const struct event *ev,
	const uint8_t digest[CHAIN_HASH_SIZE], uint8_t out[CHAIN_HASH_SIZE])
{
	buf_clear(&c->header);
	chain_header(ev, &c->header);
	if (c->header.failed)
		return -ENOMEM;
	digest_start(&c->digest);
	digest_add(&c->digest, previous, CHAIN_HASH_SIZE);
	digest_add(&c->digest, c->header.data, c->header.len);
	digest_add(&c->digest, digest, CHAIN_HASH_SIZE);
	return digest_finish(&c->digest, out);
}
