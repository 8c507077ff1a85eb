/* Heads of the chain that were noted outside. */
#include "cli/heads_file.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"

void heads_fini(struct heads *h)
{
	free(h->list);
}

static int heads_add(struct heads *h, const struct chain_head *head)
{
	if (h->n == h->cap) {
		size_t cap = h->cap ? h->cap * 2 : 16;
		struct chain_head *grown = realloc(h->list, cap * sizeof *grown);

		if (!grown)
			return -ENOMEM;
		h->list = grown;
		h->cap = cap;
	}
	h->list[h->n++] = *head;
	return 0;
}

/* "… head=SEQ:HASH", as the log and the file of heads have it, or "SEQ:HASH" alone. */
static int read_line(struct str line, struct heads *ret)
{
	const char *key = memmem(line.p, line.n, "head=", 5);
	struct chain_head head;
	struct str text = line;
	size_t n = 0;

	if (key)
		text = (struct str){key + 5, line.n - (size_t)(key + 5 - line.p)};
	while (n < text.n && text.p[n] != ' ' && text.p[n] != '\r')
		n++;
	return chain_head_parse((struct str){text.p, n}, &head) < 0 ? -EINVAL
								    : heads_add(ret, &head);
}

static int read_heads_file(const struct offline *o, const char *path, struct heads *ret)
{
	_cleanup_(freep) char *text = NULL;
	FILE *file = fopen(path, "re");
	int status = EXIT_SUCCESS;
	size_t cap = 0, line = 0;
	ssize_t n;

	if (!file)
		return offline_refuse(o, "'%s': %s", path, strerror(errno));
	while (status == EXIT_SUCCESS && (n = getline(&text, &cap, file)) >= 0) {
		line++;
		if (n && text[n - 1] == '\n')
			n--;
		if (n && read_line((struct str){text, (size_t)n}, ret) < 0)
			status = offline_refuse(
				o, "%s:%zu: no head; one looks like 1042:9f86d081…", path, line);
	}
	fclose(file);
	return status;
}

int heads_read(const struct offline *o, struct heads *ret)
{
	const char *file = offline_text(o, OFFLINE_HEADS);

	for (size_t i = 0; i < o->flags[OFFLINE_HEAD].n; i++) {
		const char *text = o->flags[OFFLINE_HEAD].values[i];
		struct chain_head head;

		if (chain_head_parse(str_of(text), &head) < 0)
			return offline_refuse(o,
				"--head '%.100s' is not SEQ:HASH, such as 1042:9f86d081… (64 hex "
				"digits)",
				text);
		if (heads_add(ret, &head) < 0)
			return offline_refuse(o, "no memory");
	}
	return file ? read_heads_file(o, file, ret) : EXIT_SUCCESS;
}
