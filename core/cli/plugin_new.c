#include "cli/plugin.h"
int plugin_new_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return 2;
}
