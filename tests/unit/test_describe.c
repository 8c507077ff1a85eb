/* Descriptions out of files that are not loaded: the same as the loader's, whatever the linker did; and files that
 * are damaged in every place. */
#include <elf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stage/describe.h"
#include "stages.h"

enum { DAMAGES = 4000, TRUNCATIONS = 400 };

static void path_of(const char *variable, const char *name, char out[512])
{
	REQUIRE(getenv(variable) != NULL);
	snprintf(out, 512, "%s/%s.so", getenv(variable), name);
}

static int describe(const char *name, struct plugin_description **ret, struct err *e)
{
	char path[512];

	path_of("STAGELINE_TEST_MOCKS", name, path);
	*e = (struct err){0};
	return plugin_describe(path, ret, e);
}

static void check_same_text(const char *a, const char *b)
{
	CHECK(!a == !b);
	if (a && b)
		CHECK_TEXT(a, b);
}

static void check_same(const struct sl_stage *a, const struct sl_stage *b)
{
	check_same_text(a->name, b->name);
	check_same_text(a->version, b->version);
	check_same_text(a->summary, b->summary);
	CHECK_INT(a->abi, b->abi);
	CHECK_INT(a->flags, b->flags);
	CHECK_INT(a->config_size, b->config_size);
	CHECK(!a->undo == !b->undo && !a->destroy == !b->destroy);
	REQUIRE(a->n_options == b->n_options);
	for (size_t i = 0; i < a->n_options; i++) {
		const struct sl_option *x = &a->options[i], *y = &b->options[i];

		check_same_text(x->name, y->name);
		check_same_text(x->summary, y->summary);
		check_same_text(x->fallback, y->fallback);
		check_same_text(x->choices, y->choices);
		CHECK(x->type == y->type && x->flags == y->flags && x->offset == y->offset);
		CHECK(x->min == y->min && x->max == y->max);
	}
}

static void a_shipped_stage_is_described_as_it_is_loaded(void)
{
	static const char *const names[] = {"validation", "payment", "inventory", "shipping"};
	const char *folder;
	struct plugin_folders folders = stage_folders(&folder, "STAGELINE_TEST_STAGES");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct plugin_description *d;
		const struct plugin *plugin;
		struct err e = {0};
		char path[512];

		path_of("STAGELINE_TEST_STAGES", names[i], path);
		REQUIRE(plugin_describe(path, &d, &e) == 0);
		REQUIRE(plugin_load(&folders, names[i], &plugin, &e) == 0);
		CHECK(d->image.is_native);
		check_same(&d->stage, plugin->stage);
		plugin_description_free(d);
	}
}

static void no_code_of_the_plugin_runs(void)
{
	char trace[64];
	struct plugin_description *d;
	const char *folder;
	struct plugin_folders folders = stage_folders(&folder, "STAGELINE_TEST_MOCKS");
	struct stage_spec in_processes = {.plugin = "loud", .isolation = ISOLATION_PROCESS};
	const struct plugin *plugin, *again;
	struct err e;

	snprintf(trace, sizeof trace, "/tmp/stageline-trace-%d", (int)getpid());
	setenv("STAGELINE_TEST_TRACE", trace, 1);
	REQUIRE(describe("loud", &d, &e) == 0);
	CHECK_TEXT(d->stage.version, "2.5");
	CHECK(access(trace, F_OK) < 0);
	plugin_description_free(d);
	REQUIRE(plugin_load_stage(&folders, &in_processes, &plugin, &e) == 0);
	CHECK_TEXT(plugin->stage->version, "2.5");
	CHECK_INT(plugin->stage->n_options, 3);
	CHECK(plugin_load_stage(&folders, &in_processes, &again, &e) == 0 && again == plugin);
	CHECK(access(trace, F_OK) < 0);
	REQUIRE(plugin_load(&folders, "loud", &again, &e) == 0);
	CHECK(access(trace, F_OK) == 0); /* the trace works */
	CHECK(again != plugin);
	CHECK_TEXT(again->build, plugin->build);
	unlink(trace);
}

static void it_does_not_matter_how_it_was_linked(void)
{
	static const char *const names[] = {"loud_sysv", "loud_relr"};
	struct plugin_description *first, *other;
	struct err e;

	REQUIRE(describe("loud", &first, &e) == 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		REQUIRE(describe(names[i], &other, &e) == 0);
		check_same(&first->stage, &other->stage);
		plugin_description_free(other);
	}
	plugin_description_free(first);
}

static void what_the_loader_refuses_is_refused_with_its_words(void)
{
	static const struct {
		const char *name, *reason;
	} list[] = {{"other_major", "is for ABI 2.0, this host is 1."},
		{"newer_needy", "uses a part of the descriptor that this host does not know"},
		{"newer_flag", "sets a flag that this host does not know"},
		{"newer_option", "uses a part of an option that this host does not know"},
		{"no_symbol", "has no symbol 'stageline_stage'"},
		{"function_symbol", "is not data"}, {"lying_size", "descriptor says 2048 bytes"},
		{"too_small", "descriptor says 16 bytes"}, {"no_run", "lacks create or run"},
		{"bad_options", "option table"}};

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		struct plugin_description *d = NULL;
		struct err e;

		CHECK(describe(list[i].name, &d, &e) < 0);
		CHECK(d == NULL);
		if (!strstr(err_text(&e), list[i].reason))
			CHECK_TEXT(err_text(&e), list[i].reason);
	}
}

static void an_older_smaller_plugin_is_described_with_zeros(void)
{
	struct plugin_description *d;
	struct err e;

	REQUIRE(describe("older", &d, &e) == 0);
	CHECK(d->stage.undo == NULL);
	CHECK_INT(d->stage.n_options, 2);
	CHECK_INT(d->stage.options[1].max, 0);
	plugin_description_free(d);
}

static void what_is_no_shared_object_is_said_to_be_none(void)
{
	struct plugin_description *d;
	struct err e = {0};

	CHECK(plugin_describe("/tmp", &d, &e) < 0);
	CHECK(strstr(err_text(&e), "is not a file") != NULL);
	e = (struct err){0};
	CHECK(plugin_describe("/dev/null", &d, &e) < 0);
	e = (struct err){0};
	CHECK_INT(plugin_describe("/nonexistent.so", &d, &e), -ENOENT);
	e = (struct err){0};
	CHECK(plugin_describe(SOURCE_ROOT "/meson.build", &d, &e) < 0);
	CHECK(strstr(err_text(&e), "is not an ELF file") != NULL);
}

/* --- damage --- */

struct victim {
	char *bytes;
	size_t size;
	int fd; /* a file in memory */
	char path[64];
};

static void victim_init(struct victim *v, const char *name)
{
	char path[512];
	FILE *in;
	struct stat st;

	path_of("STAGELINE_TEST_MOCKS", name, path);
	in = fopen(path, "rb");
	REQUIRE(in && fstat(fileno(in), &st) == 0);
	v->size = (size_t)st.st_size;
	v->bytes = malloc(v->size);
	REQUIRE(v->bytes && fread(v->bytes, 1, v->size, in) == v->size);
	fclose(in);
	v->fd = memfd_create("victim", MFD_CLOEXEC);
	REQUIRE(v->fd >= 0);
	snprintf(v->path, sizeof v->path, "/proc/self/fd/%d", v->fd);
}

static void victim_fini(struct victim *v)
{
	close(v->fd);
	free(v->bytes);
}

/* Writes it as it is and has it described: any answer will do, as long as there is one. */
static int describe_victim(const struct victim *v, size_t size)
{
	struct plugin_description *d = NULL;
	struct err e = {0};
	int r;

	REQUIRE(ftruncate(v->fd, 0) == 0);
	REQUIRE(pwrite(v->fd, v->bytes, size, 0) == (ssize_t)size);
	r = plugin_describe(v->path, &d, &e);
	CHECK(r == 0 ? d != NULL : d == NULL && *err_text(&e));
	plugin_description_free(d);
	return r;
}

static uint64_t dynamic_value(const struct victim *v, int64_t tag)
{
	Elf64_Ehdr head;
	Elf64_Phdr segment = {0};
	Elf64_Dyn d = {0};

	memcpy(&head, v->bytes, sizeof head);
	for (size_t i = 0; segment.p_type != PT_DYNAMIC; i++) {
		REQUIRE(i < head.e_phnum);
		memcpy(&segment, v->bytes + head.e_phoff + i * sizeof segment, sizeof segment);
	}
	for (uint64_t at = segment.p_offset; d.d_tag != tag; at += sizeof d) {
		REQUIRE(at < segment.p_offset + segment.p_filesz);
		memcpy(&d, v->bytes + at, sizeof d);
	}
	return d.d_un.d_val;
}

/* The same object as the other machine's linker would have written it: other numbers, nothing else. */
static void rewrite_for(struct victim *v, uint16_t machine, const uint32_t types[3])
{
	static const uint32_t native[] = {R_X86_64_RELATIVE, R_X86_64_64, R_X86_64_GLOB_DAT};
	uint64_t from = dynamic_value(v, DT_RELA), size = dynamic_value(v, DT_RELASZ);

	memcpy(v->bytes + offsetof(Elf64_Ehdr, e_machine), &machine, sizeof machine);
	for (uint64_t at = from; at < from + size; at += sizeof(Elf64_Rela)) {
		Elf64_Rela rela;

		memcpy(&rela, v->bytes + at, sizeof rela);
		for (size_t i = 0; i < ARRAY_LEN(native); i++)
			if (ELF64_R_TYPE(rela.r_info) == native[i]) {
				rela.r_info = ELF64_R_INFO(ELF64_R_SYM(rela.r_info), types[i]);
				break;
			}
		memcpy(v->bytes + at, &rela, sizeof rela);
	}
}

static void a_plugin_for_another_machine_is_described_too(void)
{
	static const uint32_t aarch64[] = {R_AARCH64_RELATIVE, R_AARCH64_ABS64, R_AARCH64_GLOB_DAT};
	struct plugin_description *here, *other;
	struct err e = {0};
	struct victim v;

	victim_init(&v, "loud");
	REQUIRE(describe("loud", &here, &e) == 0);
	if (strcmp(here->image.machine, "x86-64") ==
		0) { /* else the native one is another already */
		rewrite_for(&v, EM_AARCH64, aarch64);
		REQUIRE(pwrite(v.fd, v.bytes, v.size, 0) == (ssize_t)v.size);
		REQUIRE(plugin_describe(v.path, &other, &e) == 0);
		CHECK_TEXT(other->image.machine, "aarch64");
		CHECK(!other->image.is_native);
		check_same(&here->stage, &other->stage);
		plugin_description_free(other);
	}
	plugin_description_free(here);
	victim_fini(&v);
}

static void a_file_that_was_cut_off_is_refused_or_whole_enough(void)
{
	struct victim v;

	victim_init(&v, "loud");
	CHECK_INT(describe_victim(&v, v.size), 0);
	for (size_t i = 0; i < TRUNCATIONS; i++)
		describe_victim(&v, v.size * i / TRUNCATIONS);
	CHECK(describe_victim(&v, 63) < 0);
	CHECK(describe_victim(&v, v.size / 8) < 0);
	victim_fini(&v);
}

static uint64_t random_number(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15; /* splitmix64 */

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void damage(struct victim *v, uint64_t *seed)
{
	static const uint64_t values[] = {
		0, 1, 0x7fffffff, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_MAX - 7, 0x10000000};
	/* Mostly where the tables are: the first 16 KiB hold headers, symbols, relocations. */
	size_t range = random_number(seed) % 4 && v->size > 16384 ? 16384 : v->size;

	for (uint64_t n = 1 + random_number(seed) % 6; n; n--) {
		size_t at = random_number(seed) % (range - 8);
		uint64_t value = random_number(seed) % 2 ? values[random_number(seed) % 8]
							 : random_number(seed);

		memcpy(v->bytes + (at & ~(size_t)3), &value, 1u << random_number(seed) % 4);
	}
}

static void check_damaged(const char *name)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	struct victim v, whole;

	printf("SEED=%llu %s\n", (unsigned long long)seed, name);
	victim_init(&v, name);
	victim_init(&whole, name);
	for (int i = 0; i < DAMAGES; i++) {
		memcpy(v.bytes, whole.bytes, v.size);
		damage(&v, &seed);
		describe_victim(&v, v.size);
	}
	victim_fini(&v);
	victim_fini(&whole);
}

static void a_damaged_file_is_answered_and_nothing_outside_it_is_read(void)
{
	check_damaged("loud");
	check_damaged("loud_sysv");
	check_damaged("loud_relr");
}

UNIT_MAIN("describe", TEST(a_shipped_stage_is_described_as_it_is_loaded),
	TEST(no_code_of_the_plugin_runs), TEST(it_does_not_matter_how_it_was_linked),
	TEST(what_the_loader_refuses_is_refused_with_its_words),
	TEST(an_older_smaller_plugin_is_described_with_zeros),
	TEST(what_is_no_shared_object_is_said_to_be_none),
	TEST(a_plugin_for_another_machine_is_described_too),
	TEST(a_file_that_was_cut_off_is_refused_or_whole_enough),
	TEST(a_damaged_file_is_answered_and_nothing_outside_it_is_read))
