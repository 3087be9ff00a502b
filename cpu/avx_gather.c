/*
 * Gathers and scatters (SDM vol. 2, VGATHERDPS, VSCATTERDPS and their kin): lanes from and to addresses that a vector
 * of indices says.
 *
 * Each lane that was moved leaves the mask at once, so that after a fault the instruction goes on where it was.
 */
#include "cpu/avx.h"

/* Lane n's address: base, its index times the scale, displacement; cut to the address size. */
static uint64_t lane_ea(const Cpu *cpu, const Insn *i, unsigned index_bits, unsigned n)
{
    const Vec *indices = &cpu->vec[i->index];
    uint64_t index = index_bits == 32 ? (uint64_t)(int32_t)VEC_D(*indices, n) : VEC_Q(*indices, n);
    uint64_t ea = cpu->gpr[i->base] + (index << i->scale) + (int64_t)i->disp;
    return i->asz == SZ64 ? ea : ea & 0xffffffff;
}

static uint64_t read_at(Cpu *cpu, const Insn *i, unsigned bits, uint64_t ea)
{
    return bits == 32 ? mem_read32(cpu, i->seg, ea) : mem_read64(cpu, i->seg, ea);
}

/* There are as many lanes as the wider of data and indices leaves. */
static unsigned gather_lanes(const Insn *i, unsigned index_bits, unsigned bits)
{
    return avx_lanes(i, index_bits > bits ? index_bits : bits);
}

/* With VEX: the mask is the top bits of the lanes of vvvv, which become 0 one after the other, and at last all of it. */
static void vex_gather(Cpu *cpu, const Insn *i, unsigned index_bits, unsigned bits)
{
    unsigned lanes = gather_lanes(i, index_bits, bits);
    Vec *d = &cpu->vec[i->reg], *mask = &cpu->vec[i->vreg];
    if (i->reg == i->vreg || i->reg == i->index || i->vreg == i->index)
        cpu_raise_ud(cpu);
    for (unsigned n = 0; n < lanes; n++) {
        if (vec_lane(mask, bits, n) >> (bits - 1))
            vec_set_lane(d, bits, n, read_at(cpu, i, bits, lane_ea(cpu, i, index_bits, n)));
        vec_set_lane(mask, bits, n, 0);
    }
    avx_clear_above(cpu, i->reg, lanes * bits / 8);
    *mask = (Vec){ { 0 } };
}

/* With EVEX: what is above the vector length becomes 0 with the first lane that was gathered. */
static void evex_gather(Cpu *cpu, const Insn *i, unsigned index_bits, unsigned bits)
{
    unsigned lanes = gather_lanes(i, index_bits, bits);
    if (i->reg == i->index)
        cpu_raise_ud(cpu);
    for (unsigned n = 0; n < lanes; n++)
        if (cpu->opmask[i->mask] >> n & 1) {
            vec_set_lane(&cpu->vec[i->reg], bits, n, read_at(cpu, i, bits, lane_ea(cpu, i, index_bits, n)));
            avx_clear_above(cpu, i->reg, avx_bytes(i));
            cpu->opmask[i->mask] &= ~BIT(n);
        }
    avx_clear_above(cpu, i->reg, lanes * bits / 8);
    cpu->opmask[i->mask] = 0;
}

static void avx_gather(Cpu *cpu, const Insn *i, unsigned index_bits, unsigned bits)
{
    if (i->mask)
        evex_gather(cpu, i, index_bits, bits);
    else
        vex_gather(cpu, i, index_bits, bits);
}

static void avx_scatter(Cpu *cpu, const Insn *i, unsigned index_bits, unsigned bits)
{
    const Vec *s = &cpu->vec[i->reg];
    for (unsigned n = 0; n < gather_lanes(i, index_bits, bits); n++)
        if (cpu->opmask[i->mask] >> n & 1) {
            uint64_t ea = lane_ea(cpu, i, index_bits, n);
            if (bits == 32)
                mem_write32(cpu, i->seg, ea, VEC_D(*s, n));
            else
                mem_write64(cpu, i->seg, ea, VEC_Q(*s, n));
            cpu->opmask[i->mask] &= ~BIT(n);
        }
    cpu->opmask[i->mask] = 0;
}

#define AVX_GATHER(suffix, index_bits, bits)                                                                           \
    static void avx_gather_##suffix(Cpu *cpu, const Insn *i) { avx_gather(cpu, i, index_bits, bits); }                 \
    SEM_1(avx_gather_##suffix)                                                                                         \
    static void avx_scatter_##suffix(Cpu *cpu, const Insn *i) { avx_scatter(cpu, i, index_bits, bits); }               \
    SEM_1(avx_scatter_##suffix)
AVX_GATHER(dd, 32, 32)
AVX_GATHER(dq, 32, 64)
AVX_GATHER(qd, 64, 32)
AVX_GATHER(qq, 64, 64)
