/* What the config of an http stage comes to. */
#include "http_setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "refuse.h"

enum { FILE_SIZE_MAX = 8192 };

static int read_target(
	const struct sl_host *host, const char *name, const char *url, struct http_target *ret)
{
	CURLU *parts = curl_url();
	char *scheme = NULL, *shown = NULL;
	CURLUcode code = parts ? curl_url_set(parts, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;
	int r = 0;

	if (code == CURLUE_OK)
		code = curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
	if (code != CURLUE_OK)
		r = refuse(host, -EINVAL, "%s: %s", name, curl_url_strerror(code));
	else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		r = refuse(host, -EINVAL, "%s must begin with http:// or https://", name);
	if (r == 0) {
		curl_url_set(parts, CURLUPART_USER, NULL, 0);
		curl_url_set(parts, CURLUPART_PASSWORD, NULL, 0);
		curl_url_set(parts, CURLUPART_QUERY, NULL, 0);
		curl_url_set(parts, CURLUPART_FRAGMENT, NULL, 0);
		curl_url_get(parts, CURLUPART_URL, &shown, 0);
		*ret = (struct http_target){url, shown ? strdup(shown) : NULL};
		r = ret->shown ? 0 : -ENOMEM;
	}
	curl_free(shown);
	curl_free(scheme);
	curl_url_cleanup(parts);
	return r;
}

static bool is_header(const char *line, size_t n)
{
	const char *colon = memchr(line, ':', n);

	if (!colon || colon == line || n > HTTP_HEADER_MAX)
		return false;
	for (const char *c = line; c < line + n; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f || (*c == ' ' && c < colon))
			return false;
	return true;
}

static int check_headers(const struct sl_host *host, const struct sl_list *headers)
{
	for (size_t i = 0; i < headers->n; i++)
		if (!is_header(headers->items[i], strlen(headers->items[i])))
			return refuse(
				host, -EINVAL, "headers: item %zu is not 'Name: value'", i + 1);
	return 0;
}

/* A file of one secret or a few. */
static int read_file(const struct sl_host *host, const char *option, const char *path,
	char text[FILE_SIZE_MAX + 1])
{
	FILE *f = fopen(path, "re");
	bool is_whole;
	size_t n;

	if (!f)
		return refuse(host, -errno, "%s '%s': %s", option, path, strerror(errno));
	n = fread(text, 1, FILE_SIZE_MAX, f);
	is_whole = !ferror(f) && getc(f) == EOF;
	text[n] = '\0';
	fclose(f);
	if (!is_whole || strlen(text) != n)
		return refuse(host, -EINVAL, "%s '%s' is not a text of at most %d bytes", option,
			path, FILE_SIZE_MAX);
	return 0;
}

/* One header per line; empty lines do not count. */
static int read_headers_file(const struct sl_host *host, const char *path, struct curl_slist **ret)
{
	char text[FILE_SIZE_MAX + 1], *rest = text, *line;
	int r = read_file(host, "headers_file", path, text);

	for (size_t number = 1; r == 0 && (line = strsep(&rest, "\n")); number++) {
		size_t n = strcspn(line, "\r");
		struct curl_slist *grown = NULL;

		line[n] = '\0';
		if (!n)
			continue;
		if (is_header(line, n))
			grown = curl_slist_append(*ret, line);
		else
			r = refuse(host, -EINVAL,
				"headers_file '%s': line %zu is not 'Name: value'", path, number);
		if (grown)
			*ret = grown;
		else if (r == 0)
			r = refuse(host, -ENOMEM, "no memory");
	}
	explicit_bzero(text, sizeof text);
	return r;
}

static int read_secret_file(const struct sl_host *host, const char *path, struct secrets *ret)
{
	char text[FILE_SIZE_MAX + 1];
	const char *why = NULL;
	int r = read_file(host, "secret_file", path, text);

	if (r == 0 && secrets_read(text, ret, &why) < 0)
		r = refuse(host, -EINVAL, "secret_file '%s': %s", path, why);
	explicit_bzero(text, sizeof text);
	return r;
}

static int read_secrets(
	const struct sl_host *host, const struct http_config *config, struct secrets *ret)
{
	const char *why = NULL;
	int r;

	if (config->secret && config->secret_file)
		return refuse(host, -EINVAL, "give secret or secret_file, not both");
	if (config->secret_file)
		return read_secret_file(host, config->secret_file, ret);
	if (!config->secret)
		return 0;
	r = secrets_read(config->secret, ret, &why);
	return r < 0 ? refuse(host, r, "secret: %s", why) : 0;
}

int http_setup_read(const struct sl_host *host, const struct http_config *c, struct http_setup *ret)
{
	int r = read_target(host, "url", c->url, &ret->run);

	if (r == 0)
		r = read_target(host, "undo_url", c->undo_url ? c->undo_url : c->url, &ret->undo);
	if (r == 0)
		r = check_headers(host, &c->headers);
	if (r == 0 && c->headers_file)
		r = read_headers_file(host, c->headers_file, &ret->more_headers);
	if (r == 0)
		r = read_secrets(host, c, &ret->secrets);
	if (r == 0 && c->ca_file && access(c->ca_file, R_OK) < 0)
		r = refuse(host, -errno, "ca_file '%s': %s", c->ca_file, strerror(errno));
	ret->rules = (struct http_rules){c->timeout, c->wait, c->max_answer, (long)c->in_flight};
	return r;
}

void http_setup_fini(struct http_setup *setup)
{
	secrets_forget(&setup->secrets);
	curl_slist_free_all(setup->more_headers);
	free(setup->run.shown);
	free(setup->undo.shown);
}
