/* Registers of a test case, to and from an emulated CPU. */
#include <string.h>

#include "cpu/flags.h"
#include "tests/cpu/case.h"

void registers_load(Cpu *cpu, const Registers *in)
{
    memcpy(cpu->gpr, in->gpr, sizeof in->gpr);
    cpu->rip = in->rip;
    for (unsigned k = 0; k < 32; k++)
        memcpy(cpu->vec[k].q, in->vec[k], sizeof in->vec[k]);
    memcpy(cpu->opmask, in->opmask, sizeof in->opmask);
    for (unsigned k = 0; k < 8; k++)
        cpu->fpu.reg[k] = (Float80){ in->st_mant[k], in->st_sexp[k] };
    cpu->fpu.control = in->fcw;
    cpu->fpu.status = in->fsw & ~0x3800;
    cpu->fpu.top = in->fsw >> 11 & 7;
    cpu->fpu.tags = in->tags;
    cpu->mxcsr = in->mxcsr;
}

void registers_save(const Cpu *cpu, Registers *out)
{
    memcpy(out->gpr, cpu->gpr, sizeof out->gpr);
    out->rip = cpu->rip;
    for (unsigned k = 0; k < 32; k++)
        memcpy(out->vec[k], cpu->vec[k].q, sizeof out->vec[k]);
    memcpy(out->opmask, cpu->opmask, sizeof out->opmask);
    for (unsigned k = 0; k < 8; k++) {
        out->st_mant[k] = cpu->fpu.reg[k].mant;
        out->st_sexp[k] = cpu->fpu.reg[k].sexp;
    }
    out->fcw = cpu->fpu.control;
    out->fsw = cpu->fpu.status | cpu->fpu.top << 11;
    out->tags = cpu->fpu.tags;
    out->mxcsr = cpu->mxcsr;
    out->eflags = cpu_eflags(cpu);
}
