/*
 * A bench for ISA devices: a machine with an ISA bus but no CPU, whose ports a test reads and writes.
 */
#ifndef MYNA_TESTS_UNIT_BENCH_H
#define MYNA_TESTS_UNIT_BENCH_H

#include <string.h>

#include "core/machine.h"
#include "hw/isa.h"
#include "util/bits.h"

#define SECOND(n) ((n) * NS_PER_SECOND)

typedef struct Bench {
    Machine *m;
    IsaBus isa;
    int level[16];
    unsigned edges[16];  /* rising */
    bool a20;
} Bench;

static inline void bench_irq(void *opaque, int n, int level)
{
    Bench *b = opaque;
    b->edges[n] += level && !b->level[n];
    b->level[n] = level;
}

static inline void bench_a20(void *cpu, bool enabled)
{
    ((Bench *)cpu)->a20 = enabled;
}

/* With so much room for memory. */
static inline void bench_init_sized(Bench *b, CpuPort *port, uint64_t pool)
{
    GError *err = NULL;

    memset(b, 0, sizeof *b);
    b->m = machine_new(pool, &err);
    g_assert_no_error(err);
    b->isa.memory = b->m->memory;
    b->isa.ports = b->m->ports;
    for (unsigned i = 0; i < 16; i++)
        b->isa.irq[i] = (IrqLine){ bench_irq, b, i };
    machine_provide(b->m, "isa", &b->isa);
    b->a20 = true;
    *port = (CpuPort){ .cpu = b, .a20 = bench_a20 };
    b->m->cpu_ports[0] = port;
    b->m->cpu_count = 1;
}

static inline void bench_init(Bench *b, CpuPort *port)
{
    bench_init_sized(b, port, 16 * MiB);
}

static inline void bench_exit(Bench *b)
{
    machine_free(b->m);
}

/* A device with one property set (NULL: none), reset as the machine does after all are created. */
static inline Device *bench_add(Bench *b, const DeviceType *type, const char *property, const char *value)
{
    GError *err = NULL;
    Device *dev = device_add(b->m, type, NULL, &err, property, value, NULL);

    g_assert_no_error(err);
    g_assert_nonnull(dev);
    type->reset(dev);
    return dev;
}

static inline uint8_t in(Bench *b, unsigned port)
{
    return as_read(b->m->ports, port, 1);
}

static inline void out(Bench *b, unsigned port, uint8_t v)
{
    as_write(b->m->ports, port, v, 1);
}

/*
 * The virtual clock stands still but for these: without, and with the timers that become due.  These see it a little
 * later, as long as the host takes; so a test asks for a timer's deadline where the nanosecond counts.
 */
static inline void at(Bench *b, int64_t ns)
{
    clock_set(b->m->clocks, ns);
}

static inline void run_to(Bench *b, int64_t ns)
{
    at(b, ns);
    clock_fire_due(b->m->clocks);
}

static inline int64_t deadline(Device *dev, const char *timer)
{
    const StateField *f = dev->type->state;

    while (f->type != STATE_TYPE_TIMER || strcmp(f->name, timer))
        f++;
    return timer_deadline(*(Timer **)((char *)dev + f->offset));
}

#endif
