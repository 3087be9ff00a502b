/*
 * Which processors are threads of one core, cores of one die, dies of one package: APIC ids and the CPUID leaves that
 * tell of them (SDM vol. 3A 9.9; AMD APM vol. 3 E.3, E.4).
 */
#ifndef MYNA_CPU_TOPOLOGY_H
#define MYNA_CPU_TOPOLOGY_H

#include "core/machine.h"

/* An APIC id is package, die, core and thread, each in bits enough for its number: where each begins. */
typedef struct IdShifts {
    unsigned core, die, package;
} IdShifts;

IdShifts topology_shifts(const Machine *machine);

/* The APIC id of the processor of that index: threads are numbered first, then cores, dies, packages. */
uint32_t topology_apic_id(const Machine *machine, unsigned index);

unsigned topology_threads(const Machine *machine); /* of a core */
unsigned topology_dies(const Machine *machine);    /* of a package */
unsigned topology_logical(const Machine *machine); /* processors of a package */

/* CPUID leaves Bh and 1Fh, of which the latter tells of dies too. */
void topology_leaf(const Machine *machine, uint32_t apic_id, uint32_t subleaf, bool dies, uint32_t out[4]);

/* CPUID leaf 8000001Eh. */
void topology_leaf_amd(const Machine *machine, uint32_t apic_id, uint32_t out[4]);

#endif
