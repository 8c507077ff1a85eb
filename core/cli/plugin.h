/* The actions of `stageline plugin`, one file each. `argv` begins with the action's name. */
#pragma once

int plugin_new_main(int argc, char **argv);
int plugin_show_main(int argc, char **argv);
int plugin_test_main(int argc, char **argv);
