/* Events of two machines (compare.h). */
#include "tests/fuzz/compare.h"

#include <string.h>

bool registers_equal(const Registers *a, const Registers *b, uint32_t undefined)
{
    Registers x = *a, y = *b;
    x.eflags &= ~undefined;
    y.eflags &= ~undefined;
    return !memcmp(x.gpr, y.gpr, sizeof x.gpr) && x.rip == y.rip && x.eflags == y.eflags && x.mxcsr == y.mxcsr &&
           !memcmp(x.vec, y.vec, sizeof x.vec) &&
           !memcmp(x.opmask, y.opmask, sizeof x.opmask) && !memcmp(x.st_mant, y.st_mant, sizeof x.st_mant) &&
           !memcmp(x.st_sexp, y.st_sexp, sizeof x.st_sexp) && x.fcw == y.fcw && x.fsw == y.fsw && x.tags == y.tags;
}

static bool events_equal(const Event *a, const Event *b)
{
    return a->what == b->what && a->pass == b->pass && a->vector == b->vector && a->error == b->error &&
           a->cr2 == b->cr2 && a->memory == b->memory && a->fip == b->fip && a->fdp == b->fdp && a->fcs == b->fcs &&
           a->fds == b->fds && registers_equal(&a->r, &b->r, a->undefined);
}

int first_difference(const GArray *a, const GArray *b)
{
    unsigned n = MIN(a->len, b->len);
    for (unsigned k = 0; k < n; k++) {
        const Event *x = &g_array_index(a, Event, k), *y = &g_array_index(b, Event, k);
        if (x->damaged && y->damaged)
            return -1;
        if (!events_equal(x, y))
            return k;
    }
    return a->len != b->len ? (int)n : -1;
}
