/* Symbol tables of ELF files, read as files that may be anything. */
#include "stage/symbols.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

struct image {
	const char *p;
	size_t n;
};

static int image_open(const char *path, struct image *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return -ENOENT;
	*ret = (struct image){p, (size_t)st.st_size};
	return 0;
}

/* `n` things of `size` bytes at `offset`, aligned; NULL when they are not all inside. */
static const void *part(const struct image *im, uint64_t offset, uint64_t n, size_t size)
{
	if (offset > im->n || n > (im->n - offset) / size || offset % 8)
		return NULL;
	return im->p + offset;
}

/* The symbol table, else the dynamic one. */
static const ElfW(Shdr) * find_table(const struct image *im, const ElfW(Shdr) * sections, size_t n)
{
	static const uint32_t types[] = {SHT_SYMTAB, SHT_DYNSYM};

	for (size_t k = 0; k < ARRAY_LEN(types); k++)
		for (size_t i = 0; i < n; i++)
			if (sections[i].sh_type == types[k] && sections[i].sh_link < n &&
				part(im, sections[i].sh_offset, sections[i].sh_size, 1))
				return &sections[i];
	return NULL;
}

static const char *name_of(const struct image *im, const ElfW(Shdr) * strings, uint32_t at)
{
	const char *p;

	if (at >= strings->sh_size || strings->sh_offset > im->n ||
		strings->sh_size > im->n - strings->sh_offset)
		return NULL;
	p = im->p + strings->sh_offset + at;
	return memchr(p, '\0', strings->sh_size - at) && *p ? p : NULL;
}

static int find_in(
	const struct image *im, uint64_t address, char *ret_name, size_t size, uint64_t *ret_offset)
{
	const ElfW(Ehdr) *head = part(im, 0, 1, sizeof *head);
	const ElfW(Shdr) * sections, *table;
	const ElfW(Sym) * symbols;

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
		head->e_shentsize != sizeof *sections)
		return -ENOENT;
	sections = part(im, head->e_shoff, head->e_shnum, sizeof *sections);
	table = sections ? find_table(im, sections, head->e_shnum) : NULL;
	symbols = table ? part(im, table->sh_offset, table->sh_size / sizeof *symbols,
				  sizeof *symbols)
			: NULL;
	for (size_t i = 0; symbols && i < table->sh_size / sizeof *symbols; i++) {
		const ElfW(Sym) *s = &symbols[i];
		const char *name;

		if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || address < s->st_value ||
			address - s->st_value >= s->st_size ||
			!(name = name_of(im, &sections[table->sh_link], s->st_name)))
			continue;
		snprintf(ret_name, size, "%s", name);
		*ret_offset = address - s->st_value;
		return 0;
	}
	return -ENOENT;
}

int symbol_find(
	const char *path, uint64_t address, char *ret_name, size_t size, uint64_t *ret_offset)
{
	struct image im = {0};
	int r = image_open(path, &im);

	if (r < 0)
		return r;
	r = find_in(&im, address, ret_name, size, ret_offset);
	munmap((void *)im.p, im.n);
	return r;
}

static int on_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	return strcmp(info->dlpi_name, arg) == 0;
}

bool symbol_is_mapped(const char *path)
{
	return dl_iterate_phdr(on_object, (void *)path) != 0;
}
