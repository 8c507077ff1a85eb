/* Taking the address of Redis apart. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "bus/redis.h"

enum { PORT = 6379 };

static bool take_number(struct str text, int64_t max, int64_t *ret)
{
	int64_t v = 0;

	if (!text.n || text.n > 9)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		v = v * 10 + (text.p[i] - '0');
	}
	*ret = v;
	return v <= max;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A copy without %XX. -ENOMEM; -EINVAL: that is no such text. */
static int decode(struct arena *arena, struct str s, const char **ret)
{
	char *out = arena_alloc(arena, s.n + 1), *at = out;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '%') {
			*at++ = s.p[i];
			continue;
		}
		if (i + 2 >= s.n || hex(s.p[i + 1]) < 0 || hex(s.p[i + 2]) < 0)
			return -EINVAL;
		*at++ = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
		i += 2;
	}
	*at = '\0';
	*ret = out;
	return 0;
}

static struct str cut(struct str *rest, char at)
{
	const char *p = memchr(rest->p, at, rest->n);
	struct str before = {rest->p, p ? (size_t)(p - rest->p) : rest->n};

	rest->p += before.n + (p != NULL);
	rest->n -= before.n + (p != NULL);
	return before;
}

static int take_part(
	struct arena *arena, struct str part, const char *what, const char **ret, struct err *e)
{
	int r = decode(arena, part, ret);

	return r == -EINVAL ? err_set(e, r, "the url's %s is not written as in a URL", what)
	       : r < 0	    ? err_set(e, r, "no memory for the url")
			    : 0;
}

static int take_user(struct redis_options *o, struct arena *arena, struct str who, struct err *e)
{
	bool has_password = memchr(who.p, ':', who.n) != NULL;
	struct str user = cut(&who, ':');
	int r = user.n ? take_part(arena, user, "user", &o->username, e) : 0;

	return r == 0 && has_password ? take_part(arena, who, "password", &o->password, e) : r;
}

static int take_place(struct redis_options *o, struct arena *arena, struct str place, struct err *e)
{
	struct str host = place;
	int64_t port = PORT;
	bool is_fine = true;

	if (place.n && *place.p == '[') {
		place.p++, place.n--;
		host = cut(&place, ']');
		if (place.n)
			is_fine = *place.p == ':' &&
				  take_number((struct str){place.p + 1, place.n - 1}, 65535, &port);
	} else if (memchr(place.p, ':', place.n)) {
		host = cut(&place, ':');
		is_fine = take_number(place, 65535, &port);
	}
	if (!is_fine || !port)
		return err_set(e, -EINVAL, "the url's port is not a number from 1 to 65535");
	o->port = (uint16_t)port;
	return take_part(arena, host.n ? host : STR("127.0.0.1"), "host", &o->host, e);
}

int redis_url_read(struct redis_options *o, struct arena *arena, struct err *e)
{
	struct str rest = str_of(o->url), place;
	const char *at;
	int r = 0;

	o->path = o->host = NULL;
	if (str_starts(rest, STR("unix://"))) {
		if (o->url[7] != '/')
			return err_set(
				e, -EINVAL, "a url of unix:// goes on with an absolute path");
		o->path = o->url + 7;
		return 0;
	}
	if (str_starts(rest, STR("rediss://")))
		return err_set(e, -EINVAL,
			"rediss:// is not spoken: run a TLS tunnel such as stunnel on this machine "
			"and name that");
	if (!str_starts(rest, STR("redis://")))
		return err_set(
			e, -EINVAL, "the url begins with redis://HOST:PORT, or unix:///PATH");
	rest.p += 8, rest.n -= 8;
	place = cut(&rest, '/');
	at = memrchr(place.p, '@', place.n);
	if (at)
		r = take_user(o, arena, (struct str){place.p, (size_t)(at - place.p)}, e);
	if (r == 0 && at)
		place = (struct str){at + 1, place.n - (size_t)(at + 1 - place.p)};
	if (r == 0)
		r = take_place(o, arena, place, e);
	if (r == 0 && rest.n && !take_number(rest, 9999, &o->database))
		return err_set(e, -EINVAL, "the url's path is not the number of a database");
	return r;
}
