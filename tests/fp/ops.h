/* The operations that are compared with MPFR, and what runs one of them on random operands. */
#ifndef MYNA_TESTS_FP_OPS_H
#define MYNA_TESTS_FP_OPS_H

#include "tests/fp/oracle.h"

typedef struct Op Op;
struct Op {
    const char *name;
    const Format *to;      /* NULL: an integer of `bits`, as an operand if from[0] is NULL */
    const Format *from[3]; /* as many as there are operands */
    unsigned bits;
    bool is_signed, x87;
    bool no_flags;         /* raises none, and knows no environment but to nearest, with denormals as zeros */
    /* Into r, to r's precision; returns MPFR's ternary value.  e's flags are not used. */
    int (*exact)(mpfr_t r, const Operand *o, const FpEnv *e, mpfr_rnd_t mode);
    void (*expect)(const Op *op, const Operand *o, const FpEnv *e, Expected *x); /* else, if `exact` is not enough */
    Float80 (*soft)(const Float80 *in, FpEnv *e);
    unsigned param;
};

extern const Op fp_ops[];
extern const unsigned fp_op_count;

/* Runs `cases` of them; prints what differs, and returns how many. */
unsigned long fp_op_run(const Op *op, unsigned long cases);

/* A random value of f with an exponent often near `center`. */
Float80 random_word(const Format *f, int center);
int word_exponent(const Format *f, Float80 bits);

/* The x87's transcendental instructions, FPREM, FPREM1 and FSCALE (tests/fp/x87.c). */
typedef struct X87Function X87Function;
struct X87Function {
    const char *name;
    unsigned long (*run)(const X87Function *f, unsigned long cases);
    const void *data;
};
extern const X87Function x87_functions[];
extern const unsigned x87_function_count;

#endif
