/* Operands, masks and rounding of VEX and EVEX instructions (avx.h). */
#include "cpu/avx.h"

#include <string.h>

uint64_t vec_lane(const Vec *v, unsigned bits, unsigned n)
{
    switch (bits) {
    case 8: return VEC_B(*v, n);
    case 16: return VEC_W(*v, n);
    case 32: return VEC_D(*v, n);
    default: return VEC_Q(*v, n);
    }
}

void vec_set_lane(Vec *v, unsigned bits, unsigned n, uint64_t value)
{
    switch (bits) {
    case 8: VEC_B(*v, n) = value; break;
    case 16: VEC_W(*v, n) = value; break;
    case 32: VEC_D(*v, n) = value; break;
    default: VEC_Q(*v, n) = value; break;
    }
}

static uint64_t read_lane(Cpu *cpu, const Insn *i, unsigned bits, uint64_t offset)
{
    uint64_t ea = insn_ea_at(cpu, i, offset);
    switch (bits) {
    case 8: return mem_read8(cpu, i->seg, ea);
    case 16: return mem_read16(cpu, i->seg, ea);
    case 32: return mem_read32(cpu, i->seg, ea);
    default: return mem_read64(cpu, i->seg, ea);
    }
}

static void write_lane(Cpu *cpu, const Insn *i, unsigned bits, uint64_t offset, uint64_t v)
{
    uint64_t ea = insn_ea_at(cpu, i, offset);
    switch (bits) {
    case 8: mem_write8(cpu, i->seg, ea, v); break;
    case 16: mem_write16(cpu, i->seg, ea, v); break;
    case 32: mem_write32(cpu, i->seg, ea, v); break;
    default: mem_write64(cpu, i->seg, ea, v); break;
    }
}

void vec_fill(Vec *d, uint64_t v, unsigned bits, unsigned qwords)
{
    static const uint64_t ones[] = { [8] = UINT64_C(0x0101010101010101), [16] = UINT64_C(0x0001000100010001),
                                     [32] = UINT64_C(0x0000000100000001), [64] = 1 };
    for (unsigned j = 0; j < qwords; j++)
        d->q[j] = v * ones[bits];
}

/* Sizes that need not be a power of two: the part of a quadword at the end is read by lanes. */
static void read_low(Cpu *cpu, const Insn *i, Vec *tmp, unsigned size)
{
    uint64_t ea = insn_ea(cpu, i);
    switch (size) {
    case 1: tmp->q[0] = mem_read8(cpu, i->seg, ea); break;
    case 2: tmp->q[0] = mem_read16(cpu, i->seg, ea); break;
    case 4: tmp->q[0] = mem_read32(cpu, i->seg, ea); break;
    case 8: tmp->q[0] = mem_read64(cpu, i->seg, ea); break;
    default: mem_read_vec(cpu, i->seg, ea, tmp->q, size, 0); break;
    }
}

const Vec *avx_source_low(Cpu *cpu, const Insn *i, Vec *tmp, unsigned size)
{
    if (!i->mem)
        return &cpu->vec[i->rm];
    read_low(cpu, i, tmp, size);
    return tmp;
}

const Vec *avx_source_part(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits, unsigned lanes, uint64_t selected)
{
    if (!i->mem)
        return &cpu->vec[i->rm];
    if (selected == bit_mask(lanes)) {
        read_low(cpu, i, tmp, lanes * bits / 8);
        return tmp;
    }
    memset(tmp, 0, sizeof *tmp);
    for (unsigned n = 0; n < lanes; n++)
        if (selected >> n & 1)
            vec_set_lane(tmp, bits, n, read_lane(cpu, i, bits, n * bits / 8));
    return tmp;
}

static const Vec *source_broadcast(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits, bool read)
{
    vec_fill(tmp, read ? read_lane(cpu, i, bits, 0) : 0, bits, avx_qwords(i));
    return tmp;
}

const Vec *avx_source(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits)
{
    uint64_t selected = avx_selected(cpu, i, bits);
    if (i->broadcast)
        return source_broadcast(cpu, i, tmp, bits, selected != 0);
    return avx_source_part(cpu, i, tmp, bits, avx_lanes(i, bits), selected);
}

const Vec *avx_source_whole(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits)
{
    if (i->broadcast)
        return source_broadcast(cpu, i, tmp, bits, true);
    return avx_source_low(cpu, i, tmp, avx_bytes(i));
}

void avx_clear_above(Cpu *cpu, unsigned reg, unsigned bytes)
{
    Vec *v = &cpu->vec[reg];
    if (bytes & 7)
        v->q[bytes / 8] &= bit_mask(bytes % 8 * 8);
    for (unsigned j = (bytes + 7) / 8; j < 8; j++)
        v->q[j] = 0;
}

void avx_write_lanes(Cpu *cpu, const Insn *i, unsigned reg, const Vec *r, unsigned bits, unsigned lanes)
{
    uint64_t selected = avx_mask(cpu, i, lanes);
    Vec *d = &cpu->vec[reg];
    if (selected == bit_mask(lanes))
        memcpy(d->q, r->q, (lanes * bits + 63) / 64 * 8);
    else
        for (unsigned n = 0; n < lanes; n++)
            if (selected >> n & 1)
                vec_set_lane(d, bits, n, vec_lane(r, bits, n));
            else if (i->zero)
                vec_set_lane(d, bits, n, 0);
    avx_clear_above(cpu, reg, lanes * bits / 8);
}

void avx_write(Cpu *cpu, const Insn *i, unsigned reg, const Vec *r, unsigned bits)
{
    avx_write_lanes(cpu, i, reg, r, bits, avx_lanes(i, bits));
}

void avx_write_scalar(Cpu *cpu, const Insn *i, uint64_t r, unsigned bits, unsigned upper)
{
    Vec d = cpu->vec[upper];
    vec_set_lane(&d, bits, 0, avx_mask(cpu, i, 1) ? r : i->zero ? 0 : vec_lane(&cpu->vec[i->reg], bits, 0));
    vec_copy(&cpu->vec[i->reg], &d, 2);
    avx_clear_above(cpu, i->reg, 16);
}

void avx_write_mask(Cpu *cpu, const Insn *i, uint64_t result, unsigned lanes)
{
    cpu->opmask[i->reg] = result & avx_mask(cpu, i, lanes);
}

void avx_probe_store(Cpu *cpu, const Insn *i, unsigned bits, unsigned lanes, uint64_t selected)
{
    for (unsigned n = 0; n < lanes; n++)
        if (selected >> n & 1)
            mem_probe_write(cpu, i->seg, insn_ea_at(cpu, i, n * bits / 8), bits / 8);
}

void avx_store(Cpu *cpu, const Insn *i, const Vec *v, unsigned bits, unsigned lanes, uint64_t selected)
{
    unsigned size = lanes * bits / 8;
    if (selected == bit_mask(lanes) && size >= 16) {
        mem_write_vec(cpu, i->seg, insn_ea(cpu, i), v->q, size, 0);
        return;
    }
    avx_probe_store(cpu, i, bits, lanes, selected);
    for (unsigned n = 0; n < lanes; n++)
        if (selected >> n & 1)
            write_lane(cpu, i, bits, n * bits / 8, vec_lane(v, bits, n));
}

void avx_env(const Cpu *cpu, const Insn *i, FpEnv *e)
{
    const uint32_t masked = cpu->mxcsr | MXCSR_FLAGS << MXCSR_MASKS_SHIFT | MXCSR_FLAGS;
    simd_env(i->rounding ? masked : cpu->mxcsr, e);
    if (i->rounding & ROUNDING_STATIC)
        e->rounding = i->rounding & 3;
}

void vec_calm(Vec *v, uint64_t selected, unsigned bits, unsigned lanes)
{
    uint64_t one = bits == 16 ? 0x3c00 : bits == 32 ? 0x3f800000 : UINT64_C(0x3ff0000000000000);
    if (selected == bit_mask(lanes))
        return;
    for (unsigned n = 0; n < lanes; n++)
        if (!(selected >> n & 1))
            vec_set_lane(v, bits, n, one);
}

/* ---- instructions of one kernel ---- */

typedef const Vec *SourceFn(Cpu *cpu, const Insn *i, Vec *tmp, unsigned bits);

static void binary(Cpu *cpu, const Insn *i, VecBinary *kernel, unsigned bits, SourceFn *source)
{
    Vec tmp, r;
    const Vec *b = source(cpu, i, &tmp, bits);
    kernel(&r, &cpu->vec[i->vreg], b, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, bits);
}

static void unary(Cpu *cpu, const Insn *i, VecUnary *kernel, unsigned bits, SourceFn *source)
{
    Vec tmp, r;
    kernel(&r, source(cpu, i, &tmp, bits), avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, bits);
}

static void binary_imm(Cpu *cpu, const Insn *i, VecBinaryImm *kernel, unsigned bits, SourceFn *source)
{
    Vec tmp, r;
    const Vec *b = source(cpu, i, &tmp, bits);
    kernel(&r, &cpu->vec[i->vreg], b, i->imm, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, bits);
}

static void unary_imm(Cpu *cpu, const Insn *i, VecUnaryImm *kernel, unsigned bits, SourceFn *source)
{
    Vec tmp, r;
    kernel(&r, source(cpu, i, &tmp, bits), i->imm, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, bits);
}

#define ONE_KERNEL(shape, Kernel)                                                                                      \
    void avx_##shape(Cpu *cpu, const Insn *i, Kernel *kernel, unsigned bits)                                           \
    {                                                                                                                  \
        shape(cpu, i, kernel, bits, avx_source);                                                                       \
    }                                                                                                                  \
    void avx_##shape##_whole(Cpu *cpu, const Insn *i, Kernel *kernel, unsigned bits)                                   \
    {                                                                                                                  \
        shape(cpu, i, kernel, bits, avx_source_whole);                                                                 \
    }
ONE_KERNEL(binary, VecBinary)
ONE_KERNEL(unary, VecUnary)
ONE_KERNEL(binary_imm, VecBinaryImm)
ONE_KERNEL(unary_imm, VecUnaryImm)

/* A copy of an operand to compute with, calm where it is not selected; under no mask the operand itself. */
static const Vec *calm_operand(const Cpu *cpu, const Insn *i, const Vec *v, Vec *copy, unsigned bits)
{
    if (!i->mask)
        return v;
    vec_copy(copy, v, avx_qwords(i));
    vec_calm(copy, avx_selected(cpu, i, bits), bits, avx_lanes(i, bits));
    return copy;
}

void avx_fp_binary(Cpu *cpu, const Insn *i, VecFpBinary *kernel, unsigned bits)
{
    Vec tmp, x, y, r;
    FpEnv e;
    const Vec *b = calm_operand(cpu, i, avx_source(cpu, i, &tmp, bits), &y, bits);
    avx_env(cpu, i, &e);
    kernel(&r, calm_operand(cpu, i, &cpu->vec[i->vreg], &x, bits), b, avx_qwords(i), &e);
    avx_finish(cpu, i, &e);
    avx_write(cpu, i, i->reg, &r, bits);
}

void avx_fp_unary(Cpu *cpu, const Insn *i, VecFpUnary *kernel, unsigned bits)
{
    Vec tmp, x, r;
    FpEnv e;
    const Vec *a = calm_operand(cpu, i, avx_source(cpu, i, &tmp, bits), &x, bits);
    avx_env(cpu, i, &e);
    kernel(&r, a, avx_qwords(i), &e);
    avx_finish(cpu, i, &e);
    avx_write(cpu, i, i->reg, &r, bits);
}

/* The lowest lane of v, and 1.0 in the others of its quadword. */
static void scalar_operand(Vec *d, const Vec *v, unsigned bits, bool selected)
{
    d->q[0] = v->q[0];
    vec_calm(d, selected, bits, 64 / bits);
}

void avx_fp_binary_scalar(Cpu *cpu, const Insn *i, VecFpBinary *kernel, unsigned bits)
{
    Vec tmp, x, y, r;
    FpEnv e;
    bool selected = avx_mask(cpu, i, 1);
    scalar_operand(&y, avx_source_part(cpu, i, &tmp, bits, 1, selected), bits, selected);
    scalar_operand(&x, &cpu->vec[i->vreg], bits, selected);
    avx_env(cpu, i, &e);
    kernel(&r, &x, &y, 1, &e);
    avx_finish(cpu, i, &e);
    avx_write_scalar(cpu, i, vec_lane(&r, bits, 0), bits, i->vreg);
}

void avx_fp_unary_scalar(Cpu *cpu, const Insn *i, VecFpUnary *kernel, unsigned bits)
{
    Vec tmp, x, r;
    FpEnv e;
    bool selected = avx_mask(cpu, i, 1);
    scalar_operand(&x, avx_source_part(cpu, i, &tmp, bits, 1, selected), bits, selected);
    avx_env(cpu, i, &e);
    kernel(&r, &x, 1, &e);
    avx_finish(cpu, i, &e);
    avx_write_scalar(cpu, i, vec_lane(&r, bits, 0), bits, i->vreg);
}
