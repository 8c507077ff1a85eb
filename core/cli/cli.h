/* The commands. Each is one file with one main; words go to stderr, data to stdout. */
#pragma once

/* Exit statuses: EXIT_SUCCESS, EXIT_FAILURE, and these. */
enum { EXIT_USAGE = 2, EXIT_BAD_CONFIG = 78 };

int audit_main(int argc, char **argv);
int backup_main(int argc, char **argv);
int check_main(int argc, char **argv);
int dead_letters_main(int argc, char **argv);
int archive_main(int argc, char **argv);
int erase_main(int argc, char **argv); /* `orders erase`, or in an archive */
int archive_erase_main(int argc, char **argv);
int manual_main(int argc, char **argv);
int orders_main(int argc, char **argv);
int pipeline_main(int argc, char **argv);
int plugin_main(int argc, char **argv);
int recover_main(int argc, char **argv);
int reload_main(int argc, char **argv);
int replay_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int state_main(int argc, char **argv);
int system_main(int argc, char **argv);
int test_main(int argc, char **argv);
int worker_main(int argc, char **argv);
