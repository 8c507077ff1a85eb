/* Rows of `events` read from the pages of a damaged file. */
#include "journal/pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum {
	PAGE_DEFAULT = 4096,
	PAGE_MIN = 512,
	PAGE_MAX = 65536,
	FILE_HEADER = 100,
	WAL_HEADER = 32,
	FRAME_HEADER = 24,
	LEAF_HEADER = 8,
	RECORD_MAX = 64 << 20,
	N_COLUMNS = 12,
};

struct scan {
	int fd, wal_fd; /* -1: there is none */
	size_t page_size;
	int64_t n_pages, n_frames;
	uint32_t *latest;	     /* of each page, its last frame in the log, from 1; 0: none */
	unsigned char *page, *other; /* `other`: overflow */
	struct buf record;
	const struct page_visitor *visitor;
	int64_t rank;
};

static void scan_fini(struct scan *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->wal_fd >= 0)
		close(s->wal_fd);
	free(s->latest);
	free(s->page);
	free(s->other);
	buf_fini(&s->record);
}

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static size_t be16(const unsigned char *p)
{
	return (size_t)p[0] << 8 | p[1];
}

/* Its length; 0: there is none in `n` bytes. */
static size_t read_varint(const unsigned char *p, size_t n, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n && i < 9; i++) {
		if (i == 8) {
			*ret = value << 8 | p[i];
			return 9;
		}
		value = value << 7 | (p[i] & 0x7f);
		if (!(p[i] & 0x80)) {
			*ret = value;
			return i + 1;
		}
	}
	return 0;
}

/* --- pages --- */

static bool read_at(int fd, int64_t offset, unsigned char *out, size_t n)
{
	return fd >= 0 && pread(fd, out, n, offset) == (ssize_t)n;
}

static int64_t frame_offset(const struct scan *s, int64_t frame)
{
	return WAL_HEADER + (frame - 1) * (int64_t)(FRAME_HEADER + s->page_size);
}

/* The newest version of a page; `is_old`: that of the main file. */
static bool read_page(const struct scan *s, uint32_t number, bool is_old, unsigned char *out)
{
	uint32_t frame = !is_old && number <= s->n_pages ? s->latest[number] : 0;

	if (number == 0 || number > s->n_pages)
		return false;
	if (frame)
		return read_at(s->wal_fd, frame_offset(s, frame) + FRAME_HEADER, out, s->page_size);
	return read_at(s->fd, (int64_t)(number - 1) * (int64_t)s->page_size, out, s->page_size);
}

/* --- records --- */

struct column {
	uint64_t type;
	const unsigned char *p;
	size_t n;
};

static size_t size_of_type(uint64_t type)
{
	static const uint8_t sizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};

	if (type < ARRAY_LEN(sizes))
		return sizes[type];
	return type < 12 || type > RECORD_MAX ? RECORD_MAX : (size_t)(type - 12) / 2;
}

static bool is_int(const struct column *c)
{
	return (c->type >= 1 && c->type <= 6) || c->type == 8 || c->type == 9;
}

static bool is_text(const struct column *c)
{
	return c->type >= 13 && c->type % 2;
}

static bool is_blob(const struct column *c, size_t n)
{
	return c->type == 12 + 2 * n;
}

static int64_t int_of(const struct column *c)
{
	uint64_t value = c->n && c->p[0] & 0x80 ? UINT64_MAX : 0;

	if (c->type == 8 || c->type == 9)
		return (int64_t)c->type - 8;
	for (size_t i = 0; i < c->n; i++)
		value = value << 8 | c->p[i];
	return (int64_t)value;
}

static struct str str_of_column(const struct column *c)
{
	return c->type ? (struct str){(const char *)c->p, c->n} : (struct str){0};
}

/* Exactly the columns of `events`. */
static bool split_record(struct str record, struct column columns[N_COLUMNS])
{
	const unsigned char *p = (const unsigned char *)record.p;
	uint64_t header;
	size_t at = read_varint(p, record.n, &header), body;

	if (!at || header > record.n)
		return false;
	body = (size_t)header;
	for (size_t i = 0; i < N_COLUMNS; i++) {
		size_t n = at < header ? read_varint(p + at, (size_t)header - at, &columns[i].type)
				       : 0;

		if (!n)
			return false;
		at += n;
		columns[i].n = size_of_type(columns[i].type);
		columns[i].p = p + body;
		if (columns[i].n > record.n - body)
			return false;
		body += columns[i].n;
	}
	return at == header && body == record.n;
}

static bool has_form(const struct column c[N_COLUMNS])
{
	return c[0].type == 0 && is_int(&c[1]) && (is_int(&c[2]) || !c[2].type) && is_int(&c[3]) &&
	       is_text(&c[4]) && (is_text(&c[5]) || !c[5].type) && is_int(&c[6]) &&
	       (is_blob(&c[7], 16) || !c[7].type) &&
	       (is_blob(&c[8], CHAIN_SALT_SIZE) || !c[8].type) && (is_text(&c[9]) || !c[9].type) &&
	       (is_blob(&c[10], CHAIN_HASH_SIZE) || !c[10].type) &&
	       is_blob(&c[11], CHAIN_HASH_SIZE);
}

static int take_record(struct scan *s, int64_t rowid, struct err *e)
{
	struct column c[N_COLUMNS];
	struct chain_row row;

	if (!split_record(buf_view(&s->record), c) || !has_form(c))
		return 0;
	row = (struct chain_row){.ev = {.seq = rowid,
					 .time_us = int_of(&c[1]),
					 .order_seq = int_of(&c[2]),
					 .kind = (enum event_kind)int_of(&c[3]),
					 .type = str_of_column(&c[4]),
					 .stage = str_of_column(&c[5]),
					 .attempt = (uint32_t)int_of(&c[6])},
		.kind = int_of(&c[3]),
		.id = str_of_column(&c[7]),
		.salt = str_of_column(&c[8]),
		.payload = str_of_column(&c[9]),
		.digest = str_of_column(&c[10]),
		.hash = str_of_column(&c[11])};
	if (row.kind == EVENT_ORDER_CREATED && row.id.p)
		memcpy(row.ev.order_id.bytes, row.id.p, row.id.n);
	return s->visitor->on_row(s->visitor->arg, &row, s->rank, e);
}

/* --- cells --- */

/* How much of a record of that length stands in the leaf page itself. */
static size_t local_size(const struct scan *s, size_t length)
{
	size_t usable = s->page_size, max = usable - 35, min = (usable - 12) * 32 / 255 - 23, k;

	if (length <= max)
		return length;
	k = min + (length - min) % (usable - 4);
	return k <= max ? k : min;
}

/* What of the record stands on other pages. False: the way is lost. */
static bool follow_overflow(struct scan *s, uint32_t number, size_t left, bool is_old)
{
	while (left) {
		size_t n = left < s->page_size - 4 ? left : s->page_size - 4;

		if (!read_page(s, number, is_old, s->other))
			return false;
		buf_add(&s->record, s->other + 4, n);
		number = be32(s->other);
		left -= n;
	}
	return true;
}

/* A record may be whole by the newest or by the older version of its other pages. */
static int take_long(struct scan *s, const unsigned char *local, size_t n_local, size_t length,
	int64_t rowid, struct err *e)
{
	for (int is_old = 0; is_old <= 1; is_old++) {
		int r;

		buf_clear(&s->record);
		buf_add(&s->record, local, n_local);
		if (!follow_overflow(s, be32(local + n_local), length - n_local, is_old))
			continue;
		r = s->record.failed ? err_set(e, -ENOMEM, "out of memory")
				     : take_record(s, rowid, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int take_cell(struct scan *s, size_t at, struct err *e)
{
	const unsigned char *p = s->page + at;
	size_t room = s->page_size - at, n, m, n_local;
	uint64_t length, rowid;

	n = read_varint(p, room, &length);
	m = n ? read_varint(p + n, room - n, &rowid) : 0;
	if (!m || length < N_COLUMNS || length > RECORD_MAX)
		return 0;
	p += n + m;
	room -= n + m;
	n_local = local_size(s, (size_t)length);
	if (n_local > room || (n_local < length && n_local + 4 > room))
		return 0;
	if (n_local < length)
		return take_long(s, p, n_local, (size_t)length, (int64_t)rowid, e);
	buf_clear(&s->record);
	buf_add(&s->record, p, n_local);
	return s->record.failed ? err_set(e, -ENOMEM, "out of memory")
				: take_record(s, (int64_t)rowid, e);
}

/* A page whose type is damaged is looked at as a leaf, too: its cells tell. */
static int take_page(struct scan *s, bool is_first, struct err *e)
{
	static const unsigned char others[] = {2, 5, 10}; /* inner pages and indices */
	size_t start = is_first ? FILE_HEADER : 0, n = be16(s->page + start + 3);
	int r = 0;

	if (memchr(others, s->page[start], sizeof others))
		return 0;
	if (n > (s->page_size - start - LEAF_HEADER) / 2)
		n = (s->page_size - start - LEAF_HEADER) / 2;
	for (size_t i = 0; i < n && r == 0; i++) {
		size_t at = be16(s->page + start + LEAF_HEADER + 2 * i);

		if (at >= start + LEAF_HEADER && at < s->page_size)
			r = take_cell(s, at, e);
	}
	return r;
}

/* --- files --- */

static size_t find_page_size(int fd)
{
	unsigned char header[FILE_HEADER];
	size_t size;

	if (!read_at(fd, 0, header, sizeof header))
		return PAGE_DEFAULT;
	size = be16(header + 16) == 1 ? PAGE_MAX : be16(header + 16);
	return size >= PAGE_MIN && (size & (size - 1)) == 0 ? size : PAGE_DEFAULT;
}

static int64_t file_size(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;
}

static int index_log(struct scan *s, struct err *e)
{
	s->latest = calloc((size_t)s->n_pages + 1, sizeof *s->latest);
	if (!s->latest)
		return err_set(e, -ENOMEM, "out of memory");
	for (int64_t i = 1; i <= s->n_frames; i++) {
		unsigned char header[FRAME_HEADER];

		if (read_at(s->wal_fd, frame_offset(s, i), header, sizeof header) &&
			be32(header) <= s->n_pages)
			s->latest[be32(header)] = (uint32_t)i;
	}
	return 0;
}

static int open_files(struct scan *s, const char *path, struct err *e)
{
	_cleanup_(freep) char *wal = NULL;
	int64_t pages, frames;

	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0)
		return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	if (asprintf(&wal, "%s-wal", path) < 0) {
		wal = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	s->wal_fd = open(wal, O_RDONLY | O_CLOEXEC);
	s->page_size = find_page_size(s->fd);
	pages = file_size(s->fd) / (int64_t)s->page_size;
	frames = (file_size(s->wal_fd) - WAL_HEADER) / (int64_t)(FRAME_HEADER + s->page_size);
	s->n_frames = frames > 0 ? frames : 0;
	s->n_pages = pages + s->n_frames; /* the log may have pages behind the file's end */
	s->page = malloc(s->page_size);
	s->other = malloc(s->page_size);
	return s->page && s->other ? index_log(s, e) : err_set(e, -ENOMEM, "out of memory");
}

static int scan_all(struct scan *s, const struct journal_watch *watch, struct err *e)
{
	int64_t pages = file_size(s->fd) / (int64_t)s->page_size, total = pages + s->n_frames;
	int r = 0;

	for (int64_t i = 0; i < pages && r == 0; i++) {
		s->rank = 0;
		if (read_at(s->fd, i * (int64_t)s->page_size, s->page, s->page_size))
			r = take_page(s, i == 0, e);
		journal_watch_tick(watch, i, total);
	}
	for (int64_t i = 1; i <= s->n_frames && r == 0; i++) {
		unsigned char header[FRAME_HEADER];

		s->rank = i;
		if (read_at(s->wal_fd, frame_offset(s, i), header, sizeof header) &&
			read_at(s->wal_fd, frame_offset(s, i) + FRAME_HEADER, s->page,
				s->page_size))
			r = take_page(s, be32(header) == 1, e);
		journal_watch_tick(watch, pages + i, total);
	}
	if (r == 0)
		journal_watch_tell(watch, total, total);
	return r;
}

int pages_scan(const char *path, const struct page_visitor *visitor,
	const struct journal_watch *watch, struct err *e)
{
	struct scan s = {.fd = -1, .wal_fd = -1, .visitor = visitor};
	int r = open_files(&s, path, e);

	if (r == 0)
		r = scan_all(&s, watch, e);
	scan_fini(&s);
	return r;
}
