/*
 * libFuzzer's target for the recompiler (make fuzz-programs): the bytes are made into a program, which runs in the
 * interpreter and recompiled and must do the same in both (vm.h).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_event(const char *who, const GArray *events, unsigned n)
{
    if (n >= events->len) {
        printf("%s: has come to an end\n", who);
        return;
    }
    const Event *e = &g_array_index(events, Event, n);
    printf("%s: event %u, pass %u: kind %u %" PRIx32 " (%" PRIx32 ") %" PRIx64 ", rip %" PRIx64 " flags %" PRIx32
           " memory %" PRIx64 "\n", who, n, e->pass, e->what, e->vector, e->error, e->cr2, e->r.rip, e->r.eflags,
           e->memory);
    for (unsigned k = 0; k < 16; k++)
        printf("%s%016" PRIx64, k % 8 ? " " : "\n  ", e->r.gpr[k]);
    printf("\n");
}

/* The program, and the first thing in which the machines differ. */
static void report(const Program *p, const Vm *a, const Vm *b, int n)
{
    printf("Interpreter and recompiler differ:\n");
    program_print(p);
    print_event("interpreter", vm_events(a), MAX(n, 0));
    print_event("recompiler", vm_events(b), MAX(n, 0));
    fflush(stdout);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Vm *interpreted, *recompiled;
    static Program p;
    if (!interpreted) {
        interpreted = vm_new(0);
        recompiled = vm_new(1);
    }
    if (!program_from_bytes(&p, vm_decoder(interpreted), data, size) || !vm_run(interpreted, &p))
        return 0;
    bool ended = vm_run(recompiled, &p);
    int n = first_difference(vm_events(interpreted), vm_events(recompiled));
    if (!ended || n >= 0)
        report(&p, interpreted, recompiled, n);
    return 0;
}
