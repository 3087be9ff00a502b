/* Operands, exceptions and results around the kernels of avx_lanes.h. */
#include "cpu/avx_lanes.h"

void avx_fp_begin(const Cpu *cpu, const Insn *i, FpLanes *l, uint64_t selected, Vec *d)
{
    *l = (FpLanes){ .a = &cpu->vec[i->vreg], .c = &cpu->vec[i->reg], .d = d, .imm = i->imm, .selected = selected };
    avx_env(cpu, i, &l->e);
}

const Vec *avx_fp_source(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits, unsigned lanes, uint64_t selected)
{
    if (!i->broadcast || !selected)
        return avx_source_part(cpu, i, tmp, bits, lanes, selected);
    return avx_source_whole(cpu, i, tmp, bits);
}

void avx_fp_lanes(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from)
{
    Vec tmp, r;
    FpLanes l;
    unsigned lanes = avx_lanes(i, MAX(to, from));
    avx_fp_begin(cpu, i, &l, avx_mask(cpu, i, lanes), &r);
    l.b = avx_fp_source(cpu, i, &tmp, from, lanes, l.selected);
    kernel(&l);
    avx_finish(cpu, i, &l.e);
    avx_write_lanes(cpu, i, i->reg, &r, to, lanes);
}

void avx_fp_scalar(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from, unsigned upper)
{
    Vec tmp, r;
    FpLanes l;
    avx_fp_begin(cpu, i, &l, avx_mask(cpu, i, 1), &r);
    l.b = avx_source_part(cpu, i, &tmp, from, 1, l.selected);
    kernel(&l);
    avx_finish(cpu, i, &l.e);
    avx_write_scalar(cpu, i, vec_lane(&r, to, 0), to, upper);
}

static void test_lanes(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned bits, unsigned lanes)
{
    Vec tmp;
    FpLanes l;
    avx_fp_begin(cpu, i, &l, avx_mask(cpu, i, lanes), NULL);
    l.b = avx_fp_source(cpu, i, &tmp, bits, lanes, l.selected);
    kernel(&l);
    avx_finish(cpu, i, &l.e);
    avx_write_mask(cpu, i, l.result, lanes);
}

void avx_fp_test(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned bits)
{
    test_lanes(cpu, i, kernel, bits, avx_lanes(i, bits));
}

void avx_fp_test_scalar(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned bits)
{
    test_lanes(cpu, i, kernel, bits, 1);
}
