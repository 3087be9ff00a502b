/* What the parts of SVM share: access to the VMCB, and the start of a guest. */
#ifndef MYNA_CPU_SVM_INTERNAL_H
#define MYNA_CPU_SVM_INTERNAL_H

#include "core/machine.h"
#include "cpu/fault.h"
#include "cpu/svm.h"
#include "util/endian.h"

/* A VMCB: where it is RAM in this process, or else by its address. */
typedef struct Vmcb {
    Cpu *cpu;
    uint64_t gpa;
    uint8_t *host;
} Vmcb;

Vmcb vmcb_open(Cpu *cpu, uint64_t gpa);
/* After writing. */
void vmcb_close(const Vmcb *v);

static inline uint64_t vmcb_read(const Vmcb *v, unsigned offset, unsigned size)
{
    return v->host ? ldle(v->host + offset, size) : as_read(v->cpu->machine->memory, v->gpa + offset, size);
}

static inline void vmcb_write(const Vmcb *v, unsigned offset, uint64_t value, unsigned size)
{
    if (v->host)
        stle(v->host + offset, value, size);
    else
        as_write(v->cpu->machine->memory, v->gpa + offset, value, size);
}

Segment vmcb_load_segment(const Vmcb *v, unsigned at);
void vmcb_store_segment(const Vmcb *v, unsigned at, const Segment *s);

/* Registers that are loaded and stored as they are: by VMRUN and #VMEXIT, or VMLOAD and VMSAVE. */
typedef struct VmcbRegister {
    uint16_t place;
    size_t offset; /* of a uint64_t in Cpu */
} VmcbRegister;
#define VMCB_REGISTER(place, field) { VMCB_##place, offsetof(Cpu, field) }

void vmcb_load_fields(const Vmcb *v, const VmcbRegister *r, unsigned count);
void vmcb_store_fields(const Vmcb *v, const VmcbRegister *r, unsigned count);

/* Whether VMRUN accepts it: AMD APM vol. 2 15.5.1, "canonicalization and consistency checks". */
bool vmcb_valid(const Vmcb *v);

/* Delivers the event that the VMCB injects.  May raise, as any delivery. */
void svm_inject(Cpu *cpu, uint64_t event, uint64_t next_rip);
bool svm_injection_valid(uint64_t event);

/* EVENT_VIRTUAL follows from the control area. */
void svm_update_virtual_events(Cpu *cpu);

/* Starts counting PAUSEs anew. */
void svm_reset_pause_filter(Cpu *cpu);

#endif
