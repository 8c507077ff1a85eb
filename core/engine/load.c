/* Loading a pipeline: text, then plugins, so that all faults of a file are known at once. */
#include "engine/load.h"

#include "base/mem.h"
#include "model/pipeline_build.h"

/* The generation: what the file says, and which builds its stages run. */
static int name_builds(const struct pipeline *p, struct pipeline **ret, struct yaml_faults *faults)
{
	_cleanup_(buf_fini) struct buf text = {0};

	pipeline_build_write(p, &text);
	return text.failed ? -ENOMEM : pipeline_parse(buf_view(&text), ret, faults);
}

int pipeline_load(const char *path, const struct plugin_folders *folders, bool is_rehearsed,
	struct pipeline **ret, struct yaml_faults *faults, struct err *e)
{
	_cleanup_(pipeline_freep) struct pipeline *p = NULL, *named = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t n_before = faults->n, length;
	int r = yaml_read(path, &text, &length, e);

	if (r < 0)
		return err_wrap(e, r, "pipeline '%s'", path);
	r = pipeline_read((struct str){text, length}, &p, faults);
	if (r == 0)
		r = stage_check(p, folders, faults);
	if (r == 0 && faults->n > n_before)
		r = -EINVAL;
	if (r == 0 && is_rehearsed)
		r = stage_rehearse(p, folders, faults, e);
	if (r == 0)
		r = name_builds(p, &named, faults);
	if (r < 0) {
		yaml_faults_first(faults, e);
		return err_wrap(e, r, "pipeline '%s'", path);
	}
	*ret = steal_ptr(named);
	return 0;
}
