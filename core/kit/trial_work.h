/* The half of a trial that runs in the child. Only for trial.c. */
#pragma once

#include "kit/subprocess.h"
#include "kit/trial.h"

/* `arg`: a struct trial. Writes to `out` a line per run, {"verdict", …, "us": time in the plugin's code}, or the one
 * line {"refused": why it cannot run, "status": of the command}; an empty reason was printed already. */
void trial_work(void *arg, int out, char note[SUBPROCESS_NOTE_SIZE]);
