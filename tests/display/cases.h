/*
 * The display cases: each sets a video mode by registers and draws a pattern that leaves no two places alike.  What
 * must be on the screen then, the model says (model.h).
 */
#ifndef MYNA_TESTS_DISPLAY_CASES_H
#define MYNA_TESTS_DISPLAY_CASES_H

#include "bus.h"

/* Cases [0, case_count()); the name is "family/number" of case_family() and case_number(). */
unsigned case_count(void);
const char *case_family(unsigned n);
unsigned case_number(unsigned n);
void case_show(Bus *b, unsigned n);

#endif
