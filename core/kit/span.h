/* Lengths of time for people. */
#pragma once

#include <stdint.h>

enum { SPAN_TEXT_SIZE = 32 };

/* "870ms", "5.870s", "3m05s", "2h00m05s": as exact as one wants to read it. */
void span_text(int64_t ms, char out[SPAN_TEXT_SIZE]);
