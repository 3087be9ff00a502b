/*
 * Local APICs and the bus between them, I/O APICs and message-signalled interrupts (SDM vol. 3A chapter 11).
 */
#ifndef MYNA_HW_INTC_APIC_H
#define MYNA_HW_INTC_APIC_H

#include "core/cpuport.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/memory.h"

enum { APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_NMI = 4, APIC_INIT, APIC_SIPI, APIC_EXTINT };

/* An interrupt message. */
typedef struct ApicMessage {
    uint32_t destination;  /* APIC id, or logical destination */
    bool logical;
    uint8_t mode;          /* APIC_FIXED ... */
    uint8_t vector;
    bool level;            /* trigger mode */
} ApicMessage;

typedef struct ApicBus ApicBus;
typedef struct Lapic Lapic;

extern const DeviceType lapic_type;

/* The bus of a machine, provided as "apic"; with a region that the board maps at FEE00000h for MSI writes. */
ApicBus *apic_bus_new(Machine *m);
void apic_bus_free(ApicBus *bus);
Region *apic_bus_msi_region(ApicBus *bus);

/* Delivers a message to all local APICs that it addresses; machine lock held. */
void apic_bus_deliver(ApicBus *bus, const ApicMessage *msg);

/* Called when an APIC signals the end of a level-triggered interrupt. */
void apic_bus_set_eoi(ApicBus *bus, void (*eoi)(void *opaque, uint8_t vector), void *opaque);

/*
 * Connects a local APIC (a created Lapic device) to its CPU.  pic_acknowledge gives the vector of the 8259 when
 * LINT0 is in ExtINT mode.
 */
void lapic_connect(Lapic *apic, const CpuPort *port, bool boot_cpu, int (*pic_acknowledge)(void *), void *pic);

/* What the CPU calls (opaque: the Lapic). */
extern const IntcOps lapic_intc_ops;

/* The LINT0 pin, driven by the 8259's INTR output. */
IrqLine lapic_lint0(Lapic *apic);

/* Text for the monitor's `info lapic`. */
void lapic_dump(Lapic *apic, GString *out);

/* Of it the vectors in service and requested, a line each. */
void lapic_dump_vectors(const Lapic *apic, GString *out);

/* The I/O APIC: 24 pins, registers at FEC00000h. */
extern const DeviceType ioapic_type;
typedef struct IoApic IoApic;
Region *ioapic_region(IoApic *io);
IrqLine ioapic_line(IoApic *io, unsigned pin);

/* Text for the monitor: registers and each pin's entry; or only the pins that are asserted or wait for their end. */
void ioapic_dump(const IoApic *io, GString *out);
void ioapic_dump_pending(const IoApic *io, GString *out);

#endif
