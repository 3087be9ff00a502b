/*
 * Registers of one frame of a call stack, as unwinding found them, by DWARF's numbers for x86-64 (psABI figure 3.36):
 * RAX RDX RCX RBX RSI RDI RBP RSP R8 to R15, and RIP as 16.  Frames of 32-bit code are in the same form.
 */
#ifndef MYNA_DEBUGGER_FRAME_H
#define MYNA_DEBUGGER_FRAME_H

#include "cpu/cpu.h"

enum { FRAME_RAX, FRAME_RDX, FRAME_RCX, FRAME_RBX, FRAME_RSI, FRAME_RDI, FRAME_RBP, FRAME_RSP, FRAME_PC = 16,
       FRAME_REGISTERS };

typedef struct Frame {
    uint64_t reg[FRAME_REGISTERS];
    uint32_t known;   /* bit n: reg[n] is known */
    uint64_t pc;      /* linear address of the instruction */
    bool caller;      /* pc is where a call returns to: the call itself is before it */
} Frame;

/* The innermost frame: a CPU's registers as they are. */
void frame_of_cpu(const Cpu *cpu, Frame *f);

/* The index in Cpu.gpr of a frame's register 0 to 15. */
unsigned frame_gpr(unsigned reg);

/* An address within the instruction that the frame is in: what lines and scopes are looked up by. */
static inline uint64_t frame_place(const Frame *f) { return f->pc - f->caller; }

/* CS:RIP as a linear address. */
static inline uint64_t cpu_linear_pc(const Cpu *cpu)
{
    return cpu->code_size == SZ64 ? cpu->rip : (uint32_t)(cpu->seg[SEG_CS].base + cpu->rip);
}

#endif
