/* Loading plugins: who is let in, who is refused and why; and a pipeline checked against its plugins. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "stages.h"

static int load(const char *name, const struct plugin **ret, struct err *e)
{
	const char *path;
	struct plugin_folders folders = stage_folders(&path, "STAGELINE_TEST_MOCKS");

	*e = (struct err){0};
	return plugin_load(&folders, name, ret, e);
}

static void check_refused(const char *name, int code, const char *reason)
{
	const struct plugin *plugin = NULL;
	struct err e;

	CHECK_INT(load(name, &plugin, &e), code);
	CHECK(plugin == NULL);
	if (!strstr(err_text(&e), reason))
		CHECK_TEXT(err_text(&e), reason);
}

static void an_older_smaller_plugin_loads_and_its_lack_is_zero(void)
{
	const struct plugin *plugin;
	struct err e;

	REQUIRE(load("older", &plugin, &e) == 0);
	CHECK(plugin->stage->undo == NULL);
	CHECK_INT(plugin->stage->n_options, 2);
	CHECK_TEXT(plugin->stage->options[1].name, "two");
	CHECK_INT(plugin->stage->options[1].max, 0);
}

static void a_newer_plugin_is_judged_by_what_it_uses(void)
{
	const struct plugin *plugin;
	struct err e;

	REQUIRE(load("newer_quiet", &plugin, &e) == 0);
	CHECK_TEXT(plugin->stage->options[1].name, "two");
	check_refused("newer_needy", -EPROTO,
		"uses a part of the descriptor that this host does not know: it is for ABI 1.9, "
		"this is 1.2");
	check_refused("newer_flag", -EPROTO, "sets a flag that this host does not know");
	check_refused(
		"newer_option", -EPROTO, "uses a part of an option that this host does not know");
}

static void a_broken_descriptor_is_refused_by_name(void)
{
	check_refused("other_major", -EPROTO, "is for ABI 2.0, this host is 1.2");
	check_refused("no_symbol", -EPROTO, "has no symbol 'stageline_stage'");
	check_refused("function_symbol", -EPROTO, "is not data");
	check_refused("lying_size", -EPROTO, "descriptor says 2048 bytes");
	check_refused("too_small", -EPROTO, "descriptor says 16 bytes");
	check_refused("wrong_name", -EINVAL, "calls itself 'somebody'");
	check_refused("no_run", -EINVAL, "lacks create or run");
	check_refused("bad_options", -EINVAL, "option table");
}

static void a_name_is_no_path(void)
{
	static const char *const names[] = {"../probe", "/etc/passwd", "a/b", ".hidden", "", "a b",
		"a\nb", "..",
		"0123456789012345678901234567890123456789012345678901234567890123456789"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		check_refused(names[i], -EINVAL, "cannot be a plugin's name");
}

static void a_missing_plugin_names_the_folders(void)
{
	static const char *const paths[] = {"/nonexistent", "/usr/share"};
	struct plugin_folders folders = {paths, 2};
	const struct plugin *plugin;
	struct err e = {0};

	CHECK_INT(plugin_load(&folders, "probe", &plugin, &e), -ENOENT);
	CHECK_TEXT(err_text(&e), "no plugin 'probe' in /nonexistent, /usr/share");
}

static void the_same_file_is_loaded_once(void)
{
	const struct plugin *a, *b;
	struct err e;

	REQUIRE(load("probe", &a, &e) == 0 && load("probe", &b, &e) == 0);
	CHECK(a == b);
}

/* --- files of our own --- */

struct folder {
	char path[64], file[96];
};

static void folder_init(struct folder *f, const char *name)
{
	snprintf(f->path, sizeof f->path, "/tmp/stageline-loader-XXXXXX");
	REQUIRE(mkdtemp(f->path) != NULL);
	snprintf(f->file, sizeof f->file, "%s/%s.so", f->path, name);
}

static void folder_fini(struct folder *f)
{
	unlink(f->file);
	rmdir(f->path);
}

static void copy_mock(const char *mock, const char *to)
{
	_cleanup_(buf_fini) struct buf bytes = {0};
	char from[512];
	FILE *in, *out;
	size_t n;

	snprintf(from, sizeof from, "%s/%s.so", getenv("STAGELINE_TEST_MOCKS"), mock);
	in = fopen(from, "rb");
	out = fopen(to, "wb");
	REQUIRE(in && out);
	do {
		char *p = buf_reserve(&bytes, 65536);

		REQUIRE(p != NULL);
		n = fread(p, 1, 65536, in);
		bytes.len += n;
	} while (n);
	REQUIRE(fwrite(bytes.data, 1, bytes.len, out) == bytes.len);
	fclose(in);
	REQUIRE(fclose(out) == 0);
	REQUIRE(chmod(to, 0644) == 0);
}

static int load_from(
	const struct folder *f, const char *name, const struct plugin **ret, struct err *e)
{
	const char *path = f->path;
	struct plugin_folders folders = {&path, 1};

	*e = (struct err){0};
	return plugin_load(&folders, name, ret, e);
}

static void what_others_can_write_is_refused(void)
{
	const struct plugin *plugin;
	struct folder f;
	struct err e;

	folder_init(&f, "replaced");
	copy_mock("replaced", f.file);
	chmod(f.file, 0666);
	CHECK_INT(load_from(&f, "replaced", &plugin, &e), -EPERM);
	CHECK(strstr(err_text(&e), "can be written by others") != NULL);
	chmod(f.file, 0664);
	CHECK_INT(load_from(&f, "replaced", &plugin, &e), -EPERM);
	chmod(f.file, 0644);
	chmod(f.path, 0777);
	CHECK_INT(load_from(&f, "replaced", &plugin, &e), -EPERM);
	CHECK(strstr(err_text(&e), f.path) != NULL);
	chmod(f.path, 0755);
	CHECK_INT(load_from(&f, "replaced", &plugin, &e), 0);
	folder_fini(&f);
}

static void a_link_does_not_hide_an_open_folder(void)
{
	const struct plugin *plugin;
	struct folder open, closed;
	struct err e;

	folder_init(&open, "replaced");
	folder_init(&closed, "replaced");
	copy_mock("replaced", open.file);
	chmod(open.path, 0777);
	REQUIRE(symlink(open.file, closed.file) == 0);
	CHECK_INT(load_from(&closed, "replaced", &plugin, &e), -EPERM);
	folder_fini(&closed);
	folder_fini(&open);
}

static void somebody_elses_file_is_refused(void)
{
	const struct plugin *plugin;
	struct folder f;
	struct err e;

	if (geteuid() != 0)
		return; /* only root can give a file away */
	folder_init(&f, "replaced");
	copy_mock("replaced", f.file);
	REQUIRE(chown(f.file, 12345, 0) == 0);
	CHECK_INT(load_from(&f, "replaced", &plugin, &e), -EPERM);
	CHECK(strstr(err_text(&e), "belongs to user 12345") != NULL);
	folder_fini(&f);
}

static void garbage_is_refused(void)
{
	const struct plugin *plugin;
	struct folder f;
	struct err e;
	FILE *out;

	folder_init(&f, "garbage");
	out = fopen(f.file, "w");
	REQUIRE(out != NULL);
	fputs("this is no shared object, however long it gets, and it never will be one", out);
	fclose(out);
	chmod(f.file, 0644);
	CHECK_INT(load_from(&f, "garbage", &plugin, &e), -EINVAL);
	CHECK(strstr(err_text(&e), "invalid ELF header") != NULL);
	unlink(f.file);
	REQUIRE(mkdir(f.file, 0755) == 0);
	CHECK_INT(load_from(&f, "garbage", &plugin, &e), -EINVAL);
	CHECK(strstr(err_text(&e), "is not a file") != NULL);
	rmdir(f.file);
	folder_fini(&f);
}

static void a_replaced_file_is_another_plugin(void)
{
	const struct plugin *one, *two, *again;
	char fresh[112];
	struct folder f;
	struct err e;

	folder_init(&f, "replaced");
	copy_mock("replaced", f.file);
	REQUIRE(load_from(&f, "replaced", &one, &e) == 0);
	snprintf(fresh, sizeof fresh, "%s.new", f.file);
	copy_mock("replaced_later", fresh);
	REQUIRE(rename(fresh, f.file) == 0);
	REQUIRE(load_from(&f, "replaced", &two, &e) == 0);
	CHECK_TEXT(one->stage->version, "one");
	CHECK_TEXT(two->stage->version, "two");
	REQUIRE(load_from(&f, "replaced", &again, &e) == 0);
	CHECK(again == two);
	folder_fini(&f);
}

static void a_file_overwritten_in_place_leaves_what_runs_as_it_was(void)
{
	const struct plugin *one, *two, *old;
	const char *folder;
	struct folder f;
	struct err e;

	folder_init(&f, "replaced");
	folder = f.path;
	copy_mock("replaced", f.file);
	REQUIRE(load_from(&f, "replaced", &one, &e) == 0);
	copy_mock("replaced_later", f.file);
	REQUIRE(load_from(&f, "replaced", &two, &e) == 0);
	CHECK_TEXT(one->stage->version, "one");
	CHECK_TEXT(two->stage->version, "two");
	CHECK(strcmp(one->build, two->build) != 0);
	REQUIRE(plugin_load_build(&(struct plugin_folders){&folder, 1}, "replaced", one->build,
			&old, &e) == 0);
	CHECK(old == one);
	copy_mock("replaced", f.file);
	REQUIRE(load_from(&f, "replaced", &old, &e) == 0);
	CHECK(old == one);
	folder_fini(&f);
}

static void what_is_cut_off_is_refused_before_it_is_mapped(void)
{
	static const long sizes[] = {1, 63, 64, 1000, 5000, 10000};
	const struct plugin *plugin;
	struct folder f;
	struct err e;

	folder_init(&f, "replaced");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		copy_mock("replaced", f.file);
		REQUIRE(truncate(f.file, sizes[i]) == 0);
		CHECK_INT(load_from(&f, "replaced", &plugin, &e), -EINVAL);
	}
	CHECK(strstr(err_text(&e), "is cut off after 10000 bytes") != NULL);
	folder_fini(&f);
}

static void a_refused_plugin_is_refused_again_without_being_mapped_again(void)
{
	struct err first, again;
	const struct plugin *plugin;
	size_t n_maps[2];

	CHECK_INT(load("bad_options", &plugin, &first), -EINVAL);
	for (int i = 0; i < 2; i++) {
		_cleanup_(freep) char *line = NULL;
		FILE *maps = fopen("/proc/self/maps", "r");
		size_t cap = 0;

		REQUIRE(maps != NULL);
		for (n_maps[i] = 0; getline(&line, &cap, maps) > 0;)
			n_maps[i] += strstr(line, "memfd:stage") != NULL;
		fclose(maps);
		CHECK_INT(load("bad_options", &plugin, &again), -EINVAL);
	}
	CHECK_INT(n_maps[1], n_maps[0]);
	CHECK_TEXT(err_text(&again), err_text(&first));
}

static void on_name(void *arg, const char *name)
{
	*(int *)arg += strcmp(name, "probe") == 0;
}

static void each_name_comes_once(void)
{
	const char *mocks = getenv("STAGELINE_TEST_MOCKS");
	const char *const paths[] = {mocks, "/nonexistent", mocks};
	int n = 0;

	plugin_each_name(&(struct plugin_folders){paths, 3}, on_name, &n);
	CHECK_INT(n, 1);
}

static void a_failing_create_gives_its_reason(void)
{
	struct stage_fixture fx;
	struct err e = {0};

	CHECK_INT(stage_fixture_init(&fx, "STAGELINE_TEST_MOCKS", "failing_create", NULL, NULL, &e),
		-EACCES);
	CHECK_TEXT(err_text(&e), "stage 'failing_create': plugin 'failing_create' could not start: "
				 "the licence has expired");
	stage_fixture_fini(&fx);
}

/* --- a pipeline against its plugins --- */

static void check_pipeline(const char *text, const char *want)
{
	_cleanup_(buf_fini) struct buf said = {0};
	const char *const paths[] = {
		getenv("STAGELINE_TEST_STAGES"), getenv("STAGELINE_TEST_MOCKS")};
	struct plugin_folders folders = {paths, 2};
	struct yaml_faults faults = {0};
	struct pipeline *p = NULL;
	int r = pipeline_parse(str_of(text), &p, &faults);

	REQUIRE(r == 0);
	r = stage_check(p, &folders, &faults);
	CHECK_INT(r, *want ? -EINVAL : 0);
	for (size_t i = 0; i < faults.n; i++)
		buf_fmt(&said, "%d:%d: %s\n", faults.list[i].line, faults.list[i].column,
			faults.list[i].text);
	if (*want ? !strstr(buf_view(&said).p, want) : faults.n > 0)
		CHECK_TEXT(buf_view(&said).p, want);
	yaml_faults_fini(&faults);
	pipeline_free(p);
}

#define STAGE(lines)                                                                               \
	"pipeline: test\nstages:\n  - name: a\n    status: aing\n    event: a_done\n" lines

static void a_fault_stands_where_it_was_made(void)
{
	check_pipeline(STAGE("    plugin: validation\n"), "");
	check_pipeline(STAGE("    plugin: validatoin\n"), "6:13: no plugin 'validatoin' in ");
	check_pipeline(STAGE("    plugin: validatoin\n"), "(did you mean 'validation'?)");
	check_pipeline(STAGE("    plugin: validation\n    config: {latncy: 1s}\n"), "7:14: ");
	check_pipeline(STAGE("    plugin: validation\n    config: {decline_rate: 2}\n"), "7:");
	check_pipeline(STAGE("    plugin: validation\n    undo_event: a_undone\n"),
		"7:5: plugin 'validation' cannot undo: remove undo_event");
	check_pipeline(STAGE("    plugin: other_major\n"), "6:13: plugin '");
}

static void an_effect_needs_undo_or_a_word_that_there_is_none(void)
{
	check_pipeline(STAGE("    plugin: payment\n    undo_event: a_undone\n"), "");
	check_pipeline(STAGE("    plugin: payment\n    irreversible: true\n"), "");
	check_pipeline(
		STAGE("    plugin: payment\n"), "it needs 'undo_event: …' or 'irreversible: true'");
	check_pipeline(STAGE("    plugin: effectful\n"), "it needs 'irreversible: true'");
	check_pipeline(
		STAGE("    plugin: payment\n    undo_event: a_undone\n    irreversible: true\n"),
		"irreversible");
}

static void the_shipped_pipeline_fits_the_shipped_stages(void)
{
	_cleanup_(freep) char *text = NULL;
	size_t n;

	REQUIRE(yaml_read(getenv("STAGELINE_TEST_PIPELINE"), &text, &n, NULL) == 0);
	check_pipeline(text, "");
}

UNIT_MAIN("loader", TEST(an_older_smaller_plugin_loads_and_its_lack_is_zero),
	TEST(a_newer_plugin_is_judged_by_what_it_uses),
	TEST(a_broken_descriptor_is_refused_by_name), TEST(a_name_is_no_path),
	TEST(a_missing_plugin_names_the_folders), TEST(the_same_file_is_loaded_once),
	TEST(what_others_can_write_is_refused), TEST(a_link_does_not_hide_an_open_folder),
	TEST(somebody_elses_file_is_refused), TEST(garbage_is_refused),
	TEST(a_replaced_file_is_another_plugin),
	TEST(a_file_overwritten_in_place_leaves_what_runs_as_it_was),
	TEST(what_is_cut_off_is_refused_before_it_is_mapped),
	TEST(a_refused_plugin_is_refused_again_without_being_mapped_again),
	TEST(each_name_comes_once), TEST(a_failing_create_gives_its_reason),
	TEST(a_fault_stands_where_it_was_made),
	TEST(an_effect_needs_undo_or_a_word_that_there_is_none),
	TEST(the_shipped_pipeline_fits_the_shipped_stages))
