/* A machine that programs run in (program.h). */
#ifndef MYNA_TESTS_FUZZ_VM_H
#define MYNA_TESTS_FUZZ_VM_H

#include <glib.h>

#include "tests/cpu/case.h"
#include "tests/fuzz/program.h"

typedef struct Vm Vm;

/* What is written down at a fault, at an access to the device, and at the end of a pass. */
typedef struct Event {
    enum { EVENT_FAULT, EVENT_READ, EVENT_WRITE, EVENT_END } what;
    unsigned pass;
    uint32_t vector, error; /* fault; of the device: offset, size */
    uint64_t cr2;           /* #PF; of the device: value */
    uint32_t undefined;     /* flags that do not count */
    bool damaged;           /* the code was overwritten with what may leave any flags undefined */
    Registers r;
    uint64_t fip, fdp;      /* x87: of the last instruction and operand, and their selectors */
    uint16_t fcs, fds;
    uint64_t memory;        /* hash of all memory */
} Event;

/* hot: runs before the recompiler takes a block; 0: the interpreter alone. */
Vm *vm_new(unsigned hot);
const InsnDecoder *vm_decoder(const Vm *vm);

/* Runs the program from the beginning; false when it did not end by itself. */
bool vm_run(Vm *vm, const Program *p);

/* Events of the last run, of Event, and its memory (code, then data pages in the order of the program's view). */
const GArray *vm_events(const Vm *vm);
const uint8_t *vm_code(const Vm *vm);
const uint8_t *vm_data(const Vm *vm, unsigned page);

/* Instructions that were interpreted, in all runs so far. */
uint64_t vm_interpreted(const Vm *vm);

#endif
