/* Reading a YAML file into memory, up to its limit. */
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/yaml.h"

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

int yaml_read(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_(freep) char *text = malloc(YAML_FILE_MAX + 1);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		return err_set(e, -errno, "cannot be opened: %s", strerror(errno));
	if (!text)
		return err_set(e, -ENOMEM, "no memory to read it");
	do {
		got = read(fd, text + n, YAML_FILE_MAX + 1 - n);
		if (got < 0 && errno != EINTR)
			return err_set(e, -errno, "cannot be read: %s", strerror(errno));
		n += got > 0 ? (size_t)got : 0;
	} while (got != 0 && n <= YAML_FILE_MAX);
	if (n > YAML_FILE_MAX)
		return err_set(e, -EFBIG, "is larger than %d bytes", YAML_FILE_MAX);
	*ret = str_dup((struct str){text, n});
	if (!*ret)
		return err_set(e, -ENOMEM, "no memory to read it");
	*ret_len = n;
	return 0;
}
