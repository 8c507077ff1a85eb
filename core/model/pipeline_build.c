/* The builds of a generation's plugins, written to the end of its text and read from there. */
#include "model/pipeline_build.h"

#define MARK "#build: "

enum { BUILD_MAX = 64 };

static bool is_first_of_plugin(const struct pipeline *p, size_t stage)
{
	for (size_t i = 0; i < stage; i++)
		if (strcmp(p->stages[i].plugin, p->stages[stage].plugin) == 0)
			return false;
	return true;
}

void pipeline_build_write(const struct pipeline *p, struct buf *out)
{
	size_t length = p->document->source_len;

	buf_add(out, p->document->source, length);
	if (length && p->document->source[length - 1] != '\n')
		buf_char(out, '\n');
	for (size_t i = 0; i < p->n_stages; i++)
		if (p->stages[i].build && is_first_of_plugin(p, i))
			buf_fmt(out, MARK "%s %s\n", p->stages[i].plugin, p->stages[i].build);
}

/* Takes the last line off `text`, its newline too. */
static struct str last_line(struct str *text)
{
	size_t end = text->n && text->p[text->n - 1] == '\n' ? text->n - 1 : text->n;
	size_t start = end;

	while (start && text->p[start - 1] != '\n')
		start--;
	text->n = start;
	return (struct str){text->p + start, end - start};
}

static int set_build(struct pipeline *p, struct str name, struct str build, struct arena *arena)
{
	struct str copy = {0};

	for (size_t i = 0; i < p->n_stages; i++) {
		if (p->stages[i].build || !str_is(name, p->stages[i].plugin))
			continue;
		if (!copy.p && !arena_copy(arena, build, &copy))
			return -ENOMEM;
		p->stages[i].build = copy.p;
	}
	return 0;
}

int pipeline_build_read(struct pipeline *p, struct str text, struct arena *arena)
{
	int r = 0;

	while (text.n && r == 0) {
		struct str line = last_line(&text), name;
		const char *space;

		if (!str_starts(line, STR(MARK)))
			break;
		name = (struct str){line.p + sizeof MARK - 1, line.n - (sizeof MARK - 1)};
		space = memchr(name.p, ' ', name.n);
		if (!space || line.p + line.n - space - 1 > BUILD_MAX)
			break;
		name.n = (size_t)(space - name.p);
		r = set_build(p, name,
			(struct str){space + 1, (size_t)(line.p + line.n - space - 1)}, arena);
	}
	return r;
}
