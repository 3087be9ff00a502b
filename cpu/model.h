/* CPU models: what -cpu names (cpu.h) becomes. */
#ifndef MYNA_CPU_MODEL_H
#define MYNA_CPU_MODEL_H

#include "cpu/state.h"

enum CpuVendor { VENDOR_INTEL, VENDOR_AMD, VENDOR_OTHER };

struct CpuModel {
    char name[32];
    char vendor_id[13];
    enum CpuVendor vendor;     /* whose variants of SYSCALL, SYSENTER and the like apply */
    unsigned family, model, stepping;
    char model_id[49];         /* the brand string */
    uint64_t features[FEAT_WORDS];
    uint8_t physical_bits, linear_bits;
    uint32_t level, xlevel;    /* highest basic and extended CPUID leaf; xlevel 0: no extended leaves */
};

/* Gives a CPU the model's features and address widths. */
void cpu_model_apply(Cpu *cpu, const CpuModel *model);

#endif
