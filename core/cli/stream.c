/* Server-sent events of the daemon, block by block, over losses of the connection. */
#include "cli/stream.h"

#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "cli/terminal.h"

/* One block of the stream: `data: {…}`, perhaps with other lines. */
static void take_block(struct stream *s, struct str block)
{
	bool is_reset = block.n > 12 && memcmp(block.p, "event: reset", 12) == 0;
	const char *data = memmem(block.p, block.n, "data: ", 6);
	cJSON *json = NULL;

	if (!data)
		return;
	data += 6;
	if (json_parse((struct str){data, block.n - (size_t)(data - block.p)}, JSON_DEPTH_MAX,
		    &json, NULL) == 0)
		s->on_event(s->arg, json, is_reset);
}

static bool is_over(const struct stream *s)
{
	return s->is_over(s->arg) || ferror(stdout);
}

static bool on_data(void *arg, struct str data)
{
	struct stream *s = arg;
	const char *end;
	size_t at = 0;

	s->is_lost = false;
	buf_str(&s->text, data);
	while (!s->text.failed && !is_over(s) &&
		(end = memmem(s->text.data + at, s->text.len - at, "\n\n", 2))) {
		size_t n = (size_t)(end - (s->text.data + at));

		take_block(s, (struct str){s->text.data + at, n});
		at += n + 2;
	}
	if (s->text.failed)
		return false;
	memmove(s->text.data, s->text.data + at, s->text.len - at);
	s->text.len -= at;
	return !is_over(s);
}

static void on_tick(void *arg)
{
	struct stream *s = arg;

	s->on_tick(s->arg);
}

void stream_pause(struct stream *s)
{
	static const struct timespec second = {.tv_sec = 1};

	if (!s->is_lost)
		fputs("The connection is lost; trying again\n", stderr);
	s->n_drawn = s->is_lost ? s->n_drawn : 0; /* the words stay */
	s->is_lost = true;
	buf_clear(&s->text);
	nanosleep(&second, NULL);
}

static int refused(const struct client_answer *a)
{
	const char *detail = json_member(a->json, "detail").p;

	fputs("stageline: error: ", stderr);
	terminal_put(stderr, detail ? detail : "the daemon gave no proper answer", SIZE_MAX);
	fprintf(stderr, " (%d)\n", a->status);
	return -EIO;
}

/* One connection. 0: it ended, perhaps to be made again. */
static int follow_once(struct stream *s)
{
	const struct client_reader reader = {on_data, on_tick, s};
	_cleanup_(client_answer_fini) struct client_answer answer = {0};
	_cleanup_(buf_fini) struct buf path = {0};
	struct err e = {0};
	int r;

	s->where(s->arg, &path);
	if (path.failed)
		r = err_set(&e, -ENOMEM, "no memory");
	else
		r = client_follow(s->remote->client, path.data, &reader, &answer, &e);
	if (r == 0 && answer.status == HTTP_BUSY && s->was_there)
		r = -EBUSY;
	if (r == 0 && answer.status)
		return refused(&answer);
	if (r == -EINTR)
		return r;
	s->was_there |= r == -ECONNRESET || r == 0;
	if (r < 0 && !s->was_there) {
		fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		return -EIO;
	}
	if (r < 0)
		stream_pause(s);
	return 0;
}

int stream_follow(struct stream *s)
{
	int r = 0;

	while (r == 0 && !is_over(s))
		r = follow_once(s);
	return r;
}

void stream_fini(struct stream *s)
{
	buf_fini(&s->text);
}

void stream_redraw(struct stream *s, size_t n_lines)
{
	if (s->n_drawn)
		printf("\033[%zuA\r\033[J", s->n_drawn);
	s->n_drawn = n_lines;
}
