/* What is wrong in a YAML file: collecting it, printing it by place, guessing what was meant. */
#include "base/yaml.h"

#include <ctype.h>
#include <stdarg.h>

#include "base/mem.h"

enum { SUGGEST_LENGTH_MAX = 64 };

/* A fault is one line on a terminal: bytes that would move the cursor are shown as '?'. What is left of a letter where
 * a long word was cut is left out. */
static void make_printable(char *text)
{
	size_t left = strlen(text), len;
	char *to = text;

	for (; left; text += len, left -= len) {
		len = utf8_length((struct str){text, left});
		if (!len) {
			len = 1;
			continue;
		}
		memmove(to, text, len);
		if ((unsigned char)*to < 0x20 || *to == 0x7f)
			*to = '?';
		to += len;
	}
	*to = '\0';
}

/* An alias shows the same node in several places; what is wrong in it is said once. */
static bool is_known(const struct yaml_faults *f, int line, int column, const char *text)
{
	for (size_t i = 0; i < f->n && i < YAML_FAULTS_MAX; i++)
		if (f->list[i].line == line && f->list[i].column == column &&
			strcmp(f->list[i].text, text) == 0)
			return true;
	return false;
}

static void add(struct yaml_faults *f, int line, int column, const char *fmt, va_list ap)
{
	char text[ERR_TEXT_MAX];
	const char *copy;

	if (!f)
		return;
	vsnprintf(text, sizeof text, fmt, ap);
	make_printable(text);
	if (is_known(f, line, column, text))
		return;
	if (f->n < YAML_FAULTS_MAX) {
		copy = arena_strdup(&f->arena, text);
		f->list[f->n] = (struct yaml_fault){
			line, column, copy ? copy : "wrong (no memory left to say why)"};
	}
	f->n++;
}

void yaml_fault(struct yaml_faults *f, const struct yaml_node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(f, at ? at->line : 0, at ? at->column : 0, fmt, ap);
	va_end(ap);
}

void yaml_fault_key(struct yaml_faults *f, const struct yaml_node *at, const char *fmt, ...)
{
	bool has_key = at && at->key_line;
	va_list ap;

	va_start(ap, fmt);
	add(f,
		has_key ? at->key_line
		: at	? at->line
			: 0,
		has_key ? at->key_column
		: at	? at->column
			: 0,
		fmt, ap);
	va_end(ap);
}

static bool is_before(const struct yaml_fault *a, const struct yaml_fault *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* Fills `order` with the kept faults by place, those of one place as found. Returns how many. */
static size_t sort_by_place(const struct yaml_faults *f, const struct yaml_fault *order[])
{
	size_t n = f->n < YAML_FAULTS_MAX ? f->n : YAML_FAULTS_MAX;

	for (size_t i = 0; i < n; i++) {
		size_t to = i;

		for (; to > 0 && is_before(&f->list[i], order[to - 1]); to--)
			order[to] = order[to - 1];
		order[to] = &f->list[i];
	}
	return n;
}

void yaml_faults_print(const struct yaml_faults *f, const char *file, FILE *out)
{
	const struct yaml_fault *order[YAML_FAULTS_MAX];
	size_t n = sort_by_place(f, order);

	for (size_t i = 0; i < n; i++) {
		if (order[i]->line)
			fprintf(out, "%s:%d:%d: error: %s\n", file, order[i]->line,
				order[i]->column, order[i]->text);
		else
			fprintf(out, "%s: error: %s\n", file, order[i]->text);
	}
	if (f->n > n)
		fprintf(out, "%s: error: %zu more, not shown\n", file, f->n - n);
}

static void fault_json(
	const char *file, int line, int column, const char *text, struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "file");
	json_text(w, file);
	if (line) {
		json_key(w, "line");
		json_int(w, line);
		json_key(w, "column");
		json_int(w, column);
	}
	json_key(w, "detail");
	json_text(w, text);
	json_close(w, '}');
}

void yaml_faults_json(const struct yaml_faults *f, const char *file, struct json_writer *w)
{
	const struct yaml_fault *order[YAML_FAULTS_MAX];
	size_t n = sort_by_place(f, order);
	char rest[64];

	json_open(w, '[');
	for (size_t i = 0; i < n; i++)
		fault_json(file, order[i]->line, order[i]->column, order[i]->text, w);
	snprintf(rest, sizeof rest, "%zu more, not shown", f->n - n);
	if (f->n > n)
		fault_json(file, 0, 0, rest, w);
	json_close(w, ']');
}

void yaml_faults_first(const struct yaml_faults *f, struct err *e)
{
	const struct yaml_fault *order[YAML_FAULTS_MAX];

	if (!sort_by_place(f, order))
		return;
	if (order[0]->line)
		err_set(e, -EINVAL, "%d:%d: %s", order[0]->line, order[0]->column, order[0]->text);
	else
		err_set(e, -EINVAL, "%s", order[0]->text);
}

void yaml_faults_fini(struct yaml_faults *f)
{
	arena_fini(&f->arena);
	f->n = 0;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

static bool is_same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment: insert, delete, replace and swapping two neighbours cost one each. */
static size_t distance(struct str a, struct str b)
{
	size_t rows[3][SUGGEST_LENGTH_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b.n; j++)
		above[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			bool same = is_same_letter(a.p[i - 1], b.p[j - 1]);

			row[j] = smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && is_same_letter(a.p[i - 1], b.p[j - 2]) &&
				is_same_letter(a.p[i - 2], b.p[j - 1]) &&
				before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[b.n];
}

const char *yaml_suggest(struct str word, const char *const *candidates)
{
	size_t best = word.n / 3 + 1;
	const char *found = NULL;

	if (word.n > SUGGEST_LENGTH_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		struct str candidate = str_of(*candidates);
		size_t far = candidate.n > SUGGEST_LENGTH_MAX ? best : distance(word, candidate);

		if (far >= best)
			continue;
		best = far;
		found = *candidates;
	}
	return found;
}
