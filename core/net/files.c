/* The client's static files, from memory: loading a folder, ETags, types, conditional requests. */
#include "net/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/field.h"

enum {
	FILES_MAX = 256,
	FILE_BYTES_MAX = 2 << 20,
	NAME_MAX_BYTES = 256,
	DEPTH_MAX = 4,
	ETAG_SIZE = 35
};

struct file {
	char *name; /* below the folder, "app.js" or "icons/box.svg" */
	char *path; /* of one from elsewhere; NULL: below the folder, under its name */
	char *data;
	size_t n;
	struct timespec changed;
	char etag[ETAG_SIZE];
};

struct files {
	int dir;
	size_t n;
	struct file list[FILES_MAX];
};

static const struct {
	const char *suffix, *type;
} types[] = {
	{".html", "text/html; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".mjs", "text/javascript; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".json", "application/json"},
	{".webmanifest", "application/manifest+json"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
	{".jpg", "image/jpeg"},
	{".webp", "image/webp"},
	{".ico", "image/x-icon"},
	{".woff2", "font/woff2"},
	{".txt", "text/plain; charset=utf-8"},
};

static const char *type_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(types); i++)
		if (strcmp(dot, types[i].suffix) == 0)
			return types[i].type;
	return "application/octet-stream";
}

static void file_fini(struct file *f)
{
	free(f->name);
	free(f->path);
	free(f->data);
}

/* --- reading --- */

static int read_all(int fd, char *data, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = read(fd, data + at, n - at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		at += (size_t)r;
	}
	return 0;
}

static int make_etag(struct file *f)
{
	struct digest d;
	uint8_t bytes[DIGEST_SIZE];
	char text[DIGEST_TEXT_SIZE];
	int r = digest_init(&d);

	if (r < 0)
		return r;
	digest_start(&d);
	digest_add(&d, f->data, f->n);
	r = digest_finish(&d, bytes);
	digest_fini(&d);
	if (r < 0)
		return r;
	digest_text(bytes, text);
	snprintf(f->etag, sizeof f->etag, "\"%.32s\"", text);
	return 0;
}

static const char *place_of(const struct file *f)
{
	return f->path ? f->path : f->name;
}

/* Replaces the content by what is on the disk now; on failure the old content stays. */
static int file_read(int dir, struct file *f)
{
	struct file fresh = {.name = f->name, .path = f->path};
	struct stat st;
	int fd = openat(dir, place_of(f), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK), r = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX)
		r = -EFBIG;
	else if (!(fresh.data = malloc((size_t)st.st_size + 1)))
		r = -ENOMEM;
	if (r == 0) {
		fresh.n = (size_t)st.st_size;
		fresh.changed = st.st_mtim;
		r = read_all(fd, fresh.data, fresh.n);
	}
	close(fd);
	if (r == 0)
		r = make_etag(&fresh);
	if (r < 0) {
		free(fresh.data);
		return r;
	}
	free(f->data);
	*f = fresh;
	return 0;
}

static void refresh(struct files *files, struct file *f)
{
	struct stat st;

	if (fstatat(files->dir, place_of(f), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if ((size_t)st.st_size == f->n && st.st_mtim.tv_sec == f->changed.tv_sec &&
		st.st_mtim.tv_nsec == f->changed.tv_nsec)
		return;
	file_read(files->dir, f);
}

static int add_file(struct files *files, const char *name, const char *path, struct err *e)
{
	struct file *f = &files->list[files->n];
	int r;

	if (files->n == FILES_MAX)
		return err_set(e, -EFBIG, "more than %d files", FILES_MAX);
	*f = (struct file){.name = strdup(name), .path = path ? strdup(path) : NULL};
	r = f->name && (f->path || !path) ? file_read(files->dir, f) : -ENOMEM;
	if (r < 0) {
		file_fini(f);
		return err_set(e, r, "'%s': %s", path ? path : name,
			r == -EFBIG ? "not a regular file of at most 2 MiB" : strerror(-r));
	}
	files->n++;
	return 0;
}

/* Adds what lies in the folder `path` ("" is the top); links and dot files are left out. */
static int add_folder(struct files *files, const char *path, int depth, struct err *e)
{
	int fd = openat(
		files->dir, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *d;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return err_set(e, r, "'%s': %s", path, strerror(-r));
	}
	while (r == 0 && (d = readdir(dir))) {
		char name[NAME_MAX_BYTES];
		struct stat st;
		int n = snprintf(name, sizeof name, "%s%s%s", path, *path ? "/" : "", d->d_name);

		if (d->d_name[0] == '.' || n >= (int)sizeof name ||
			fstatat(files->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
			r = add_folder(files, name, depth + 1, e);
		else if (S_ISREG(st.st_mode))
			r = add_file(files, name, NULL, e);
	}
	closedir(dir);
	return r;
}

static struct file *find(struct files *files, struct str name)
{
	for (size_t i = 0; i < files->n; i++)
		if (str_is(name, files->list[i].name))
			return &files->list[i];
	return NULL;
}

int files_load(const char *dir, struct files **ret, struct err *e)
{
	struct files *files = calloc(1, sizeof *files);
	int r;

	if (!files)
		return err_set(e, -ENOMEM, "no memory for the client's files");
	files->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (files->dir < 0)
		r = err_set(e, -errno, "%s", strerror(errno));
	else
		r = add_folder(files, "", 0, e);
	if (r == 0 && !find(files, STR("index.html")))
		r = err_set(e, -ENOENT, "no index.html in it");
	if (r < 0) {
		files_free(files);
		return err_wrap(e, r, "client folder '%s'", dir);
	}
	*ret = files;
	return 0;
}

int files_add(struct files *files, const char *name, const char *path, struct err *e)
{
	return add_file(files, name, path, e);
}

void files_free(struct files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->n; i++)
		file_fini(&files->list[i]);
	if (files->dir >= 0)
		close(files->dir);
	free(files);
}

/* --- answering --- */

/* If-None-Match compares weakly (RFC 9110, 13.1.2). */
static bool is_known(struct str condition, const char *etag)
{
	char weak[ETAG_SIZE + 2];

	snprintf(weak, sizeof weak, "W/%s", etag);
	return field_lists(condition, etag) || field_lists(condition, weak) ||
	       str_is(condition, "*");
}

void files_reply(struct files *files, struct http_request *req, struct str name)
{
	struct file *f = find(files, name);
	struct buf body = {0};

	if (!f) {
		http_problem(req, 404, "There is no such file.");
		return;
	}
	refresh(files, f);
	http_add_header(req, "ETag", f->etag);
	http_add_header(req, "Cache-Control", "no-cache");
	if (is_known(http_header(req, "If-None-Match"), f->etag)) {
		http_reply(req, 304, NULL, &body);
		return;
	}
	buf_add(&body, f->data, f->n);
	http_reply(req, 200, type_of(f->name), &body);
}
