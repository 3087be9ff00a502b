/* The subject of a unit test: a processor of a model in a machine of its own, with a MiB of RAM and nothing else. */
#ifndef MYNA_TESTS_UNIT_SUBJECT_H
#define MYNA_TESTS_UNIT_SUBJECT_H

#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/model.h"
#include "cpu/system.h"

enum { RAM = 1 << 20 };

typedef struct Subject {
    Cpu *cpu;
    uint8_t *ram;
} Subject;

/* Takes the model.  All of it goes when the running test ends. */
static inline Subject subject_of_model(CpuModel *model)
{
    Machine *machine = machine_new(RAM, NULL);
    Region *r = region_new_ram(machine->pool, "ram", RAM, NULL);
    region_add(as_root(machine->memory), 0, r, 0);
    Subject s = { .cpu = cpu_new(machine, model, 0, 0), .ram = region_host(r) };
    g_test_queue_destroy((GDestroyNotify)cpu_model_free, model); /* the last one goes first */
    g_test_queue_destroy((GDestroyNotify)region_free, r);
    g_test_queue_destroy((GDestroyNotify)machine_free, machine);
    g_test_queue_destroy((GDestroyNotify)cpu_free, s.cpu);
    return s;
}

static inline Subject subject_new(const char *spec) { return subject_of_model(cpu_model_parse(spec, NULL)); }

/* Into 32-bit code at level 0 without paging, all segments flat. */
static inline void subject_enter_flat32(Subject *s)
{
    uint16_t attr = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED | SA_DB | SA_G;
    for (unsigned k = SEG_ES; k <= SEG_GS; k++)
        s->cpu->seg[k] = (Segment){ .limit = 0xffffffff, .attr = attr | (k == SEG_CS ? SA_CODE : 0) };
    s->cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
    cpu_update_mode(s->cpu);
}

#endif
