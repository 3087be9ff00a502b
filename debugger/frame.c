/* Registers of a frame (frame.h). */
#include "debugger/frame.h"

static const uint8_t gprs[FRAME_PC] = {
    R_AX, R_DX, R_CX, R_BX, R_SI, R_DI, R_BP, R_SP, R_8, R_9, R_10, R_11, R_12, R_13, R_14, R_15,
};

unsigned frame_gpr(unsigned reg) { return gprs[reg % FRAME_PC]; }

void frame_of_cpu(const Cpu *cpu, Frame *f)
{
    *f = (Frame){ .known = (1u << FRAME_REGISTERS) - 1, .pc = cpu_linear_pc(cpu) };
    for (unsigned k = 0; k < FRAME_PC; k++)
        f->reg[k] = cpu->gpr[gprs[k]];
    f->reg[FRAME_PC] = f->pc;
}
