/* Finding plugins in their folders, refusing what cannot be trusted, and reading their descriptors.
 *
 * Loading runs no function of the plugin: the descriptor is a data symbol. What dlopen() maps stays
 * mapped, so the list of plugins only grows. */
#include "stage/stage.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/option.h"
#include "stage/descriptor.h"

enum { NAME_MAX_BYTES = 64 };

struct loaded {
	struct plugin plugin;
	struct sl_stage stage;
	struct sl_option *options;
	dev_t device;
	ino_t inode;
	struct loaded *next;
};

/* The process has one list of mapped objects, kept by the dynamic linker; this is ours beside it. */
static pthread_mutex_t loaded_lock = PTHREAD_MUTEX_INITIALIZER;
static struct loaded *loaded_first;

static bool name_is_valid(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	return name[0] && name[0] != '.' && strlen(name) <= NAME_MAX_BYTES &&
	       strspn(name, letters) == strlen(name);
}

static int check_trust(const struct stat *st, const char *path, struct err *e)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(e, -EPERM, "'%s' belongs to user %u, neither to root nor to us",
			path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, -EPERM, "'%s' can be written by others (chmod go-w)", path);
	return 0;
}

static int check_folder(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	return check_trust(&st, path, e);
}

/* The listed folder, the file behind all links, and the folder that one lies in. */
static int check_file(const char *folder, const char *path, struct stat *ret, struct err *e)
{
	char parent[PATH_MAX];
	char *slash;
	int r;

	if (stat(path, ret) < 0)
		return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	if (!S_ISREG(ret->st_mode))
		return err_set(e, -EINVAL, "'%s' is not a file", path);
	r = check_trust(ret, path, e);
	if (r < 0)
		return r;
	r = check_folder(folder, e);
	if (r < 0)
		return r;
	snprintf(parent, sizeof parent, "%s", path);
	slash = strrchr(parent, '/');
	slash[slash == parent] = '\0';
	return check_folder(parent, e);
}

static void describe_folders(const struct plugin_folders *folders, struct buf *out)
{
	for (size_t i = 0; i < folders->n; i++)
		buf_fmt(out, "%s%s", i ? ", " : "", folders->paths[i]);
	if (!folders->n)
		buf_text(out, "no folder");
}

static int find_file(const struct plugin_folders *folders, const char *name,
	const char **ret_folder, char real[PATH_MAX], struct err *e)
{
	_cleanup_(buf_fini) struct buf searched = {0};

	for (size_t i = 0; i < folders->n; i++) {
		char path[PATH_MAX];

		if (snprintf(path, sizeof path, "%s/%s.so", folders->paths[i], name) >= PATH_MAX)
			continue;
		*ret_folder = folders->paths[i];
		if (realpath(path, real))
			return 0;
		if (errno != ENOENT && errno != ENOTDIR)
			return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	}
	describe_folders(folders, &searched);
	return err_set(e, -ENOENT, "no plugin '%s' in %s", name, buf_view(&searched).p);
}

static struct loaded *find_loaded(const struct stat *st)
{
	for (struct loaded *l = loaded_first; l; l = l->next)
		if (l->device == st->st_dev && l->inode == st->st_ino)
			return l;
	return NULL;
}

/* The dynamic linker takes an equal path for the same object, also after the file was replaced. One "/."
 * per object that came from this path makes it look at the file. */
static int open_object(const char *real, void **ret, struct err *e)
{
	const char *slash = strrchr(real, '/');
	_cleanup_(buf_fini) struct buf path = {0};

	buf_add(&path, real, (size_t)(slash - real));
	for (struct loaded *l = loaded_first; l; l = l->next)
		if (strcmp(l->plugin.path, real) == 0)
			buf_text(&path, "/.");
	buf_text(&path, slash);
	if (path.failed)
		return -ENOMEM;
	*ret = dlopen(path.data, RTLD_NOW | RTLD_LOCAL);
	return *ret ? 0 : err_set(e, -EINVAL, "%s", dlerror());
}

/* The descriptor in the plugin's memory and the bytes that the symbol has there. */
static int find_descriptor(void *object, const void **ret, size_t *ret_size, struct err *e)
{
	const ElfW(Sym) *symbol = NULL;
	struct link_map *own = NULL, *owner = NULL;
	Dl_info info;
	void *p = dlsym(object, SL_STAGE_SYMBOL); /* also looks into what the object depends on */

	if (!p || dlinfo(object, RTLD_DI_LINKMAP, &own) != 0 ||
		!dladdr1(p, &info, (void **)&owner, RTLD_DL_LINKMAP) || own != owner)
		return err_set(e, -EPROTO, "has no symbol '%s'", SL_STAGE_SYMBOL);
	if (!dladdr1(p, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
		ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT)
		return err_set(e, -EPROTO, "symbol '%s' is not data", SL_STAGE_SYMBOL);
	*ret = p;
	*ret_size = symbol->st_size;
	return 0;
}

static void loaded_freep(struct loaded **l)
{
	if (!*l)
		return;
	free((char *)(*l)->plugin.path);
	free((*l)->options);
	free(*l);
}

static int read_plugin(const char *real, const char *name, const struct stat *st,
	struct loaded **ret, struct err *e)
{
	_cleanup_(loaded_freep) struct loaded *l = calloc(1, sizeof *l);
	const void *descriptor = NULL;
	void *object = NULL;
	size_t size = 0;
	int r;

	if (!l || !(l->plugin.path = str_dup(str_of(real))))
		return -ENOMEM;
	l->plugin.stage = &l->stage;
	l->device = st->st_dev;
	l->inode = st->st_ino;
	r = open_object(real, &object, e);
	if (r == 0)
		r = find_descriptor(object, &descriptor, &size, e);
	if (r == 0)
		r = descriptor_read(descriptor, size, &l->stage, e);
	if (r == 0)
		r = descriptor_check(&l->stage, name, e);
	if (r == 0)
		r = descriptor_copy_options(&l->stage, &l->options, e);
	if (r == 0)
		r = descriptor_check_options(&l->stage, e);
	if (r < 0)
		return err_wrap(e, r, "plugin '%s'", real);
	*ret = steal_ptr(l);
	return 0;
}

static int load_once(const char *real, const char *name, const struct stat *st,
	const struct plugin **ret, struct err *e)
{
	struct loaded *l = find_loaded(st);
	int r;

	if (l && strcmp(l->stage.name, name) != 0)
		return err_set(e, -EINVAL, "plugin '%s' calls itself '%s'", real, l->stage.name);
	if (!l) {
		r = read_plugin(real, name, st, &l, e);
		if (r < 0)
			return r;
		l->next = loaded_first;
		loaded_first = l;
	}
	*ret = &l->plugin;
	return 0;
}

int plugin_load(const struct plugin_folders *folders, const char *name, const struct plugin **ret,
	struct err *e)
{
	const char *folder = NULL;
	char real[PATH_MAX];
	struct stat st;
	int r;

	if (!name_is_valid(name))
		return err_set(e, -EINVAL,
			"'%s' cannot be a plugin's name: letters, digits, '-', '_' and '.' only",
			name);
	r = find_file(folders, name, &folder, real, e);
	if (r < 0)
		return r;
	r = check_file(folder, real, &st, e);
	if (r < 0)
		return err_wrap(e, r, "plugin '%s' is refused", name);
	pthread_mutex_lock(&loaded_lock);
	r = load_once(real, name, &st, ret, e);
	pthread_mutex_unlock(&loaded_lock);
	return r;
}

int plugin_load_file(const char *path, const char *name, const struct plugin **ret, struct err *e)
{
	char folder[PATH_MAX];
	struct stat st;
	char *slash;
	int r;

	if (path[0] != '/' || snprintf(folder, sizeof folder, "%s", path) >= PATH_MAX)
		return err_set(e, -EINVAL, "'%s' is not a plugin's path", path);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	r = check_file(folder, path, &st, e);
	if (r < 0)
		return err_wrap(e, r, "plugin '%s' is refused", name);
	pthread_mutex_lock(&loaded_lock);
	r = load_once(path, name, &st, ret, e);
	pthread_mutex_unlock(&loaded_lock);
	return r;
}

static bool is_in_earlier_folder(const struct plugin_folders *folders, size_t n, const char *file)
{
	for (size_t i = 0; i < n; i++) {
		char path[PATH_MAX];

		if (snprintf(path, sizeof path, "%s/%s", folders->paths[i], file) < PATH_MAX &&
			access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static int is_plugin_file(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return entry->d_name[0] != '.' && n > 3 && strcmp(entry->d_name + n - 3, ".so") == 0;
}

void plugin_each_name(
	const struct plugin_folders *folders, void (*on_name)(void *, const char *name), void *arg)
{
	for (size_t i = 0; i < folders->n; i++) {
		struct dirent **entries = NULL;
		int n = scandir(folders->paths[i], &entries, is_plugin_file, alphasort);

		for (int k = 0; k < n; k++) {
			char *file = entries[k]->d_name;

			if (!is_in_earlier_folder(folders, i, file)) {
				file[strlen(file) - 3] = '\0';
				if (name_is_valid(file))
					on_name(arg, file);
			}
			free(entries[k]);
		}
		free(entries);
	}
}
