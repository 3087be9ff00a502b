/*
 * The areas that FXSAVE and XSAVE write: their legacy region, which both have, and what CPUID tells of the rest.
 * SDM vol. 1 10.5 and chapter 13.
 */
#ifndef MYNA_CPU_XSAVE_H
#define MYNA_CPU_XSAVE_H

#include "cpu/state.h"

/* The legacy region and the XSAVE header. */
enum {
    AREA_MXCSR = 24, AREA_ST = 32, AREA_XMM = 160, AREA_LEGACY = 512, AREA_XSTATE_BV = 512, AREA_XCOMP_BV = 520,
    AREA_EXTENDED = 576,
};

/* Registers that instructions can name in the current mode: the others are neither saved nor restored. */
static inline unsigned area_vectors(const Cpu *cpu) { return cpu_code64(cpu) ? 16 : 8; }

/* The operand's offset; #GP when its linear address is no multiple of `align`. */
uint64_t area_address(Cpu *cpu, const Insn *i, unsigned align, bool write);

/*
 * The legacy region between registers and a buffer (fxsave.c): x87 is bytes 0..23 and 32..159, MXCSR and its mask
 * 24..31, XMM 160 and on.  `ea` is where the buffer will go: processors that save no pointers leave those there.
 */
void area_save_x87(Cpu *cpu, const Insn *i, uint64_t ea, uint8_t *area);
void area_load_x87(Cpu *cpu, const Insn *i, const uint8_t *area);
void area_save_mxcsr(const Cpu *cpu, uint8_t *area);
void area_save_xmm(const Cpu *cpu, uint8_t *area);
void area_load_xmm(Cpu *cpu, const uint8_t *area);

/* State components that IA32_XSS may name. */
uint64_t xss_supported(const Cpu *cpu);

/* Bytes of an area for the components of a mask, in the standard or the compacted form (CPUID leaf 0Dh). */
unsigned xsave_area_size(const Cpu *cpu, uint64_t mask, bool compact);

/* What CPUID's subleaf `bit` of leaf 0Dh says of a component: size, standard offset, attributes; zeros if unknown. */
void xsave_describe(const Cpu *cpu, unsigned bit, uint32_t out[4]);

#endif
