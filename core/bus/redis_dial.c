/* Dialing Redis. hiredis 0.14 ends the process when it has no memory for an address that it dials itself
 * (hi_malloc() aborts), so it is given sockets that are connected. */
#include "bus/redis_dial.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct timeval time_of(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* The socket, or why there is none. */
static int dial_address(
	const struct redis_options *o, int family, const struct sockaddr *address, socklen_t len)
{
	const struct timeval limit = time_of(o->connect_timeout_ms);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
		r = -errno;
	else if (connect(fd, address, len) < 0)
		r = errno == EINPROGRESS || errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

static int dial_path(const struct redis_options *o, struct err *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = -ENAMETOOLONG;

	if (strlen(o->path) < sizeof address.sun_path) {
		snprintf(address.sun_path, sizeof address.sun_path, "%s", o->path);
		fd = dial_address(o, AF_UNIX, (const struct sockaddr *)&address, sizeof address);
	}
	return fd < 0 ? err_set(e, fd, "%s", strerror(-fd)) : fd;
}

static int dial_host(const struct redis_options *o, struct err *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *all = NULL;
	char port[8];
	int r, fd = -EADDRNOTAVAIL, on = 1;

	snprintf(port, sizeof port, "%u", o->port);
	r = getaddrinfo(o->host, port, &hints, &all);
	if (r != 0)
		return err_set(e, -EHOSTUNREACH, "%s", gai_strerror(r));
	for (const struct addrinfo *a = all; a && fd < 0; a = a->ai_next)
		fd = dial_address(o, a->ai_family, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(all);
	if (fd < 0)
		return err_set(e, fd, "%s", strerror(-fd));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

redisContext *redis_dial(const struct redis_options *o, struct err *e)
{
	int fd = o->path ? dial_path(o, e) : dial_host(o, e);
	redisContext *c = fd < 0 ? NULL : redisConnectFd(fd);

	if (!c && fd >= 0) {
		close(fd);
		err_set(e, -ENOMEM, "no memory for a connection");
	}
	if (!c)
		return NULL;
	redisSetTimeout(c, time_of(o->timeout_ms));
	if (!o->path)
		redisEnableKeepAlive(c);
	c->reader->maxbuf = 0; /* it keeps its buffer; for a new one it would insist on memory */
	return c;
}
