/* Comparing what programs did in two machines (vm.h). */
#ifndef MYNA_TESTS_FUZZ_COMPARE_H
#define MYNA_TESTS_FUZZ_COMPARE_H

#include "tests/fuzz/vm.h"

bool registers_equal(const Registers *a, const Registers *b, uint32_t undefined);

/* Index of the first event that differs; -1 when none does before the code is damaged. */
int first_difference(const GArray *a, const GArray *b);

#endif
