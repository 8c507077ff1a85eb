/* Descriptors as the ABI's rules judge them: sizes first, then what is in use, then whether it makes sense. */
#include "stage/descriptor.h"

#include "base/mem.h"
#include "base/option.h"

enum { OPTIONS_MAX = 128, CONFIG_SIZE_MAX = 64 * 1024, STRUCT_SIZE_MAX = 4096 };

#define KNOWN_FLAGS (SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS | SL_STAGE_NETWORK | SL_STAGE_PROGRAMS)

/* What a descriptor and an option must at least reach to, whatever version they are from. */
#define STAGE_SIZE_MIN	offsetof(struct sl_stage, undo)
#define OPTION_SIZE_MIN offsetof(struct sl_option, min)

/* Copies a struct of the other side into ours of `ours` bytes. What lies beyond must not be in use. */
static bool copy_known(void *dst, size_t ours, const void *src, size_t theirs)
{
	const unsigned char *bytes = src;

	memset(dst, 0, ours);
	memcpy(dst, src, theirs < ours ? theirs : ours);
	for (size_t i = ours; i < theirs; i++)
		if (bytes[i])
			return false;
	return true;
}

static int refuse_newer(uint32_t abi, const char *what, struct err *e)
{
	return err_set(e, -EPROTO,
		"%s that this host does not know: it is for ABI %u.%u, this is %u.%u", what,
		abi >> 16, abi & 0xffff, SL_ABI_MAJOR, SL_ABI_MINOR);
}

int descriptor_read(const void *p, size_t symbol_size, struct sl_stage *ret, struct err *e)
{
	uint32_t head[2]; /* size, abi */

	if (symbol_size < sizeof head)
		return err_set(e, -EPROTO, "descriptor of %zu bytes", symbol_size);
	memcpy(head, p, sizeof head);
	if (head[1] >> 16 != SL_ABI_MAJOR)
		return err_set(e, -EPROTO, "is for ABI %u.%u, this host is %u.%u", head[1] >> 16,
			head[1] & 0xffff, SL_ABI_MAJOR, SL_ABI_MINOR);
	if (head[0] < STAGE_SIZE_MIN || head[0] > symbol_size || head[0] > STRUCT_SIZE_MAX)
		return err_set(e, -EPROTO, "descriptor says %u bytes, its symbol has %zu", head[0],
			symbol_size);
	if (!copy_known(ret, sizeof *ret, p, head[0]))
		return refuse_newer(head[1], "uses a part of the descriptor", e);
	if (ret->flags & ~KNOWN_FLAGS)
		return refuse_newer(head[1], "sets a flag", e);
	return 0;
}

int descriptor_check(const struct sl_stage *s, const char *name, struct err *e)
{
	if (!s->name || !s->version || !s->summary)
		return err_set(e, -EINVAL, "lacks name, version or summary");
	if (strcmp(s->name, name) != 0)
		return err_set(e, -EINVAL, "calls itself '%s'", s->name);
	if (!s->create || !s->run)
		return err_set(e, -EINVAL, "lacks create or run");
	if (s->config_size > CONFIG_SIZE_MAX)
		return err_set(e, -EINVAL, "config of %u bytes, at most %d", s->config_size,
			CONFIG_SIZE_MAX);
	if (s->n_options > OPTIONS_MAX || (s->n_options && !s->options))
		return err_set(e, -EINVAL, "options: %u without a table, or more than %d",
			s->n_options, OPTIONS_MAX);
	return 0;
}

int descriptor_copy_options(struct sl_stage *s, struct sl_option **ret, struct err *e)
{
	_cleanup_(freep) struct sl_option *options = NULL;

	if (!s->n_options)
		return 0;
	if (s->option_size < OPTION_SIZE_MIN || s->option_size > STRUCT_SIZE_MAX)
		return err_set(e, -EPROTO, "options of %u bytes each", s->option_size);
	options = calloc(s->n_options, sizeof *options);
	if (!options)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_options; i++)
		if (!copy_known(&options[i], sizeof *options,
			    (const char *)s->options + i * s->option_size, s->option_size))
			return refuse_newer(s->abi, "uses a part of an option", e);
	s->options = options;
	s->option_size = sizeof *options;
	*ret = steal_ptr(options);
	return 0;
}

int descriptor_check_options(const struct sl_stage *s, struct err *e)
{
	int r = option_check_table(s->options, s->n_options, s->config_size, e);

	return r < 0 ? err_wrap(e, r, "option table") : 0;
}
