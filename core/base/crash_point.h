/* Crash points: named places where a test lets the process die as if by `kill -9`.
 *
 * Built with -Dcrash_points=true alone. STAGELINE_CRASH_AT=NAME:N in the environment kills it when
 * NAME is reached for the N-th time. A name stands at one place; the test finds them in the source. */
#pragma once

#ifdef STAGELINE_CRASH_POINTS
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif
