/* Finding plugins in their folders, loading a copy of each version once, and reading their descriptors.
 *
 * Loading calls no function of the plugin: the descriptor is a data symbol. What dlopen() maps stays
 * mapped, so the list of plugins only grows, by one for each version that the process has met. One whose code runs in
 * processes is not mapped at all: its descriptor is read out of the file. */
#include "stage/stage.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "stage/describe.h"
#include "stage/descriptor.h"
#include "stage/plugin_file.h"

enum { NAME_MAX_BYTES = 64 };

struct loaded {
	struct plugin plugin;
	struct plugin_description *description; /* NULL: it is mapped */
	struct sl_stage stage;
	struct sl_option *options;
	char digest[PLUGIN_DIGEST_SIZE];
	struct err refused; /* why it is no plugin, though it is mapped; code 0: it is one */
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

/* How much of it is wanted. */
enum use { USE_CODE, USE_DESCRIPTION };

static struct loaded *find_loaded(const char *digest, enum use use)
{
	struct loaded *l = loaded_first;

	while (l && (strcmp(l->digest, digest) != 0 || (use == USE_CODE && l->description)))
		l = l->next;
	return l;
}

/* The copy by its descriptor, which stays open and so is the name of no other object. Debuggers, too, find it
 * by that name: hence our number, and not "self". */
static int open_object(int fd, void **ret, struct err *e)
{
	char self[32], path[64];
	ssize_t n = readlink("/proc/self", self, sizeof self - 1);
	const char *why;
	size_t length;

	if (n < 0)
		return err_set(e, -errno, "/proc is not there: %s", strerror(errno));
	self[n] = '\0';
	length = (size_t)snprintf(path, sizeof path, "/proc/%s/fd/%d", self, fd);
	*ret = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (*ret)
		return 0;
	why = dlerror();
	if (strncmp(why, path, length) == 0 && strncmp(why + length, ": ", 2) == 0)
		why += length + 2;
	return err_set(e, -EINVAL, "%s", why);
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
	plugin_description_free((*l)->description);
	free(*l);
}

static int read_plugin(struct loaded *l, void *object, const char *name, struct err *e)
{
	const void *descriptor = NULL;
	size_t size = 0;
	int r = find_descriptor(object, &descriptor, &size, e);

	if (r == 0)
		r = descriptor_read(descriptor, size, &l->stage, e);
	if (r == 0)
		r = descriptor_check(&l->stage, name, e);
	if (r == 0)
		r = descriptor_copy_options(&l->stage, &l->options, e);
	return r == 0 ? descriptor_check_options(&l->stage, e) : r;
}

/* Maps it. What is no plugin is remembered too, or each further try would map it once more. */
static int map(struct loaded *l, int fd, const char *name, struct err *e)
{
	void *object = NULL;
	int r = open_object(fd, &object, e);

	if (r < 0)
		return r;
	r = read_plugin(l, object, name, &l->refused);
	if (r < 0)
		l->refused.code = r;
	return 0;
}

static int describe(struct loaded *l, int fd, struct err *e)
{
	int r = plugin_describe_native(fd, &l->description, e);

	if (r == 0)
		l->stage = l->description->stage;
	return r;
}

/* A version that was not met before, or only described; takes the file when it did. */
static int load_new(const char *real, const char *name, enum use use, struct plugin_file *file,
	struct loaded **ret, struct err *e)
{
	_cleanup_(loaded_freep) struct loaded *l = calloc(1, sizeof *l);
	int r;

	if (!l || !(l->plugin.path = str_dup(str_of(real))))
		return -ENOMEM;
	l->plugin.stage = &l->stage;
	l->plugin.build = l->digest;
	memcpy(l->digest, file->digest, sizeof l->digest);
	r = use == USE_CODE ? map(l, file->fd, name, e) : describe(l, file->fd, e);
	if (r < 0)
		return r;
	l->plugin.fd = file->fd;
	file->fd = -1;
	l->next = loaded_first;
	loaded_first = l;
	*ret = steal_ptr(l);
	return 0;
}

static int load_once(const char *real, const char *name, enum use use, struct plugin_file *file,
	const struct plugin **ret, struct err *e)
{
	struct loaded *l = find_loaded(file->digest, use);
	int r = l ? 0 : load_new(real, name, use, file, &l, e);

	if (r < 0)
		return r;
	if (l->refused.code)
		return err_set(e, l->refused.code, "%s", err_text(&l->refused));
	if (strcmp(l->stage.name, name) != 0)
		return err_set(e, -EINVAL, "calls itself '%s'", l->stage.name);
	*ret = &l->plugin;
	return 0;
}

static int load_file(const char *folder, const char *real, const char *name, enum use use,
	const struct plugin **ret, struct err *e)
{
	struct plugin_file file = {.fd = -1};
	int r = plugin_file_copy(folder, real, &file, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&loaded_lock);
	r = load_once(real, name, use, &file, ret, e);
	pthread_mutex_unlock(&loaded_lock);
	if (file.fd >= 0)
		close(file.fd);
	return r;
}

static int load(const struct plugin_folders *folders, const char *name, enum use use,
	const struct plugin **ret, struct err *e)
{
	const char *folder = NULL;
	char real[PATH_MAX];
	int r;

	if (!name_is_valid(name))
		return err_set(e, -EINVAL,
			"'%s' cannot be a plugin's name: letters, digits, '-', '_' and '.' only",
			name);
	r = find_file(folders, name, &folder, real, e);
	if (r < 0)
		return r;
	r = load_file(folder, real, name, use, ret, e);
	return r < 0 ? err_wrap(e, r, "plugin '%s'", real) : 0;
}

static int load_build(const struct plugin_folders *folders, const char *name, const char *build,
	enum use use, const struct plugin **ret, struct err *e)
{
	struct loaded *l;

	pthread_mutex_lock(&loaded_lock);
	l = build ? find_loaded(build, use) : NULL;
	pthread_mutex_unlock(&loaded_lock);
	if (!l || l->refused.code || strcmp(l->stage.name, name) != 0)
		return load(folders, name, use, ret, e);
	*ret = &l->plugin;
	return 0;
}

int plugin_load(const struct plugin_folders *folders, const char *name, const struct plugin **ret,
	struct err *e)
{
	return load(folders, name, USE_CODE, ret, e);
}

int plugin_load_build(const struct plugin_folders *folders, const char *name, const char *build,
	const struct plugin **ret, struct err *e)
{
	return load_build(folders, name, build, USE_CODE, ret, e);
}

int plugin_load_stage(const struct plugin_folders *folders, const struct stage_spec *spec,
	const struct plugin **ret, struct err *e)
{
	bool is_elsewhere = spec->isolation == ISOLATION_PROCESS && image_knows_this_machine();

	return load_build(folders, spec->plugin, spec->build,
		is_elsewhere ? USE_DESCRIPTION : USE_CODE, ret, e);
}

int plugin_load_fd(
	int fd, const char *path, const char *name, const struct plugin **ret, struct err *e)
{
	struct plugin_file file = {.fd = fd};
	int r;

	pthread_mutex_lock(&loaded_lock);
	r = load_once(path, name, USE_CODE, &file, ret, e);
	pthread_mutex_unlock(&loaded_lock);
	if (file.fd >= 0)
		close(file.fd);
	return r < 0 ? err_wrap(e, r, "plugin '%s'", path) : 0;
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
