/* The transfers of one http stage.
 *
 * Under the lock: the calls by ticket, and the line of those that wait for their turn. Only the thread of the
 * loop touches what is under way. */
#include "http_loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { POLL_MAX_MS = 1000, HEADERS_MAX = 64 * 1024 };

struct http_loop {
	struct http_loop_options options;
	CURLM *multi;
	pthread_t thread;
	pthread_mutex_t lock;
	bool is_stopping;
	struct pending pending;
	struct http_call *first, *last; /* the line */
	long n_under_way;		/* thread of the loop */
};

int64_t http_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void http_call_free(struct http_call *call)
{
	if (!call)
		return;
	if (call->easy)
		curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	text_fini(&call->body);
	text_fini(&call->answer.body);
	text_fini(&call->answer.redirect);
	free(call);
}

/* --- what curl calls back --- */

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)arg, (void)purpose;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;

	n *= size;
	if (call->answer.body.n + n > (size_t)call->max_answer) {
		call->answer.code = CURLE_FILESIZE_EXCEEDED;
		return 0;
	}
	text_bytes(&call->answer.body, p, n);
	return call->answer.body.failed ? 0 : n;
}

/* "HTTP/1.1 404 Not Found": keeps what stands behind the number. */
static void keep_reason(struct http_call *call, const char *p, size_t n)
{
	struct text reason = {0};
	const char *status = memchr(p, ' ', n);
	const char *words = status ? memchr(status + 1, ' ', n - (size_t)(status + 1 - p)) : NULL;

	if (words)
		text_line(&reason, words, n - (size_t)(words - p), HTTP_REASON_SIZE - 1);
	snprintf(call->answer.reason, HTTP_REASON_SIZE, "%s", reason.n ? reason.p : "");
	text_fini(&reason);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;

	n *= size;
	call->header_bytes += n;
	if (call->header_bytes > HEADERS_MAX) {
		call->answer.code = CURLE_FILESIZE_EXCEEDED;
		return 0;
	}
	if (n > 5 && memcmp(p, "HTTP/", 5) == 0)
		keep_reason(call, p, n);
	return n;
}

/* --- one transfer --- */

static void set_up(struct http_loop *loop, struct http_call *call, long timeout_ms)
{
	CURL *easy = call->easy;

	call->max_answer = loop->options.rules.max_answer;
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_URL, call->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (loop->options.ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, loop->options.ca_file);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)loop->options.connect_timeout_ms);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.p);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "stageline");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->answer.detail);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
}

static void keep_type(struct http_call *call)
{
	const char *type = NULL;

	curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
	snprintf(call->answer.type, HTTP_TYPE_SIZE, "%s", type ? type : "");
}

static void read_answer(struct http_call *call, CURLcode code)
{
	struct http_answer *a = &call->answer;
	const char *redirect = NULL;
	curl_off_t retry_after = 0, started = 0;

	if (a->code == CURLE_OK)
		a->code = a->body.failed ? CURLE_OUT_OF_MEMORY : code;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &a->status);
	curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &a->os_errno);
	curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after);
	curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &started);
	curl_easy_getinfo(call->easy, CURLINFO_REDIRECT_URL, &redirect);
	a->retry_after_s = retry_after;
	a->is_connected = started > 0;
	if (redirect)
		text_put(&a->redirect, redirect);
	keep_type(call);
}

/* The call may be taken and freed as soon as the lock is given back. */
static void finish(struct http_loop *loop, struct http_call *call)
{
	const struct sl_host *host = loop->options.host;
	uint64_t ticket = call->pending.ticket;
	struct http_call *dropped = NULL;

	pthread_mutex_lock(&loop->lock);
	call->is_finished = true;
	pthread_mutex_unlock(&loop->lock);
	if (host->wake(host, ticket) == 0)
		return;
	pthread_mutex_lock(&loop->lock);
	dropped = (struct http_call *)pending_take(&loop->pending, ticket);
	pthread_mutex_unlock(&loop->lock);
	http_call_free(dropped);
}

static void send_call(struct http_loop *loop, struct http_call *call)
{
	int64_t left_ms = call->deadline_ms - http_now_ms();

	if (left_ms <= 0)
		call->answer.code = CURLE_AGAIN;
	else if (!(call->easy = curl_easy_init()))
		call->answer.code = CURLE_OUT_OF_MEMORY;
	if (call->answer.code == CURLE_OK) {
		set_up(loop, call, (long)left_ms);
		if (curl_multi_add_handle(loop->multi, call->easy) == CURLM_OK) {
			loop->n_under_way++;
			return;
		}
		call->answer.code = CURLE_OUT_OF_MEMORY;
	}
	finish(loop, call);
}

/* --- the thread --- */

/* The next in the line when there is room for it, or when its time is up. */
static struct http_call *take_from_line(struct http_loop *loop)
{
	struct http_call *call;

	pthread_mutex_lock(&loop->lock);
	call = loop->first;
	if (call && loop->n_under_way >= loop->options.rules.in_flight &&
		call->deadline_ms > http_now_ms())
		call = NULL;
	if (call) {
		loop->first = call->next;
		if (!loop->first)
			loop->last = NULL;
	}
	pthread_mutex_unlock(&loop->lock);
	return call;
}

static void collect(struct http_loop *loop)
{
	const CURLMsg *message;
	int n;

	while ((message = curl_multi_info_read(loop->multi, &n))) {
		CURLcode code = message->data.result;
		CURL *easy = message->easy_handle;
		struct http_call *call = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&call);
		read_answer(call, code);
		curl_multi_remove_handle(loop->multi, easy);
		curl_easy_cleanup(easy);
		call->easy = NULL;
		loop->n_under_way--;
		finish(loop, call);
	}
}

/* How long nothing has to be done unless curl sees something. */
static int idle_ms(struct http_loop *loop)
{
	int64_t ms = POLL_MAX_MS;

	pthread_mutex_lock(&loop->lock);
	if (loop->first && loop->first->deadline_ms - http_now_ms() < ms)
		ms = loop->first->deadline_ms - http_now_ms();
	pthread_mutex_unlock(&loop->lock);
	return ms > 0 ? (int)ms : 0;
}

static bool is_stopping(struct http_loop *loop)
{
	bool stops;

	pthread_mutex_lock(&loop->lock);
	stops = loop->is_stopping;
	pthread_mutex_unlock(&loop->lock);
	return stops;
}

static void *loop_run(void *arg)
{
	struct http_loop *loop = arg;
	struct http_call *call;
	int n;

	pthread_setname_np(pthread_self(), "http-transfers");
	while (!is_stopping(loop)) {
		while ((call = take_from_line(loop)))
			send_call(loop, call);
		curl_multi_perform(loop->multi, &n);
		collect(loop);
		curl_multi_poll(loop->multi, NULL, 0, idle_ms(loop), NULL);
	}
	return NULL;
}

/* Signals are for the threads of the daemon. */
static int start_thread(struct http_loop *loop)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&loop->thread, NULL, loop_run, loop);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int http_loop_create(const struct http_loop_options *options, struct http_loop **ret)
{
	struct http_loop *loop;
	int r = -ENOMEM;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	loop = calloc(1, sizeof *loop);
	if (!loop)
		goto fail;
	loop->options = *options;
	pthread_mutex_init(&loop->lock, NULL);
	loop->multi = curl_multi_init();
	if (!loop->multi)
		goto fail;
	curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, options->rules.in_flight);
	r = start_thread(loop);
	if (r < 0)
		goto fail;
	*ret = loop;
	return 0;
fail:
	if (loop && loop->multi)
		curl_multi_cleanup(loop->multi);
	free(loop);
	curl_global_cleanup();
	return r;
}

void http_loop_destroy(struct http_loop *loop)
{
	struct http_call *call;

	if (!loop)
		return;
	pthread_mutex_lock(&loop->lock);
	loop->is_stopping = true;
	pthread_mutex_unlock(&loop->lock);
	curl_multi_wakeup(loop->multi);
	pthread_join(loop->thread, NULL);
	while ((call = (struct http_call *)pending_take_any(&loop->pending))) {
		if (call->easy)
			curl_multi_remove_handle(loop->multi, call->easy);
		http_call_free(call);
	}
	curl_multi_cleanup(loop->multi);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
	curl_global_cleanup();
}

void http_loop_start(struct http_loop *loop, struct http_call *call)
{
	pthread_mutex_lock(&loop->lock);
	pending_add(&loop->pending, &call->pending);
	if (loop->last)
		loop->last->next = call;
	else
		loop->first = call;
	loop->last = call;
	pthread_mutex_unlock(&loop->lock);
	curl_multi_wakeup(loop->multi);
}

struct http_call *http_loop_take(struct http_loop *loop, uint64_t ticket, bool *ret_is_under_way)
{
	struct http_call *call;

	pthread_mutex_lock(&loop->lock);
	call = (struct http_call *)*pending_find(&loop->pending, ticket);
	*ret_is_under_way = call != NULL;
	if (call && call->is_finished)
		pending_take(&loop->pending, ticket);
	else
		call = NULL;
	pthread_mutex_unlock(&loop->lock);
	return call;
}
