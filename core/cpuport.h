/*
 * The small interface between CPUs and boards.  Devices raise lines of a CpuPort and know nothing else of a CPU; a CPU
 * reaches its local interrupt controller through IntcOps and knows nothing else of devices.
 */
#ifndef MYNA_CORE_CPUPORT_H
#define MYNA_CORE_CPUPORT_H

#include <stdbool.h>
#include <stdint.h>

/* The registers that a port may be given along with its access (VMware's backdoor, hw/input/vmport.c). */
enum { IO_EAX, IO_EBX, IO_ECX, IO_EDX, IO_ESI, IO_EDI, IO_REGISTERS };

/* Lines into a CPU.  Every function may be called from any thread; level lines take 0 or 1, the others are edges. */
typedef struct CpuPort {
    void *cpu;
    void (*intr)(void *cpu, int level);            /* maskable interrupt; the vector is asked for by acknowledge() */
    void (*nmi)(void *cpu);
    void (*smi)(void *cpu);
    void (*init)(void *cpu);                       /* INIT: wait for SIPI, or start again on the boot processor */
    void (*sipi)(void *cpu, uint8_t vector);
    void (*a20)(void *cpu, bool enabled);
    void (*reset)(void *cpu);                      /* power-on reset of this CPU alone */
    void (*power_off)(void *cpu);                  /* a sleep state: no instruction more until the machine's reset */
    /*
     * For a port that is being accessed: registers as the CPU's instruction finds them, and as it is to leave them, but
     * that IN overwrites what it reads into.  io_get() is false when this thread does not execute the CPU: then it is
     * another's access.  Either may be NULL where there are no registers.
     */
    bool (*io_get)(void *cpu, uint32_t r[IO_REGISTERS]);
    void (*io_set)(void *cpu, const uint32_t r[IO_REGISTERS]); /* high halves become 0 */
} CpuPort;

/* What a CPU asks of its local interrupt controller; called from the CPU's thread with the machine lock held. */
typedef struct IntcOps {
    int (*acknowledge)(void *opaque);              /* INTA: the vector to deliver, or -1 when none is left */
    uint8_t (*tpr_read)(void *opaque);             /* CR8: bits 7:4 of the task priority */
    void (*tpr_write)(void *opaque, uint8_t class);
    uint64_t (*base_read)(void *opaque);           /* IA32_APIC_BASE */
    bool (*base_write)(void *opaque, uint64_t v);  /* false: #GP */
    /* x2APIC 800h..8FFh, TSC deadline 6E0h (in virtual-clock TSC ticks, without the CPU's offset); false: #GP */
    bool (*msr_read)(void *opaque, uint32_t index, uint64_t *v);
    bool (*msr_write)(void *opaque, uint32_t index, uint64_t v);
    /* The page at APIC_BASE, which each CPU sees as its own controller: it never reaches the bus. */
    uint32_t (*mmio_read)(void *opaque, uint32_t offset, unsigned size);
    void (*mmio_write)(void *opaque, uint32_t offset, uint32_t v, unsigned size);
} IntcOps;

#endif
