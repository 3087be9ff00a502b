/*
 * The list of differences between Myna's decoder and others that are known and explained (tests/decode/differences):
 *
 *   same vcmpps vcmp*ps                    one instruction: our name, then capstone's; * stands for anything
 *   allow name 67,W movq movdqa : reason   kind, facts of the string, our name, capstone's
 *
 * Kinds: `name` (both decode it, to different instructions), `length`, `myna` (only Myna decodes it; capstone's name
 * is then -), `capstone` (only capstone does; our name is -), `absent` (likewise, and the table has no such
 * instruction in that kind of encoding), `processor` (only the processor does).  Facts are joined by commas, all must
 * hold; ! before one: must not; - alone: any string.  They are words of rules.c; pp (some prefix of 66, F2, F3), apart
 * (another prefix behind such a one); op=XX, reg=N, map=N.
 */
#ifndef MYNA_TESTS_DECODE_RULES_H
#define MYNA_TESTS_DECODE_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/decode/string.h"

typedef struct Rules Rules;

enum DifferenceKind {
    DIFFERENCE_NAME, DIFFERENCE_LENGTH, DIFFERENCE_MYNA, DIFFERENCE_CAPSTONE, DIFFERENCE_ABSENT, DIFFERENCE_PROCESSOR,
};
extern const char *const difference_kinds[];

/* Reads the list; says on stderr what is wrong with it and exits. */
Rules *rules_read(const char *file);

bool rules_same_name(const Rules *r, const char *myna, const char *capstone);

/* Whether some rule explains the difference. */
bool rules_allow(Rules *r, enum DifferenceKind kind, const Facts *f, const char *myna, const char *capstone);

/* Prints the rules that explained nothing. */
void rules_print_unused(const Rules *r);

#endif
