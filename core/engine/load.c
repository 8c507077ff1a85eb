/* Loading a pipeline: text, then plugins, so that all faults of a file are known at once. */
#include "engine/load.h"

#include "base/mem.h"

int pipeline_load(const char *path, const struct plugin_folders *folders, struct pipeline **ret,
	struct yaml_faults *faults, struct err *e)
{
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;
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
	if (r < 0) {
		yaml_faults_first(faults, e);
		return err_wrap(e, r, "pipeline '%s'", path);
	}
	*ret = steal_ptr(p);
	return 0;
}
