/*
 * The x87 FPU as others see it: pending exceptions (also checked by MMX and WAIT), its words in their architectural
 * form (for FXSAVE and XSAVE), and reset.  SDM vol. 1 chapter 8.
 *
 * Overview.  Semantics stand in x87.c (loads, stores, stack), x87_arith.c, x87_transcendental.c and x87_env.c (control
 * and state); all compute by fp.h on Float80.  FSW.ES and B always tell whether an unmasked exception is pending.
 */
#ifndef MYNA_CPU_X87_H
#define MYNA_CPU_X87_H

#include "cpu/state.h"

enum {
    FSW_EXCEPTIONS = 0x3f, /* FP_* of fp.h */
    FSW_SF = 0x40, FSW_ES = 0x80, FSW_C0 = 0x100, FSW_C1 = 0x200, FSW_C2 = 0x400, FSW_TOP = 0x3800, FSW_C3 = 0x4000,
    FSW_B = 0x8000,
    FSW_CC = FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3,
    FCW_MASKS = 0x3f, FCW_FIXED = 0x40, FCW_WRITABLE = 0x1f3f, FCW_INIT = 0x37f,
};

/* Reports the pending exception: #MF, or the FERR# line when CR0.NE is clear (SDM vol. 1 8.7). */
void fpu_report(Cpu *cpu);

/* What each waiting instruction does first. */
static inline void fpu_check(Cpu *cpu)
{
    if (unlikely(cpu->fpu.status & FSW_ES))
        fpu_report(cpu);
}

/* Drives FERR#: raises the machine's line "ferr" (an IrqLine), if there is one. */
void fpu_ferr(Cpu *cpu);

/* FNINIT: control, status, tags and pointers; registers stay. */
void fpu_init(Cpu *cpu);

/* FSW with TOP; setting it, like setting the FCW, finds out anew whether an unmasked exception is pending. */
static inline uint16_t fpu_status_word(const Fpu *f) { return f->status | f->top << 11; }
void fpu_set_status_word(Fpu *f, uint16_t v);
void fpu_set_control_word(Fpu *f, uint16_t v);

/* The full tag word: two bits a physical register (SDM vol. 1 8.1.7). */
uint16_t fpu_tag_word(const Fpu *f);
void fpu_set_tag_word(Fpu *f, uint16_t v);

#endif
