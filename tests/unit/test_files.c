/* Static files: what is loaded, what is out of reach, types, ETags, changes on the disk. */
#include <fcntl.h>
#include <sys/stat.h>

#include "net/files.h"
#include "wire.h"

static const struct http_limits limits = {.body_bytes = 1024,
	.header_bytes = 8192,
	.connections = 10,
	.idle_ms = 5000,
	.backlog_bytes = 256 << 10};

static struct files *files;
static char dir[64], outside[80];

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	REQUIRE(f != NULL);
	fputs(text, f);
	fclose(f);
}

static void drop(const char *name)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	remove(path);
}

static void make_folder(void)
{
	char path[256];

	snprintf(dir, sizeof dir, "/tmp/stageline-files-XXXXXX");
	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(outside, sizeof outside, "%s.secret", dir);
	fclose(fopen(outside, "w"));
	snprintf(path, sizeof path, "%s/icons", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof path, "%s/link.txt", dir);
	REQUIRE(symlink(outside, path) == 0);
	put("index.html", "<!doctype html>");
	put("app.js", "let a");
	put("app.css", "a{}");
	put("icons/box.svg", "<svg/>");
	put("data.bin", "?");
	put(".secret", "no");
}

static void remove_folder(void)
{
	static const char *const names[] = {"index.html", "app.js", "app.css", "icons/box.svg",
		"icons", "data.bin", ".secret", "link.txt", "new.js"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		drop(names[i]);
	rmdir(dir);
	unlink(outside);
}

static void on_index(void *app, struct http_request *req)
{
	(void)app;
	files_reply(files, req, STR("index.html"));
}

static void on_static(void *app, struct http_request *req)
{
	(void)app;
	files_reply(files, req, http_param(req, "file"));
}

static const struct http_route routes[] = {
	{"GET", "/", "", on_index}, {"GET", "/static/{file...}", "", on_static}, {NULL}};

static void start(struct served *s)
{
	struct err e = {0};

	make_folder();
	REQUIRE(files_load(dir, &files, &e) == 0);
	served_start(s, routes, &limits);
}

static void stop(struct served *s)
{
	served_stop(s);
	files_free(files);
	remove_folder();
}

static int get(struct wire *w, const char *path, const char *field, char *out, size_t out_size)
{
	char request[1024];

	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path,
		field);
	return wire_send(w, request) ? wire_answer(w, false, out, out_size) : -1;
}

static void each_file_has_its_type(void)
{
	static const struct {
		const char *path, *type, *text;
	} cases[] = {
		{"/", "text/html; charset=utf-8", "<!doctype html>"},
		{"/static/app.js", "text/javascript; charset=utf-8", "let a"},
		{"/static/app.css", "text/css; charset=utf-8", "a{}"},
		{"/static/icons/box.svg", "image/svg+xml", "<svg/>"},
		{"/static/data.bin", "application/octet-stream", "?"},
	};
	struct served s;
	struct wire *w;
	char text[8192], want[128];

	start(&s);
	w = wire_open(&s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CHECK_INT(get(w, cases[i].path, "", text, sizeof text), 200);
		snprintf(want, sizeof want, "Content-Type: %s\r\n", cases[i].type);
		CHECK(strstr(text, want) != NULL);
		CHECK(strstr(text, "Cache-Control: no-cache\r\n") != NULL);
		CHECK(strstr(text, "no-store") == NULL);
		CHECK_TEXT(strstr(text, "\r\n\r\n") + 4, cases[i].text);
	}
	wire_close(w);
	stop(&s);
}

static void nothing_else_is_served(void)
{
	static const char *const paths[] = {"/static/../index.html", "/static/%2e%2e/index.html",
		"/static/..%2findex.html", "/static/.secret", "/static//etc/passwd",
		"/static/%2fetc%2fpasswd", "/static/link.txt", "/static/icons", "/static/icons/",
		"/static/", "/static", "/static/icons/../app.js", "/static/APP.JS", "/index.html"};
	struct served s;
	struct wire *w;

	start(&s);
	w = wire_open(&s);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		CHECK_INT(get(w, paths[i], "", NULL, 0), 404);
	wire_close(w);
	stop(&s);
}

static void a_known_etag_gets_304_until_the_file_changes(void)
{
	struct served s;
	struct wire *w;
	char text[8192], etag[64] = "", field[256];

	start(&s);
	w = wire_open(&s);
	CHECK_INT(get(w, "/static/app.js", "", text, sizeof text), 200);
	REQUIRE(strstr(text, "ETag: ") != NULL);
	snprintf(etag, sizeof etag, "%.34s", strstr(text, "ETag: ") + 6);
	snprintf(field, sizeof field, "If-None-Match: %s\r\n", etag);
	CHECK_INT(get(w, "/static/app.js", field, text, sizeof text), 304);
	CHECK(strstr(text, etag) != NULL);
	CHECK(strstr(text, "Content-Length") == NULL);
	snprintf(field, sizeof field, "If-None-Match: \"x\", W/%s\r\n", etag);
	CHECK_INT(get(w, "/static/app.js", field, NULL, 0), 304);
	CHECK_INT(get(w, "/static/app.js", "If-None-Match: *\r\n", NULL, 0), 304);
	CHECK_INT(get(w, "/static/app.js", "If-None-Match: \"x\"\r\n", NULL, 0), 200);
	put("app.js", "let b = 2");
	CHECK_INT(get(w, "/static/app.js", field, text, sizeof text), 200);
	CHECK_TEXT(strstr(text, "\r\n\r\n") + 4, "let b = 2");
	drop("app.js");
	CHECK_INT(get(w, "/static/app.js", "", text, sizeof text), 200);
	wire_close(w);
	stop(&s);
}

static void a_folder_without_index_is_refused(void)
{
	struct err e = {0};

	make_folder();
	drop("index.html");
	CHECK_INT(files_load(dir, &files, &e), -ENOENT);
	CHECK(strstr(e.text, "no index.html") != NULL);
	remove_folder();
	CHECK_INT(files_load(dir, &files, &e), -ENOENT);
}

/* `outside` is beside the folder, where no path of a request leads. */
static void one_from_elsewhere_is_served_under_its_name_and_read_again(void)
{
	struct served s;
	struct wire *w;
	struct err e = {0};
	char text[8192];
	FILE *f;

	start(&s);
	REQUIRE(files_add(files, "lib/chart.js", outside, &e) == 0);
	CHECK_INT(files_add(files, "lib/none.js", "/nowhere/none.js", &e), -ENOENT);
	CHECK(strstr(e.text, "/nowhere/none.js") != NULL);
	w = wire_open(&s);
	CHECK_INT(get(w, "/static/lib/chart.js", "", text, sizeof text), 200);
	CHECK(strstr(text, "Content-Type: text/javascript; charset=utf-8") != NULL);
	CHECK_INT(get(w, "/static/lib/none.js", "", NULL, 0), 404);
	f = fopen(outside, "w");
	REQUIRE(f != NULL);
	fputs("let chart", f);
	fclose(f);
	CHECK_INT(get(w, "/static/lib/chart.js", "", text, sizeof text), 200);
	CHECK_TEXT(strstr(text, "\r\n\r\n") + 4, "let chart");
	wire_close(w);
	stop(&s);
}

UNIT_MAIN("files", TEST(each_file_has_its_type), TEST(nothing_else_is_served),
	TEST(a_known_etag_gets_304_until_the_file_changes), TEST(a_folder_without_index_is_refused),
	TEST(one_from_elsewhere_is_served_under_its_name_and_read_again))
