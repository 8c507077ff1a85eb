/* `stageline plugin new`: a folder that builds a new stage, with a test of it. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/plugin.h"
#include "cli/template.h"
#include "model/pipeline_keys.h"

static const char usage[] = "usage: stageline plugin new NAME [--dir DIR]\n"
			    "\n"
			    "Makes the folder NAME for a new stage: its source with one option, "
			    "run and undo, a build with\n"
			    "Meson against the installed header, a pipeline to try it in, and "
			    "tests. Overwrites nothing.\n"
			    "\n"
			    "  --dir DIR  where the folder is made (default: here)\n"
			    "  --help     prints this\n"
			    "\n"
			    "Exit status: 0 made, 1 it could not be made, 2 wrong usage.\n";

/* The text with the new name in place of the template's. */
static void rename_in(const char *text, const char *name, struct buf *out)
{
	const char *next;

	for (; (next = strstr(text, TEMPLATE_NAME)); text = next + strlen(TEMPLATE_NAME)) {
		buf_add(out, text, (size_t)(next - text));
		buf_text(out, name);
	}
	buf_text(out, text);
}

static int write_new(const char *path, const struct buf *text, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t done = 0;

	if (fd < 0)
		return err_set(e, -errno, "'%s' cannot be made: %s", path, strerror(errno));
	while (done < text->len) {
		ssize_t n = write(fd, text->data + done, text->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_set(e, -errno, "'%s' cannot be written: %s", path, strerror(errno));
			close(fd);
			return e->code;
		}
		done += (size_t)n;
	}
	if (close(fd) < 0)
		return err_set(e, -errno, "'%s' cannot be written: %s", path, strerror(errno));
	return 0;
}

static int make_file(
	const char *folder, const char *name, const struct embedded_file *f, struct err *e)
{
	_cleanup_(buf_fini) struct buf path = {0}, text = {0};
	int r;

	buf_fmt(&path, "%s/", folder);
	rename_in(f->name, name, &path);
	rename_in(f->text, name, &text);
	if (path.failed || text.failed)
		return err_set(e, -ENOMEM, "no memory");
	r = write_new(path.data, &text, e);
	if (r == 0)
		puts(path.data);
	return r;
}

static int make_all(const char *dir, const char *name, struct err *e)
{
	_cleanup_(buf_fini) struct buf folder = {0};
	int r = 0;

	if (dir)
		buf_fmt(&folder, "%s/", dir);
	buf_text(&folder, name);
	if (folder.failed)
		return err_set(e, -ENOMEM, "no memory");
	if (mkdir(folder.data, 0755) < 0)
		return errno == EEXIST
			       ? err_set(e, -EEXIST,
					 "'%s' is there already, and nothing is overwritten: take "
					 "another name, or another --dir",
					 folder.data)
			       : err_set(e, -errno, "folder '%s' cannot be made: %s", folder.data,
					 strerror(errno));
	for (const struct embedded_file *f = template_files; f->name && r == 0; f++)
		r = make_file(folder.data, name, f, e);
	return r;
}

int plugin_new_main(int argc, char **argv)
{
	static const struct option options[] = {
		{"dir", required_argument, NULL, 'd'}, {"help", no_argument, NULL, 'h'}, {0}};
	const char *dir = NULL, *name;
	struct err e = {0};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		if (option != 'd') {
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
		dir = optarg;
	}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	name = argv[optind];
	if (!pipeline_is_name(name)) {
		fprintf(stderr,
			"stageline: error: '%s' cannot be a stage's name: it starts with a letter "
			"and is a-z, 0-9, _ and -, up to %d\n",
			name, PIPELINE_NAME_MAX);
		return EXIT_USAGE;
	}
	if (make_all(dir, name, &e) < 0) {
		fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		return EXIT_FAILURE;
	}
	fprintf(stderr, "Now:  cd %s%s%s && meson setup build && meson test -C build\n",
		dir ? dir : "", dir ? "/" : "", name);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
