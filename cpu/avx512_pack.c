/* Lanes moved together and apart by an opmask (VPCOMPRESS, VPEXPAND), and made narrower (VPMOVWB and its kin). */
#include "cpu/avx512.h"

/* ---- compress and expand ---- */

/* The lowest `count` lanes of r to register `reg`; those above stay, or become 0. */
static void write_packed(Cpu *cpu, const Insn *i, unsigned reg, const Vec *r, unsigned bits, unsigned count)
{
    unsigned lanes = avx_lanes(i, bits);
    for (unsigned n = 0; n < lanes; n++)
        if (n < count)
            vec_set_lane(&cpu->vec[reg], bits, n, vec_lane(r, bits, n));
        else if (i->zero)
            vec_set_lane(&cpu->vec[reg], bits, n, 0);
    avx_clear_above(cpu, reg, avx_bytes(i));
}

/* Memory is written as far as there are lanes, and no byte further. */
static void compress(Cpu *cpu, const Insn *i, unsigned bits)
{
    const Vec *v = &cpu->vec[i->reg];
    uint64_t selected = avx_selected(cpu, i, bits);
    unsigned count = 0;
    Vec r;
    for (unsigned n = 0; n < avx_lanes(i, bits); n++)
        if (selected >> n & 1)
            vec_set_lane(&r, bits, count++, vec_lane(v, bits, n));
    if (i->mem)
        avx_store(cpu, i, &r, bits, count, bit_mask(count));
    else
        write_packed(cpu, i, i->rm, &r, bits, count);
}

/* Memory is read only as far as lanes are selected. */
static void expand(Cpu *cpu, const Insn *i, unsigned bits)
{
    uint64_t selected = avx_selected(cpu, i, bits);
    unsigned count = __builtin_popcountll(selected);
    Vec tmp, r;
    const Vec *v = count ? avx_source_part(cpu, i, &tmp, bits, count, bit_mask(count)) : &tmp;
    for (unsigned n = 0, from = 0; n < avx_lanes(i, bits); n++)
        if (selected >> n & 1)
            vec_set_lane(&r, bits, n, vec_lane(v, bits, from++));
    avx_write(cpu, i, i->reg, &r, bits);
}

#define AVX_COMPRESS_EXPAND(suffix, bits)                                                                              \
    static void avx_compress_##suffix(Cpu *cpu, const Insn *i) { compress(cpu, i, bits); }                             \
    static void avx_expand_##suffix(Cpu *cpu, const Insn *i) { expand(cpu, i, bits); }                                 \
    SEM_1(avx_compress_##suffix)                                                                                       \
    SEM_1(avx_expand_##suffix)
AVX_COMPRESS_EXPAND(8, 8)
AVX_COMPRESS_EXPAND(16, 16)
AVX_COMPRESS_EXPAND(32, 32)
AVX_COMPRESS_EXPAND(64, 64)

/* ---- narrower lanes ---- */

static void narrow(Cpu *cpu, const Insn *i, VecUnary *kernel, unsigned from, unsigned to)
{
    Vec r;
    unsigned lanes = avx_lanes(i, from);
    kernel(&r, &cpu->vec[i->reg], avx_qwords(i));
    if (i->mem)
        avx_store(cpu, i, &r, to, lanes, avx_mask(cpu, i, lanes));
    else
        avx_write_lanes(cpu, i, i->rm, &r, to, lanes);
}

#define AVX_NARROW_AS(name, from, to)                                                                                  \
    static void avx_##name(Cpu *cpu, const Insn *i) { narrow(cpu, i, v_##name, from, to); }                            \
    SEM_1(avx_##name)
#define AVX_NARROW(suffix, from, to)                                                                                   \
    AVX_NARROW_AS(vpmov##suffix, from, to)                                                                             \
    AVX_NARROW_AS(vpmovs##suffix, from, to)                                                                            \
    AVX_NARROW_AS(vpmovus##suffix, from, to)
AVX_NARROW(wb, 16, 8)
AVX_NARROW(db, 32, 8)
AVX_NARROW(dw, 32, 16)
AVX_NARROW(qb, 64, 8)
AVX_NARROW(qw, 64, 16)
AVX_NARROW(qd, 64, 32)
