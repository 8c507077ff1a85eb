/* Turns on the processor: for a thread that many wait for and that soon waits itself. */
#pragma once

/* The calling thread has its turns short. The scheduler gives a short turn sooner, also in the middle of somebody
 * else's; the thread gets no more of the processor than before, and needs no right for it. Linux before 6.12 takes no
 * notice. */
void slice_shorten(void);
