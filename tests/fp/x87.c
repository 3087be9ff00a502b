/*
 * The x87's transcendental instructions, remainders and FSCALE against MPFR, as whole instructions: result, flags and
 * condition codes.  A transcendental result may be off by a unit in the last place (SDM vol. 1 8.3.10); how far off it
 * was is printed.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tests/fp/ops.h"

#include "cpu/insn.h"
#include "cpu/x87.h"
#include "tests/unit/fp_random.h"

enum { WORK_PRECISION = 320, SHOWN = 5 };

extern const Sem sem_fsin, sem_fcos, sem_fsincos, sem_fptan, sem_fpatan, sem_f2xm1, sem_fyl2x, sem_fyl2xp1, sem_fprem,
    sem_fprem1, sem_fscale;

/* ST(0) and ST(1) before, ST(0) and (pushed) what is above it after, with the status word. */
typedef struct Run {
    Cpu *cpu;
    Float80 st0, st1, result, pushed;
    uint16_t status;
    FpEnv env;
} Run;

static void execute(const Sem *sem, Run *r)
{
    static const Insn insn;
    Fpu *fpu = &r->cpu->fpu;
    *fpu = (Fpu){ .control = FCW_INIT | r->env.rounding << 10, .tags = 3 << 4, .top = 4 };
    fpu->reg[4] = r->st0;
    fpu->reg[5] = r->st1;
    sem->reg[SZ32](r->cpu, &insn);
    r->result = fpu->reg[4 + (fpu->top == 5)];
    r->pushed = fpu->reg[3];
    r->status = fpu->status;
}

static void print_run(const char *name, const Run *r, Float80 got, const char *what, Float80 want, unsigned flags)
{
    printf("%s %04x:%016" PRIx64 " %04x:%016" PRIx64 " rounding %u: %04x:%016" PRIx64 " status %04x, %s %04x:%016"
           PRIx64 " flags %02x\n", name, r->st0.sexp, r->st0.mant, r->st1.sexp, r->st1.mant, r->env.rounding, got.sexp,
           got.mant, r->status, what, want.sexp, want.mant, flags);
}

/* --- transcendental functions --- */

typedef struct Function {
    const Sem *sem;
    bool pair, pushes;
    int low, high; /* exponents of ST(0) */
    bool (*in_domain)(const Operand *st0);
    void (*value)(mpfr_t r, const Operand *st0, const Operand *st1);
    void (*second)(mpfr_t r, const Operand *st0, const Operand *st1); /* of the pushed result, or NULL */
} Function;

/* x less the nearest multiple of half the x87's pi, of 66 bits; returns the multiple. */
static long reduce(mpfr_t r, const Operand *x)
{
    mpfr_t half_pi;
    long quadrant;
    mpfr_init2(half_pi, 128);
    mpfr_set_str(half_pi, "3.243f6a8885a308d3", 16, MPFR_RNDN);
    mpfr_div_2ui(half_pi, half_pi, 1, MPFR_RNDN);
    mpfr_remquo(r, &quadrant, x->value, half_pi, MPFR_RNDN);
    mpfr_clear(half_pi);
    return quadrant;
}

/* r was cut off: a value strictly between it and the next, so that the sine of a tiny number is not that number. */
static void add_sticky(mpfr_t r, int t)
{
    if (!t)
        return;
    mpfr_prec_round(r, WORK_PRECISION + 1, MPFR_RNDN);
    if (mpfr_signbit(r))
        mpfr_nextbelow(r);
    else
        mpfr_nextabove(r);
}

static void quarter_sine(mpfr_t r, const Operand *x, unsigned more)
{
    unsigned quadrant = ((unsigned long)reduce(r, x) + more) & 3;
    add_sticky(r, quadrant & 1 ? mpfr_cos(r, r, MPFR_RNDZ) : mpfr_sin(r, r, MPFR_RNDZ));
    if (quadrant & 2)
        mpfr_neg(r, r, MPFR_RNDN);
}
static void value_sin(mpfr_t r, const Operand *x, const Operand *y)
{
    (void)y;
    quarter_sine(r, x, 0);
}
static void value_cos(mpfr_t r, const Operand *x, const Operand *y)
{
    (void)y;
    quarter_sine(r, x, 1);
}
static void value_tan(mpfr_t r, const Operand *x, const Operand *y)
{
    (void)y;
    if (!(reduce(r, x) & 1)) {
        add_sticky(r, mpfr_tan(r, r, MPFR_RNDZ));
    } else {
        add_sticky(r, mpfr_cot(r, r, MPFR_RNDZ));
        mpfr_neg(r, r, MPFR_RNDN);
    }
}
static void value_one(mpfr_t r, const Operand *x, const Operand *y)
{
    (void)x, (void)y;
    mpfr_set_ui(r, 1, MPFR_RNDN);
}
static void value_atan(mpfr_t r, const Operand *x, const Operand *y)
{
    add_sticky(r, mpfr_atan2(r, y->value, x->value, MPFR_RNDZ));
}
static void value_exp2m1(mpfr_t r, const Operand *x, const Operand *y)
{
    (void)y;
    mpfr_const_log2(r, MPFR_RNDN);
    mpfr_mul(r, r, x->value, MPFR_RNDN);
    mpfr_expm1(r, r, MPFR_RNDN);
}
static void value_log(mpfr_t r, const Operand *x, const Operand *y)
{
    mpfr_log2(r, x->value, MPFR_RNDN);
    mpfr_mul(r, r, y->value, MPFR_RNDN);
}
static void value_log1(mpfr_t r, const Operand *x, const Operand *y)
{
    mpfr_t ln2;
    mpfr_init2(ln2, WORK_PRECISION);
    mpfr_const_log2(ln2, MPFR_RNDN);
    mpfr_log1p(r, x->value, MPFR_RNDN);
    mpfr_div(r, r, ln2, MPFR_RNDN);
    mpfr_mul(r, r, y->value, MPFR_RNDN);
    mpfr_clear(ln2);
}

static bool domain_all(const Operand *x)
{
    (void)x;
    return true;
}
static bool domain_unit(const Operand *x) { return mpfr_cmpabs_ui(x->value, 1) < 0; }
static bool domain_positive(const Operand *x) { return !x->sign && mpfr_cmp_ui(x->value, 1) != 0; }
/* Where FYL2XP1 is defined: |x| up to 1 - sqrt(1/2). */
static bool domain_log1(const Operand *x)
{
    return __builtin_fabs(mpfr_get_d(x->value, MPFR_RNDN)) < 0.29289321881345248;
}

/* Distance of got from exact in units of got's last place, or of the smallest denormal. */
static double ulps(Float80 got, mpfr_t exact)
{
    Operand o;
    operand_init(&o);
    operand_decode(&o, &format_f80, got, false);
    int exp = word_exponent(&format_f80, got);
    mpfr_t d;
    mpfr_init2(d, WORK_PRECISION);
    mpfr_sub(d, o.value, exact, MPFR_RNDN);
    mpfr_mul_2si(d, d, 63 - (exp < -16382 ? -16382 : exp), MPFR_RNDN);
    double v = __builtin_fabs(mpfr_get_d(d, MPFR_RNDN));
    mpfr_clears(d, o.value, (mpfr_ptr)0);
    return v;
}

typedef struct Errors {
    double worst[2]; /* to nearest, and in the other rounding modes */
    unsigned long not_rounded;
} Errors;

/* Whether got is exact's neighbour; when it is exact rounded once, flags and C1 must be right too. */
static bool check_value(const Run *r, Float80 got, mpfr_t exact, bool codes, Errors *errors, Expected *want)
{
    mpfr_t rounded;
    mpfr_init2(rounded, 64);
    int t = mpfr_set(rounded, exact, oracle_rounding(r->env.rounding));
    oracle_finish(&format_f80, rounded, t, &r->env, want);
    mpfr_clear(rounded);
    bool same = got.mant == want->result.mant && got.sexp == want->result.sexp;
    double *worst = &errors->worst[r->env.rounding != FP_NEAREST];
    errors->not_rounded += !same;
    if (!same || !(want->flags & FP_OVERFLOW)) {
        double off = ulps(got, exact);
        if (off > *worst)
            *worst = off;
        if (!(off <= 1))
            return false;
    }
    if (!same || !codes)
        return true;
    unsigned flags = want->flags | FP_INEXACT; /* always, also of log2(2^n), as on processors */
    return (r->status & 0x3f) == flags && !(r->status & FSW_C2) && !(r->status & FSW_C1) == !want->rounded_up;
}

static unsigned long run_function(const X87Function *f, unsigned long cases)
{
    const Function *fn = f->data;
    Operand x, y;
    mpfr_t exact;
    Errors errors = { 0 };
    g_autofree Cpu *cpu = g_new0(Cpu, 1);
    unsigned long differ = 0, done = 0;
    operand_init(&x);
    operand_init(&y);
    mpfr_init2(exact, WORK_PRECISION);
    while (done < cases) {
        uint64_t k = random64();
        Run r = { .cpu = cpu, .env = { .rounding = k & 1 ? FP_NEAREST : k >> 1 & 3, .precision = 64, .x87 = true } };
        int center = fn->low + (int)((k >> 8) % (unsigned)(fn->high - fn->low + 1));
        r.st0 = (Float80){ k & 16 ? random64() : random_pattern(), (k >> 63) << 15 | (center + 16383) };
        if (k & 32)
            r.st0 = random_word(&format_f80, center);
        if (fn->pair)
            r.st1 = random_word(&format_f80, k & 64 ? center : 0);
        r.st0.mant |= BIT(63);
        operand_decode(&x, &format_f80, r.st0, false);
        operand_decode(&y, &format_f80, r.st1, false);
        if (x.class != CLASS_FINITE || x.denormal || word_exponent(&format_f80, r.st0) > 62 + 16384 * fn->pair ||
            (fn->pair && (y.class != CLASS_FINITE || y.denormal)) || !fn->in_domain(&x))
            continue;
        done++;
        execute(fn->sem, &r);
        Expected want = { 0 }, second = { 0 };
        mpfr_set_prec(exact, WORK_PRECISION);
        fn->value(exact, &x, &y);
        bool ok = check_value(&r, r.result, exact, !fn->pushes, &errors, &want);
        if (fn->second) {
            mpfr_set_prec(exact, WORK_PRECISION);
            fn->second(exact, &x, &y);
            ok &= check_value(&r, r.pushed, exact, false, &errors, &second);
            ok &= (r.status & FP_INEXACT) != 0;
        }
        if (!ok && differ++ < SHOWN)
            print_run(f->name, &r, r.result, "MPFR has", want.result, want.flags);
    }
    printf("x87/%-10s at most %.6f units off to nearest, %.6f in other modes; not as rounded once: %lu\n", f->name,
           errors.worst[0], errors.worst[1], errors.not_rounded);
    mpfr_clears(exact, x.value, y.value, (mpfr_ptr)0);
    return differ;
}

/* --- special operands, by the tables of SDM vol. 2 --- */

#define ZERO { 0, 0 }
#define MINUS_ZERO { 0, 0x8000 }
#define ONE { BIT(63), 0x3fff }
#define MINUS_ONE { BIT(63), 0xbfff }
#define TWO { BIT(63), 0x4000 }
#define MINUS_TWO { BIT(63), 0xc000 }
#define HALF { BIT(63), 0x3ffe }
#define MINUS_HALF { BIT(63), 0xbffe }
#define INF { BIT(63), 0x7fff }
#define MINUS_INF { BIT(63), 0xffff }
#define INDEFINITE { UINT64_C(3) << 62, 0xffff }
#define QUIET { UINT64_C(3) << 62 | 5, 0x7fff }
#define SIGNALLING { UINT64_C(1) << 63 | 5, 0x7fff }
#define HUGE_ANGLE { BIT(63), 0x403e }
#define PI_MANT UINT64_C(0xc90fdaa22168c235)
#define PI_NEAREST { PI_MANT, 0x4000 }
#define MINUS_PI { PI_MANT, 0xc000 }
#define HALF_PI { PI_MANT, 0x3fff }
#define MINUS_HALF_PI { PI_MANT, 0xbfff }
#define QUARTER_PI { PI_MANT, 0x3ffe }
#define THREE_QUARTERS_PI { UINT64_C(0x96cbe3f9990e91a8), 0x4000 }

typedef struct Special {
    const char *name;
    const Sem *sem;
    Float80 st0, st1, result;
    uint8_t flags;
    bool out_of_range;
} Special;

enum { I = FP_INVALID, P = FP_INEXACT, Z = FP_DIVZERO };
static const Special specials[] = {
    { "FSIN", &sem_fsin, ZERO, ZERO, ZERO, 0, false },
    { "FSIN", &sem_fsin, MINUS_ZERO, ZERO, MINUS_ZERO, 0, false },
    { "FSIN", &sem_fsin, INF, ZERO, INDEFINITE, I, false },
    { "FSIN", &sem_fsin, SIGNALLING, ZERO, QUIET, I, false },
    { "FSIN", &sem_fsin, HUGE_ANGLE, ZERO, HUGE_ANGLE, 0, true },
    { "FCOS", &sem_fcos, MINUS_ZERO, ZERO, ONE, 0, false },
    { "FCOS", &sem_fcos, MINUS_INF, ZERO, INDEFINITE, I, false },
    { "FCOS", &sem_fcos, HUGE_ANGLE, ZERO, HUGE_ANGLE, 0, true },
    { "FSINCOS", &sem_fsincos, MINUS_ZERO, ZERO, MINUS_ZERO, 0, false },
    { "FSINCOS", &sem_fsincos, INF, ZERO, INDEFINITE, I, false },
    { "FSINCOS", &sem_fsincos, HUGE_ANGLE, ZERO, HUGE_ANGLE, 0, true },
    { "FPTAN", &sem_fptan, MINUS_ZERO, ZERO, MINUS_ZERO, 0, false },
    { "FPTAN", &sem_fptan, MINUS_INF, ZERO, INDEFINITE, I, false },
    { "FPTAN", &sem_fptan, HUGE_ANGLE, ZERO, HUGE_ANGLE, 0, true },
    { "F2XM1", &sem_f2xm1, ONE, ZERO, ONE, P, false },
    { "F2XM1", &sem_f2xm1, MINUS_ONE, ZERO, MINUS_HALF, P, false },
    { "F2XM1", &sem_f2xm1, MINUS_ZERO, ZERO, MINUS_ZERO, 0, false },
    { "F2XM1", &sem_f2xm1, MINUS_INF, ZERO, MINUS_ONE, 0, false },
    { "F2XM1", &sem_f2xm1, QUIET, ZERO, QUIET, 0, false },
    { "FPATAN", &sem_fpatan, INF, INF, QUARTER_PI, P, false },
    { "FPATAN", &sem_fpatan, MINUS_INF, INF, THREE_QUARTERS_PI, P, false },
    { "FPATAN", &sem_fpatan, ONE, MINUS_INF, MINUS_HALF_PI, P, false },
    { "FPATAN", &sem_fpatan, MINUS_INF, ONE, PI_NEAREST, P, false },
    { "FPATAN", &sem_fpatan, INF, MINUS_ONE, MINUS_ZERO, 0, false },
    { "FPATAN", &sem_fpatan, ZERO, ONE, HALF_PI, P, false },
    { "FPATAN", &sem_fpatan, ZERO, ZERO, ZERO, 0, false },
    { "FPATAN", &sem_fpatan, MINUS_ZERO, MINUS_ZERO, MINUS_PI, P, false },
    { "FPATAN", &sem_fpatan, ONE, ZERO, ZERO, 0, false },
    { "FPATAN", &sem_fpatan, MINUS_ONE, ZERO, PI_NEAREST, P, false },
    { "FPATAN", &sem_fpatan, SIGNALLING, ZERO, QUIET, I, false },
    { "FYL2X", &sem_fyl2x, MINUS_ONE, ONE, INDEFINITE, I, false },
    { "FYL2X", &sem_fyl2x, MINUS_INF, ONE, INDEFINITE, I, false },
    { "FYL2X", &sem_fyl2x, ZERO, ONE, MINUS_INF, Z, false },
    { "FYL2X", &sem_fyl2x, MINUS_ZERO, MINUS_ONE, INF, Z, false },
    { "FYL2X", &sem_fyl2x, ZERO, MINUS_INF, INF, 0, false },
    { "FYL2X", &sem_fyl2x, ZERO, ZERO, INDEFINITE, I, false },
    { "FYL2X", &sem_fyl2x, ONE, INF, INDEFINITE, I, false },
    { "FYL2X", &sem_fyl2x, ONE, MINUS_ONE, MINUS_ZERO, 0, false },
    { "FYL2X", &sem_fyl2x, HALF, INF, MINUS_INF, 0, false },
    { "FYL2X", &sem_fyl2x, TWO, MINUS_ZERO, MINUS_ZERO, 0, false },
    { "FYL2X", &sem_fyl2x, HALF, ZERO, MINUS_ZERO, 0, false },
    { "FYL2X", &sem_fyl2x, INF, MINUS_TWO, MINUS_INF, 0, false },
    { "FYL2X", &sem_fyl2x, INF, ZERO, INDEFINITE, I, false },
    { "FYL2X", &sem_fyl2x, TWO, SIGNALLING, QUIET, I, false },
    { "FYL2XP1", &sem_fyl2xp1, ZERO, MINUS_ONE, MINUS_ZERO, 0, false },
    { "FYL2XP1", &sem_fyl2xp1, MINUS_ZERO, MINUS_ONE, ZERO, 0, false },
    { "FYL2XP1", &sem_fyl2xp1, ZERO, INF, INDEFINITE, I, false },
    { "FYL2XP1", &sem_fyl2xp1, INF, ZERO, INDEFINITE, I, false },
    { "FYL2XP1", &sem_fyl2xp1, INF, MINUS_TWO, MINUS_INF, 0, false },
    { "FYL2XP1", &sem_fyl2xp1, MINUS_INF, ONE, INDEFINITE, I, false },
};

static unsigned long run_specials(const X87Function *f, unsigned long cases)
{
    g_autofree Cpu *cpu = g_new0(Cpu, 1);
    unsigned long differ = 0;
    (void)f, (void)cases;
    for (unsigned n = 0; n < ARRAY_SIZE(specials); n++) {
        const Special *s = &specials[n];
        Run r = { .cpu = cpu, .st0 = s->st0, .st1 = s->st1, .env = { .rounding = FP_NEAREST } };
        execute(s->sem, &r);
        bool same = r.result.mant == s->result.mant && r.result.sexp == s->result.sexp;
        if (same && (r.status & 0x3f) == s->flags && !(r.status & FSW_C2) == !s->out_of_range)
            continue;
        print_run(s->name, &r, r.result, "the manual has", s->result, s->flags);
        differ++;
    }
    return differ;
}

/* --- FPREM, FPREM1, FSCALE --- */

static Float80 random_finite(int center)
{
    Float80 v = random_word(&format_f80, center);
    if ((v.sexp & 0x7fff) == 0x7fff)
        v.sexp -= 1 + random64() % 70;
    v.mant |= v.sexp & 0x7fff ? BIT(63) : 0;
    return v;
}

/* x = y (2n + 1) / 2, a tie for FPREM1. */
static void random_tie(Float80 *x, Float80 *y)
{
    y->mant = (y->mant | BIT(63)) & ~bit_mask(24);
    y->sexp = (y->sexp & 0x8000) | (0x3000 + random64() % 0x1000);
    uint64_t v = (y->mant >> 8) * (2 * (random64() % 16) + 1);
    unsigned zeros = 63 - bit_highest(v);
    *x = (Float80){ v << zeros, y->sexp + 7 - zeros };
}

/* Repeats the partial reduction as a program does. */
static void remainder_whole(const Sem *sem, Run *r)
{
    Float80 st0 = r->st0;
    execute(sem, r);
    while (r->status & FSW_C2) {
        r->st0 = r->result;
        execute(sem, r);
    }
    r->st0 = st0;
}

static unsigned long run_remainder(const X87Function *f, unsigned long cases)
{
    g_autofree Cpu *cpu = g_new0(Cpu, 1);
    unsigned long differ = 0;
    Operand x, y;
    mpfr_t rest;
    operand_init(&x);
    operand_init(&y);
    mpfr_init2(rest, 64);
    for (unsigned long k = 0; k < cases; k++) {
        Run r = { .cpu = cpu, .env = { .rounding = random64() & 3, .precision = 64, .x87 = true } };
        r.st0 = random_finite(random64() & 1 ? 0 : 40);
        r.st1 = random_finite(word_exponent(&format_f80, r.st0) - (int)(random64() % (random64() & 7 ? 80 : 3000)));
        if (k % 8 == 0)
            random_tie(&r.st0, &r.st1);
        operand_decode(&x, &format_f80, r.st0, false);
        operand_decode(&y, &format_f80, r.st1, false);
        if (y.class == CLASS_ZERO)
            continue;
        remainder_whole(f->data, &r);
        long q;
        if (f->data == &sem_fprem)
            mpfr_fmodquo(rest, &q, x.value, y.value, MPFR_RNDN);
        else
            mpfr_remquo(rest, &q, x.value, y.value, MPFR_RNDN);
        unsigned long low = q < 0 ? -q : q;
        unsigned codes = (low & 4 ? FSW_C0 : 0) | (low & 2 ? FSW_C3 : 0) | (low & 1 ? FSW_C1 : 0);
        Float80 want = oracle_encode(&format_f80, rest);
        bool ok = r.result.mant == want.mant && r.result.sexp == want.sexp && (r.status & FSW_CC) == codes;
        /* A partial remainder may itself be denormal. */
        ok &= !(r.status & 0x3f & ~FP_DENORMAL) && (r.status & FP_DENORMAL || !(x.denormal || y.denormal));
        if (!ok && differ++ < SHOWN)
            print_run(f->name, &r, r.result, "MPFR has", want, codes);
    }
    mpfr_clears(rest, x.value, y.value, (mpfr_ptr)0);
    return differ;
}

static unsigned long run_scale(const X87Function *f, unsigned long cases)
{
    g_autofree Cpu *cpu = g_new0(Cpu, 1);
    unsigned long differ = 0;
    Operand x, y;
    mpfr_t r;
    operand_init(&x);
    operand_init(&y);
    mpfr_init2(r, 64);
    for (unsigned long k = 0; k < cases; k++) {
        Run run = { .cpu = cpu, .env = { .rounding = random64() & 3, .precision = 64, .x87 = true } };
        Expected want = { 0 };
        run.st0 = random_finite(0);
        run.st1 = random_finite(random64() % 18);
        operand_decode(&x, &format_f80, run.st0, false);
        operand_decode(&y, &format_f80, run.st1, false);
        double by = mpfr_get_d(y.value, MPFR_RNDZ);
        long scale = by > 1e5 ? 100000 : by < -1e5 ? -100000 : (long)by;
        int t = mpfr_mul_2si(r, x.value, scale, oracle_rounding(run.env.rounding));
        want.flags = x.denormal || y.denormal ? FP_DENORMAL : 0;
        oracle_finish(&format_f80, r, t, &run.env, &want);
        execute(f->data, &run);
        bool ok = run.result.mant == want.result.mant && run.result.sexp == want.result.sexp &&
                  (run.status & 0x3f) == want.flags &&
                  (!(want.flags & FP_INEXACT) || !(run.status & FSW_C1) == !want.rounded_up);
        if (!ok && differ++ < SHOWN)
            print_run(f->name, &run, run.result, "MPFR has", want.result, want.flags);
    }
    mpfr_clears(r, x.value, y.value, (mpfr_ptr)0);
    return differ;
}

static const Function function_sin = { &sem_fsin, false, false, -70, 62, domain_all, value_sin, NULL };
static const Function function_cos = { &sem_fcos, false, false, -70, 62, domain_all, value_cos, NULL };
static const Function function_sincos = { &sem_fsincos, false, true, -70, 62, domain_all, value_sin, value_cos };
static const Function function_tan = { &sem_fptan, false, true, -70, 62, domain_all, value_tan, value_one };
static const Function function_atan = { &sem_fpatan, true, false, -70, 70, domain_all, value_atan, NULL };
static const Function function_exp2m1 = { &sem_f2xm1, false, false, -70, -1, domain_unit, value_exp2m1, NULL };
static const Function function_log = { &sem_fyl2x, true, false, -70, 70, domain_positive, value_log, NULL };
static const Function function_log1 = { &sem_fyl2xp1, true, false, -70, -2, domain_log1, value_log1, NULL };

const X87Function x87_functions[] = {
    { "special", run_specials, NULL },
    { "fsin", run_function, &function_sin },
    { "fcos", run_function, &function_cos },
    { "fsincos", run_function, &function_sincos },
    { "fptan", run_function, &function_tan },
    { "fpatan", run_function, &function_atan },
    { "f2xm1", run_function, &function_exp2m1 },
    { "fyl2x", run_function, &function_log },
    { "fyl2xp1", run_function, &function_log1 },
    { "fprem", run_remainder, &sem_fprem },
    { "fprem1", run_remainder, &sem_fprem1 },
    { "fscale", run_scale, &sem_fscale },
};
const unsigned x87_function_count = ARRAY_SIZE(x87_functions);
