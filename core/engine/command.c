/* Commands: making and freeing them. */
#include "engine/command.h"

struct command *command_new(enum command_kind kind, void *context)
{
	struct command *c = calloc(1, sizeof *c);

	if (c) {
		c->kind = kind;
		c->context = context;
	}
	return c;
}

void command_free(struct command *c)
{
	if (!c)
		return;
	free(c->body);
	free(c->facts);
	free(c->key);
	free(c->stage);
	free(c->reason);
	free(c->held_error);
	free(c->errors);
	free(c);
}
