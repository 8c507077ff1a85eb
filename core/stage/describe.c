/* Descriptions of plugins out of their files: the loader's checks, on an image instead of loaded memory. */
#include "stage/describe.h"

#include "base/mem.h"
#include "stage/descriptor.h"

static int lost(struct err *e, const char *what)
{
	return err_set(e, -EPROTO, "its %s does not lie in the file itself", what);
}

static bool is_text(const struct image *im, const char *p)
{
	return !p || image_has_text(im, p);
}

static int check_texts(const struct plugin_description *d, struct err *e)
{
	const struct sl_stage *s = &d->stage;

	if (!is_text(&d->image, s->name) || !is_text(&d->image, s->version) ||
		!is_text(&d->image, s->summary))
		return lost(e, "name, version or summary");
	if (s->n_options && s->options &&
		!image_has(&d->image, s->options, (size_t)s->n_options * s->option_size))
		return lost(e, "option table");
	return 0;
}

static int check_option_texts(const struct plugin_description *d, struct err *e)
{
	for (size_t i = 0; i < d->stage.n_options; i++) {
		const struct sl_option *o = &d->options[i];

		if (!is_text(&d->image, o->name) || !is_text(&d->image, o->summary) ||
			!is_text(&d->image, o->fallback) || !is_text(&d->image, o->choices))
			return lost(e, "options' text");
	}
	return 0;
}

/* From the image to the rest. */
static int read_description(struct plugin_description *d, struct err *e)
{
	const void *descriptor;
	size_t size;
	int r = image_find(&d->image, SL_STAGE_SYMBOL, &descriptor, &size, e);

	if (r == 0)
		r = descriptor_read(descriptor, size, &d->stage, e);
	if (r == 0)
		r = check_texts(d, e);
	if (r == 0)
		r = descriptor_check(&d->stage, d->stage.name, e);
	if (r == 0)
		r = descriptor_copy_options(&d->stage, &d->options, e);
	if (r == 0)
		r = check_option_texts(d, e);
	return r == 0 ? descriptor_check_options(&d->stage, e) : r;
}

int plugin_describe(const char *path, struct plugin_description **ret, struct err *e)
{
	_cleanup_(plugin_description_freep) struct plugin_description *d = calloc(1, sizeof *d);
	int r = d ? image_open(path, &d->image, e) : -ENOMEM;

	if (r == 0)
		r = read_description(d, e);
	if (r < 0)
		return err_wrap(e, r, "'%s'", path);
	*ret = steal_ptr(d);
	return 0;
}

int plugin_describe_native(int fd, struct plugin_description **ret, struct err *e)
{
	_cleanup_(plugin_description_freep) struct plugin_description *d = calloc(1, sizeof *d);
	int r = d ? image_read(fd, &d->image, e) : -ENOMEM;

	if (r == 0 && !d->image.is_native)
		r = err_set(e, -EINVAL, "is for another machine: %s", d->image.machine);
	if (r == 0)
		r = read_description(d, e);
	if (r == 0)
		*ret = steal_ptr(d);
	return r;
}

void plugin_description_free(struct plugin_description *d)
{
	if (!d)
		return;
	image_close(&d->image);
	free(d->options);
	free(d);
}
