/* The publisher of heads. */
#include "cli/heads.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "cli/client.h"
#include "journal/line.h"
#include "journal/rebuild.h"

enum { POST_TIMEOUT_S = 5 };

struct heads_publisher {
	const char *journal_path;
	const struct host_heads *settings;
	struct client *client; /* NULL: no URL */
	struct queue wake;     /* nothing comes in it but a poke */
	atomic_bool is_ending;
	pthread_t thread;
	int64_t last_seq; /* that was noted */
};

/* One line, and it is on the disk when this returns. */
static int append_line(const char *path, const struct buf *line, struct err *e)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640), r = 0;

	if (fd < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	if (write(fd, line->data, line->len) != (ssize_t)line->len || fsync(fd) < 0)
		r = err_set(e, errno ? -errno : -EIO, "%s", strerror(errno ? errno : EIO));
	close(fd);
	return r;
}

static int post(struct client *client, const char *head, const char *time, struct err *e)
{
	_cleanup_(client_answer_fini) struct client_answer answer = {0};
	_cleanup_(buf_fini) struct buf body = {0};
	struct json_writer w = {&body, false};
	int r;

	json_open(&w, '{');
	json_key(&w, "head");
	json_text(&w, head);
	json_key(&w, "time");
	json_text(&w, time);
	json_close(&w, '}');
	if (body.failed)
		return err_set(e, -ENOMEM, "no memory");
	r = client_post_json(client, "", buf_view(&body), &answer, e);
	if (r == 0 && (answer.status < 200 || answer.status > 299))
		return err_set(e, -EPROTO, "the answer was %d", answer.status);
	return r;
}

static void send_out(struct heads_publisher *p, const char *head)
{
	_cleanup_(buf_fini) struct buf line = {0};
	char time[CLOCK_TEXT_SIZE];
	struct err e = {0};

	clock_text(clock_wall_us(), time);
	buf_fmt(&line, "time=%s head=%s\n", time, head);
	if (p->settings->file && (line.failed || append_line(p->settings->file, &line, &e) < 0))
		log_warn("heads file=%s cannot be written: %s", p->settings->file, err_text(&e));
	if (p->client && post(p->client, head, time, &e) < 0)
		log_warn("heads url=%s takes none: %s", p->settings->url, err_text(&e));
}

/* What was noted already is not noted again, but for the log at the end. */
static void note(struct heads_publisher *p, bool is_last)
{
	struct chain_head head;
	char text[CHAIN_HEAD_TEXT];
	struct err e = {0};

	if (journal_head(p->journal_path, &head, &e) < 0) {
		log_warn("heads: the journal's cannot be read: %s", err_text(&e));
		return;
	}
	if (!head.seq || (head.seq == p->last_seq && !is_last))
		return;
	chain_head_text(&head, text);
	log_info("head=%s", text);
	if (head.seq != p->last_seq)
		send_out(p, text);
	p->last_seq = head.seq;
}

static void *run(void *publisher)
{
	struct heads_publisher *p = publisher;

	while (!atomic_load(&p->is_ending)) {
		queue_take(&p->wake, clock_mono_ms() + p->settings->every_ms);
		note(p, atomic_load(&p->is_ending));
	}
	return NULL;
}

static void publisher_free(struct heads_publisher *p)
{
	client_free(p->client);
	queue_fini(&p->wake);
	free(p);
}

int heads_start(const char *journal_path, const struct host_heads *settings,
	struct heads_publisher **ret, struct err *e)
{
	struct heads_publisher *p = calloc(1, sizeof *p);
	int r;

	if (!p || queue_init(&p->wake, false) < 0) {
		free(p);
		return err_set(e, -ENOMEM, "no memory to start");
	}
	p->journal_path = journal_path;
	p->settings = settings;
	r = settings->url ? client_create(settings->url, &p->client, e) : 0;
	if (r < 0) {
		publisher_free(p);
		return err_wrap(e, r, "heads: url");
	}
	if (p->client)
		client_set_timeout(p->client, POST_TIMEOUT_S);
	r = -pthread_create(&p->thread, NULL, run, p);
	if (r < 0) {
		publisher_free(p);
		return err_set(e, r, "cannot start a thread for heads");
	}
	*ret = p;
	return 0;
}

void heads_stop(struct heads_publisher *p)
{
	if (!p)
		return;
	atomic_store(&p->is_ending, true);
	queue_poke(&p->wake);
	pthread_join(p->thread, NULL);
	publisher_free(p);
}
