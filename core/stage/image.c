/* ELF shared objects laid out in plain memory: segments, relocations of data, one symbol.
 *
 * Of the format (System V gABI; psABI of x86-64, AArch64 and RISC-V) only what a descriptor needs: RELA and RELR
 * relocations that give an address, both hash tables. An address of another library is the end of the image. */
#include "stage/image.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

enum { PAGE = 65536, SEGMENTS_MAX = 256, ENTRIES_MAX = 4096, STRING_MAX = 65536 };

static const struct machine {
	uint16_t number;
	const char *name;
	uint32_t relative, absolute, global; /* relocations; 0: there is none such */
} machines[] = {
	{EM_X86_64, "x86-64", R_X86_64_RELATIVE, R_X86_64_64, R_X86_64_GLOB_DAT},
	{EM_AARCH64, "aarch64", R_AARCH64_RELATIVE, R_AARCH64_ABS64, R_AARCH64_GLOB_DAT},
	{EM_RISCV, "riscv64", R_RISCV_RELATIVE, R_RISCV_64, 0},
};

#if defined(__x86_64__)
#define NATIVE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE EM_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE EM_RISCV
#else
#define NATIVE EM_NONE
#endif

/* What the dynamic section says; addresses in the image, 0: absent. */
struct dynamic {
	uint64_t symbols, strings, strings_size, gnu_hash, hash;
	uint64_t rela, rela_size, relr, relr_size;
};

static int damaged(struct err *e, const char *what)
{
	return err_set(e, -EPROTO, "is damaged: %s", what);
}

static bool lies_in(const struct image *im, uint64_t at, uint64_t size)
{
	return at <= im->size && size <= im->size - at;
}

/* Copies out of the image; false: it does not lie there. */
static bool get(const struct image *im, uint64_t at, void *ret, size_t size)
{
	if (!lies_in(im, at, size))
		return false;
	memcpy(ret, im->memory + at, size);
	return true;
}

bool image_has(const struct image *im, const void *p, size_t size)
{
	uintptr_t at = (uintptr_t)p, start = (uintptr_t)im->memory;

	return at >= start && lies_in(im, at - start, size);
}

bool image_has_text(const struct image *im, const char *p)
{
	size_t left;

	if (!image_has(im, p, 1))
		return false;
	left = (size_t)(im->memory + im->size - p);
	return memchr(p, '\0', left < STRING_MAX ? left : STRING_MAX) != NULL;
}

/* --- the file --- */

static int read_at(int fd, void *to, size_t size, uint64_t at, struct err *e)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(fd, (char *)to + done, size - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "cannot be read: %s", strerror(errno));
		if (n == 0)
			return damaged(e, "it ends too early");
		done += (size_t)n;
	}
	return 0;
}

static const struct machine *machine_of(const Elf64_Ehdr *head)
{
	for (size_t i = 0; i < ARRAY_LEN(machines); i++)
		if (machines[i].number == head->e_machine)
			return &machines[i];
	return NULL;
}

static int read_head(int fd, Elf64_Ehdr *head, const struct machine **ret, struct err *e)
{
	int r = read_at(fd, head, sizeof *head, 0, e);

	if (r == -EPROTO || (r == 0 && memcmp(head->e_ident, ELFMAG, SELFMAG) != 0))
		return err_set(e, -EPROTO, "is not an ELF file, so no shared object");
	if (r < 0)
		return r;
	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB)
		return err_set(e, -EPROTO, "is not for a 64-bit little-endian machine");
	if (head->e_type != ET_DYN)
		return err_set(e, -EPROTO, "is not a shared object (link it with -shared)");
	*ret = machine_of(head);
	if (!*ret)
		return err_set(e, -EPROTO, "is for a machine (%u) that is not known here",
			head->e_machine);
	if (head->e_phentsize != sizeof(Elf64_Phdr) || !head->e_phnum ||
		head->e_phnum > SEGMENTS_MAX || head->e_phoff > INT64_MAX / 2)
		return damaged(e, "its table of segments");
	return 0;
}

static int find_size(const Elf64_Phdr *segments, size_t n, uint64_t *ret, struct err *e)
{
	uint64_t size = 0;

	for (size_t i = 0; i < n; i++) {
		const Elf64_Phdr *s = &segments[i];

		if (s->p_type != PT_LOAD)
			continue;
		if (s->p_vaddr > IMAGE_SIZE_MAX || s->p_memsz > IMAGE_SIZE_MAX ||
			s->p_filesz > s->p_memsz || s->p_offset > INT64_MAX / 2)
			return damaged(e, "a segment is out of bounds");
		if (s->p_vaddr + s->p_memsz > size)
			size = s->p_vaddr + s->p_memsz;
	}
	if (!size || size > IMAGE_SIZE_MAX)
		return damaged(e, "its size");
	*ret = size;
	return 0;
}

static int lay_out(int fd, const Elf64_Phdr *segments, size_t n, struct image *im, struct err *e)
{
	uint64_t size = 0;
	void *memory;
	int r = find_size(segments, n, &size, e);

	if (r < 0)
		return r;
	memory =
		mmap(NULL, size + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return err_set(
			e, -ENOMEM, "no memory for its %llu bytes", (unsigned long long)size);
	im->memory = memory;
	im->size = size;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (segments[i].p_type == PT_LOAD)
			r = read_at(fd, im->memory + segments[i].p_vaddr, segments[i].p_filesz,
				segments[i].p_offset, e);
	return r;
}

/* --- the dynamic section --- */

static int read_dynamic(const struct image *im, const Elf64_Phdr *segments, size_t n,
	struct dynamic *ret, struct err *e)
{
	const struct {
		int64_t tag;
		uint64_t *slot;
	} slots[] = {{DT_SYMTAB, &ret->symbols}, {DT_STRTAB, &ret->strings},
		{DT_STRSZ, &ret->strings_size}, {DT_GNU_HASH, &ret->gnu_hash},
		{DT_HASH, &ret->hash}, {DT_RELA, &ret->rela}, {DT_RELASZ, &ret->rela_size},
		{DT_RELR, &ret->relr}, {DT_RELRSZ, &ret->relr_size}};
	uint64_t at = 0;
	Elf64_Dyn d;

	for (size_t i = 0; i < n; i++)
		if (segments[i].p_type == PT_DYNAMIC)
			at = segments[i].p_vaddr;
	for (size_t i = 0; at && i < ENTRIES_MAX; i++, at += sizeof d) {
		if (!get(im, at, &d, sizeof d))
			return damaged(e, "its dynamic section");
		if (d.d_tag == DT_NULL)
			break;
		for (size_t k = 0; k < ARRAY_LEN(slots); k++)
			if (slots[k].tag == d.d_tag)
				*slots[k].slot = d.d_un.d_val;
	}
	return at && ret->symbols && ret->strings ? 0 : damaged(e, "it has no dynamic symbols");
}

/* --- relocations --- */

static bool put_address(struct image *im, uint64_t at, uint64_t address)
{
	uint64_t value = (uint64_t)(uintptr_t)im->memory +
			 (address < im->size ? address : im->size); /* elsewhere: the end */

	if (!lies_in(im, at, sizeof value))
		return false;
	memcpy(im->memory + at, &value, sizeof value);
	return true;
}

static bool relocate_one(
	struct image *im, const struct machine *m, const struct dynamic *d, const Elf64_Rela *rela)
{
	uint32_t type = ELF64_R_TYPE(rela->r_info);
	Elf64_Sym symbol;

	if (type == m->relative)
		return put_address(im, rela->r_offset, (uint64_t)rela->r_addend);
	if (type != m->absolute && (!m->global || type != m->global))
		return true; /* nothing that a descriptor holds */
	if (!get(im, d->symbols + ELF64_R_SYM(rela->r_info) * sizeof symbol, &symbol,
		    sizeof symbol))
		return false;
	if (symbol.st_shndx == SHN_UNDEF)
		return put_address(im, rela->r_offset, im->size);
	return put_address(im, rela->r_offset, symbol.st_value + (uint64_t)rela->r_addend);
}

static bool relocate_rela(struct image *im, const struct machine *m, const struct dynamic *d)
{
	Elf64_Rela rela;

	if (!lies_in(im, d->rela, d->rela_size))
		return false;
	for (uint64_t i = 0; i + sizeof rela <= d->rela_size; i += sizeof rela)
		if (!get(im, d->rela + i, &rela, sizeof rela) || !relocate_one(im, m, d, &rela))
			return false;
	return true;
}

static bool add_base(struct image *im, uint64_t at)
{
	uint64_t value;

	return get(im, at, &value, sizeof value) && put_address(im, at, value);
}

/* An even entry is an address; an odd one says which of the 63 words behind the last are addresses too. */
static bool relocate_relr(struct image *im, const struct dynamic *d)
{
	uint64_t entry = 0, at = 0;

	if (!lies_in(im, d->relr, d->relr_size))
		return false;
	for (uint64_t i = 0; i + sizeof entry <= d->relr_size; i += sizeof entry) {
		get(im, d->relr + i, &entry, sizeof entry);
		if (!(entry & 1)) {
			if (!add_base(im, entry))
				return false;
			at = entry + sizeof entry;
			continue;
		}
		for (uint64_t k = 0; k < 63; k++)
			if (entry >> (k + 1) & 1 && !add_base(im, at + k * sizeof entry))
				return false;
		at += 63 * sizeof entry;
	}
	return true;
}

/* --- symbols --- */

static int check_symbol(const Elf64_Sym *s, const struct image *im, const char *name, struct err *e)
{
	if (ELF64_ST_TYPE(s->st_info) != STT_OBJECT)
		return err_set(e, -EPROTO, "symbol '%s' is not data", name);
	return lies_in(im, s->st_value, s->st_size) ? 0 : damaged(e, "its symbol lies outside");
}

/* Whether symbol `i` is defined and has that name; false also when it does not lie there. */
static bool is_symbol(const struct image *im, const struct dynamic *d, uint64_t i, const char *name,
	Elf64_Sym *ret)
{
	if (!get(im, d->symbols + i * sizeof *ret, ret, sizeof *ret) ||
		ret->st_shndx == SHN_UNDEF || ret->st_name >= d->strings_size ||
		!lies_in(im, d->strings, d->strings_size))
		return false;
	return image_has_text(im, im->memory + d->strings + ret->st_name) &&
	       strcmp(im->memory + d->strings + ret->st_name, name) == 0;
}

static uint32_t gnu_hash(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

static bool find_by_gnu_hash(
	const struct image *im, const struct dynamic *d, const char *name, Elf64_Sym *ret)
{
	uint32_t head[4]; /* buckets, first symbol, words of the filter, its shift */
	uint32_t h = gnu_hash(name), i, entry;
	uint64_t buckets, chain;

	if (!get(im, d->gnu_hash, head, sizeof head) || !head[0])
		return false;
	buckets = d->gnu_hash + sizeof head + (uint64_t)head[2] * 8;
	chain = buckets + (uint64_t)head[0] * 4;
	if (!get(im, buckets + (uint64_t)(h % head[0]) * 4, &i, sizeof i) || i < head[1])
		return false;
	for (;; i++) {
		if (!get(im, chain + (uint64_t)(i - head[1]) * 4, &entry, sizeof entry))
			return false;
		if ((entry | 1) == (h | 1) && is_symbol(im, d, i, name, ret))
			return true;
		if (entry & 1)
			return false;
	}
}

static bool find_by_hash(
	const struct image *im, const struct dynamic *d, const char *name, Elf64_Sym *ret)
{
	uint32_t head[2]; /* buckets, symbols */

	if (!get(im, d->hash, head, sizeof head))
		return false;
	for (uint64_t i = 0; i < head[1] && lies_in(im, d->symbols, i * sizeof *ret); i++)
		if (is_symbol(im, d, i, name, ret))
			return true;
	return false;
}

int image_find(const struct image *im, const char *symbol, const void **ret, size_t *ret_size,
	struct err *e)
{
	const struct dynamic *d = im->dynamic;
	Elf64_Sym found;
	bool is_there = d->gnu_hash ? find_by_gnu_hash(im, d, symbol, &found)
				    : d->hash && find_by_hash(im, d, symbol, &found);
	int r;

	if (!is_there)
		return err_set(e, -ENOENT, "has no symbol '%s'", symbol);
	r = check_symbol(&found, im, symbol, e);
	if (r < 0)
		return r;
	*ret = im->memory + found.st_value;
	*ret_size = found.st_size;
	return 0;
}

/* --- life --- */

static int read_image(int fd, struct image *im, struct err *e)
{
	_cleanup_(freep) Elf64_Phdr *segments = NULL;
	const struct machine *machine = NULL;
	Elf64_Ehdr head;
	int r = read_head(fd, &head, &machine, e);

	if (r < 0)
		return r;
	segments = calloc(head.e_phnum, sizeof *segments);
	im->dynamic = calloc(1, sizeof *im->dynamic);
	if (!segments || !im->dynamic)
		return -ENOMEM;
	im->machine = machine->name;
	im->is_native = machine->number == NATIVE;
	r = read_at(fd, segments, head.e_phnum * sizeof *segments, head.e_phoff, e);
	if (r == 0)
		r = lay_out(fd, segments, head.e_phnum, im, e);
	if (r == 0)
		r = read_dynamic(im, segments, head.e_phnum, im->dynamic, e);
	if (r < 0)
		return r;
	if (!relocate_rela(im, machine, im->dynamic) || !relocate_relr(im, im->dynamic))
		return damaged(e, "its relocations");
	return 0;
}

bool image_knows_this_machine(void)
{
	return NATIVE != EM_NONE;
}

int image_read(int fd, struct image *ret, struct err *e)
{
	struct image im = {0};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "is not a file");
	r = read_image(fd, &im, e);
	if (r < 0)
		image_close(&im);
	else
		*ret = im;
	return r;
}

int image_open(const char *path, struct image *ret, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

	if (fd < 0)
		return err_set(e, -errno, "cannot be opened: %s", strerror(errno));
	r = image_read(fd, ret, e);
	close(fd);
	return r;
}

void image_close(struct image *im)
{
	if (im->memory)
		munmap(im->memory, im->size + PAGE);
	free(im->dynamic);
	*im = (struct image){0};
}
