/* Files of this tree that are in the program; embed.sh makes the tables, which end with an entry without name. */
#pragma once

struct embedded_file {
	const char *name, *text;
};
