/* Connecting to Redis, and its refusals in words that help. */
#include "bus/redis_link.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/redis_dial.h"

enum {
	LOG_AGAIN_MS = 10000,
	BACKOFF_MS = 50,
	BACKOFF_MAX_MS = 3000,
	TURNED_MS = 1000,
	PASSWORD_MAX = 512,
	OUT_KEPT = 64 << 10, /* bytes of room that outlive a sending */
};

static const struct {
	const char *word, *remedy;
	bool is_elsewhere; /* whom the address names now may do it */
} refusals[] = {
	{"WRONGTYPE", "the key holds something that is not Stageline's: delete it, or set another "
		      "prefix"},
	{"LOADING", "Redis is still loading its data; it is tried again"},
	{"OOM", "Redis has no memory left: raise its maxmemory (and keep maxmemory-policy "
		"noeviction)"},
	{"READONLY", "this Redis is a replica: let the url name the primary", true},
	{"NOAUTH", "Redis wants a password: set password_file"},
	{"WRONGPASS", "username and password do not fit: check password_file"},
	{"NOPERM", "the user may not do this: give it ~PREFIX:* and +@all -@dangerous"},
	{"MISCONF", "Redis cannot write its snapshots and refuses writes: mend its disk, or set "
		    "stop-writes-on-bgsave-error no"},
	{"MASTERDOWN", "this replica has lost its primary: let the url name the primary", true},
	{"NOREPLICAS", "Redis has too few replicas to write (min-replicas-to-write); it is tried "
		       "again"},
	{"BUSY", "a script keeps Redis from all else: SCRIPT KILL; it is tried again"},
	{"MOVED", "this is a node of a cluster that does not have the key: let the url name the "
		  "node that has"},
	{"CLUSTERDOWN", "the cluster is down"},
	{"another coordinator", "give each coordinator a prefix of its own, and restart this one"},
	{"ERR unknown command", "this server is too old: Redis 6.2 or a server that knows its "
				"streams is needed"},
	{"ERR max number of clients", "raise maxclients of Redis"},
	{"ERR", "see the log of Redis"},
};

#define BROKEN ARRAY_LEN(refusals)

_Static_assert(ARRAY_LEN(refusals) < REDIS_TROUBLES, "each kind of trouble is logged for itself");

void redis_link_init(struct redis_link *l, const struct redis_options *o, struct redis_health *h,
	const char *what)
{
	*l = (struct redis_link){.options = o, .health = h, .what = what};
}

static void address_text(const struct redis_options *o, char *out, size_t size)
{
	if (o->path)
		snprintf(out, size, "%s", o->path);
	else
		snprintf(out, size, strchr(o->host, ':') ? "[%s]:%u" : "%s:%u", o->host, o->port);
}

/* Says what is wrong: for whoever asks, and in the log when it was not said just now. */
static void say(struct redis_health *h, size_t kind, const char *text)
{
	int64_t now_ms = clock_mono_ms();
	bool is_news;

	pthread_mutex_lock(&h->lock);
	is_news = !h->logged_ms[kind] || now_ms - h->logged_ms[kind] >= LOG_AGAIN_MS;
	if (is_news)
		h->logged_ms[kind] = now_ms;
	h->was_down |= kind == BROKEN && is_news;
	snprintf(h->text, sizeof h->text, "%.*s", (int)sizeof h->text - 1, text);
	pthread_mutex_unlock(&h->lock);
	if (is_news)
		log_error("bus=redis %s", text);
}

static void close_link(struct redis_link *l)
{
	if (l->c)
		redisFree(l->c);
	l->c = NULL;
	buf_fini(&l->out);
	if (l->is_up)
		atomic_fetch_sub(&l->health->n_up, 1);
	l->is_up = false;
}

void redis_link_down(struct redis_link *l)
{
	close_link(l);
	l->again_ms = 0;
}

/* Twice as long each time, and not for everybody at the same moment. */
static void back_off(struct redis_link *l)
{
	int64_t wait_ms = BACKOFF_MS << (l->n_failures < 7 ? l->n_failures : 7);
	uint32_t random;

	id_random(&random, sizeof random);
	if (wait_ms > BACKOFF_MAX_MS)
		wait_ms = BACKOFF_MAX_MS;
	l->n_failures++;
	l->again_ms = clock_mono_ms() + wait_ms / 2 + random % (wait_ms + 1);
}

static const char *why_broken(const struct redis_link *l)
{
	if (l->c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK))
		return "it did not answer in time";
	return l->c->errstr[0] ? l->c->errstr : "the connection broke";
}

/* It broke, or cannot be made: said, closed, backed off. Returns -EIO. */
static int lost(struct redis_link *l, const char *why)
{
	char text[384], address[128];

	address_text(l->options, address, sizeof address);
	snprintf(text, sizeof text,
		"%s cannot be reached: %.160s; orders are accepted, their tasks wait", address,
		why);
	close_link(l);
	back_off(l);
	say(l->health, BROKEN, text);
	return -EIO;
}

int redis_link_refused(struct redis_link *l, const char *key, const char *error)
{
	size_t kind = 0;
	char text[256];

	while (kind < ARRAY_LEN(refusals) - 1 &&
		strncmp(error, refusals[kind].word, strlen(refusals[kind].word)) != 0)
		kind++;
	snprintf(text, sizeof text, "key=%s: %.100s; %s", key, error, refusals[kind].remedy);
	if (refusals[kind].is_elsewhere)
		atomic_store(&l->health->turned_ms, clock_mono_ms());
	say(l->health, kind, text);
	return -EPROTO;
}

/* --- talking --- */

void redis_put_nothing(struct redis_link *l)
{
	l->out.failed = l->c != NULL;
}

/* `n`: its length; negative: no memory for it. */
static void put_command(struct redis_link *l, char *command, int n)
{
	if (n < 0)
		redis_put_nothing(l);
	else
		buf_add(&l->out, command, (size_t)n);
	free(command);
}

static void put_format(struct redis_link *l, const char *format, va_list ap)
{
	char *command = NULL;
	int n = redisvFormatCommand(&command, format, ap);

	put_command(l, command, n);
}

void redis_put(struct redis_link *l, const char *format, ...)
{
	va_list ap;

	if (!l->c)
		return;
	va_start(ap, format);
	put_format(l, format, ap);
	va_end(ap);
}

void redis_put_argv(struct redis_link *l, int n, const char **argv, const size_t *lengths)
{
	char *command = NULL;
	int len;

	if (!l->c)
		return;
	len = redisFormatCommandArgv(&command, n, argv, lengths);
	put_command(l, command, len);
}

static void note_error(redisContext *c, int kind, const char *text)
{
	c->err = kind;
	snprintf(c->errstr, sizeof c->errstr, "%s", text);
}

/* Not by hiredis 0.14: when there is no memory for an empty buffer behind the full one, it crashes. */
static bool send_out(struct redis_link *l)
{
	size_t sent = 0;

	if (l->out.failed) {
		note_error(l->c, REDIS_ERR_OOM, "no memory for a command");
		return false;
	}
	while (sent < l->out.len) {
		ssize_t n = send(l->c->fd, l->out.data + sent, l->out.len - sent, MSG_NOSIGNAL);

		if (n >= 0) {
			sent += (size_t)n;
		} else if (errno != EINTR) {
			note_error(l->c, REDIS_ERR_IO, strerror(errno));
			return false;
		}
	}
	if (l->out.cap > OUT_KEPT)
		buf_fini(&l->out);
	buf_clear(&l->out);
	return true;
}

redisReply *redis_get(struct redis_link *l)
{
	void *reply = NULL;

	if (!l->c)
		return NULL;
	errno = 0;
	if (send_out(l) && redisGetReply(l->c, &reply) == REDIS_OK && reply)
		return reply;
	lost(l, why_broken(l));
	return NULL;
}

redisReply *redis_ask(struct redis_link *l, const char *key, const char *format, ...)
{
	redisReply *reply;
	va_list ap;

	if (!l->c)
		return NULL;
	va_start(ap, format);
	put_format(l, format, ap);
	va_end(ap);
	reply = redis_get(l);
	if (!reply || !redis_is_error(reply))
		return reply;
	redis_link_refused(l, key, reply->str);
	freeReplyObject(reply);
	return NULL;
}

/* --- logging in --- */

/* The first line of the file; read at each login, so that it may be changed. */
static int read_password(const char *path, char out[PASSWORD_MAX])
{
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	if (!fgets(out, PASSWORD_MAX, f))
		out[0] = '\0';
	fclose(f);
	out[strcspn(out, "\r\n")] = '\0';
	return 0;
}

static int log_in(struct redis_link *l)
{
	const struct redis_options *o = l->options;
	char password[PASSWORD_MAX], text[256];
	redisReply *reply;
	int r = 0;

	if (!o->password_file && !o->password)
		return 0;
	if (o->password_file)
		r = read_password(o->password_file, password);
	else
		snprintf(password, sizeof password, "%s", o->password);
	if (r < 0) {
		snprintf(text, sizeof text, "password_file '%s': %s", o->password_file,
			strerror(-r));
		say(l->health, BROKEN, text);
		return r;
	}
	reply = o->username ? redis_ask(l, "AUTH", "AUTH %s %s", o->username, password)
			    : redis_ask(l, "AUTH", "AUTH %s", password);
	explicit_bzero(password, sizeof password);
	if (!reply)
		return -EACCES;
	freeReplyObject(reply);
	return 0;
}

static int greet(struct redis_link *l)
{
	const struct redis_options *o = l->options;
	_cleanup_(redis_reply_freep) redisReply *selected = NULL, *named = NULL, *answer = NULL;
	int r = log_in(l);

	if (r < 0)
		return r;
	selected = redis_ask(l, "SELECT", "SELECT %lld", (long long)o->database);
	if (!selected)
		return -EPROTO;
	redis_put(l, "CLIENT SETNAME stageline-%s", l->what);
	named = redis_get(l); /* a server that has no names will do */
	answer = named ? redis_ask(l, "PING", "PING") : NULL;
	return answer ? 0 : -EPROTO;
}

static void say_up(struct redis_link *l)
{
	struct redis_health *h = l->health;
	char address[128];
	bool was_down;

	pthread_mutex_lock(&h->lock);
	was_down = h->was_down;
	h->was_down = false;
	h->text[0] = '\0';
	pthread_mutex_unlock(&h->lock);
	address_text(l->options, address, sizeof address);
	if (was_down)
		log_info("bus=redis %s is connected again", address);
}

int redis_link_up(struct redis_link *l)
{
	struct err e = {0};

	if (l->c && l->up_ms > atomic_load(&l->health->turned_ms))
		return 0;
	if (l->c) { /* after a fail-over that it outlived */
		close_link(l);
		l->again_ms = clock_mono_ms() + TURNED_MS;
	}
	if (clock_mono_ms() < l->again_ms)
		return -EAGAIN;
	l->c = redis_dial(l->options, &e);
	if (!l->c)
		return lost(l, err_text(&e));
	if (greet(l) < 0) {
		close_link(l);
		if (l->again_ms <= clock_mono_ms())
			back_off(l);
		return -EIO;
	}
	l->n_failures = 0;
	l->up_ms = clock_mono_ms() + 1; /* after whatever was said of those before it */
	l->is_up = true;
	atomic_fetch_add(&l->health->n_up, 1);
	say_up(l);
	return 0;
}
