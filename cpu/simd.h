/*
 * Vector instructions: how their operands are read, and the shapes that their semantic functions have.
 *
 * An instruction is written in two steps.  A kernel works on Vecs of any width (simd_int.h, simd_fp.h, simd_shuffle.h):
 *
 *   static KERNEL v_paddb(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
 *
 * and the macros here and in mmx.h make of it the MMX, SSE (and later VEX and EVEX) functions that the table names.
 * Kernels allow d to be a or b.  Those that move lanes do so within blocks of 128 bits (64 for MMX, qwords == 1), as
 * every vector extension does.
 */
#ifndef MYNA_CPU_SIMD_H
#define MYNA_CPU_SIMD_H

#include "cpu/access.h"

/* With a constant `qwords` the loops become the host's vector instructions; hence always inline. */
#define KERNEL inline __attribute__((always_inline)) void

static KERNEL vec_copy(Vec *d, const Vec *s, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j++)
        d->q[j] = s->q[j];
}

/* MXCSR.MM: operands of 128 bits need no alignment, but for those of the aligned moves (AMD APM vol. 1 4.2.3). */
enum { MXCSR_MM = 1 << 17 };

/* 16 bytes of memory that need no alignment, or (align 16) that must be aligned; `always`: whatever MXCSR.MM says. */
static KERNEL vec_load16(Cpu *cpu, const Insn *i, Vec *v, unsigned align, bool always)
{
    uint64_t ea = insn_ea(cpu, i);
    if (likely(cpu->flat >> i->seg & 1) && likely(!align || !(ea & (align - 1)))) {
        const uint8_t *p = tlb_read_hit(cpu, ea, 16);
        if (likely(p != NULL)) {
            uint64_t low = ld64le(p), high = ld64le(p + 8);
            v->q[0] = low;
            v->q[1] = high;
            return;
        }
    }
    mem_read_vec(cpu, i->seg, ea, v->q, 16, always || !(cpu->mxcsr & MXCSR_MM) ? align : 0);
}

static KERNEL vec_store16(Cpu *cpu, const Insn *i, const Vec *v, unsigned align)
{
    uint64_t ea = insn_ea(cpu, i);
    if (likely(cpu->flat >> i->seg & 1) && likely(!align || !(ea & (align - 1)))) {
        uint8_t *p = tlb_write_hit(cpu, ea, 16);
        if (likely(p != NULL)) {
            st64le(p, v->q[0]);
            st64le(p + 8, v->q[1]);
            return;
        }
    }
    mem_write_vec(cpu, i->seg, ea, v->q, 16, align);
}

/* Memory operands: 128 bits aligned (x) or not (u); 64, 32 and 16 bits at the bottom, with what is above undefined. */
static KERNEL vec_load_x(Cpu *cpu, const Insn *i, Vec *v) { vec_load16(cpu, i, v, 16, false); }
static KERNEL vec_load_u(Cpu *cpu, const Insn *i, Vec *v) { vec_load16(cpu, i, v, 0, false); }
/* Aligned like 128 bits, but only the lower half is needed: what MXCSR.MM lets be misaligned reads no more. */
static KERNEL vec_load_low(Cpu *cpu, const Insn *i, Vec *v)
{
    if (unlikely(cpu->mxcsr & MXCSR_MM))
        v->q[0] = mem_read64(cpu, i->seg, insn_ea(cpu, i));
    else
        vec_load16(cpu, i, v, 16, true);
}
static KERNEL vec_load_q(Cpu *cpu, const Insn *i, Vec *v) { v->q[0] = mem_read64(cpu, i->seg, insn_ea(cpu, i)); }
static KERNEL vec_load_d(Cpu *cpu, const Insn *i, Vec *v) { v->q[0] = mem_read32(cpu, i->seg, insn_ea(cpu, i)); }
static KERNEL vec_load_w(Cpu *cpu, const Insn *i, Vec *v) { v->q[0] = mem_read16(cpu, i->seg, insn_ea(cpu, i)); }

/*
 * Those of the first `size` bytes of v whose bit in mask is set, to memory at rDI in i's segment (MASKMOVDQU, MASKMOVQ);
 * all or nothing.  A byte left alone faults too, as on AMD's processors; the manuals leave it open.
 */
void vec_store_bytes(Cpu *cpu, const Insn *i, const Vec *v, uint32_t mask, unsigned size);

/* The functions sse_NAME_r and _m and their Sem, from sse_NAME_op(cpu, i, source); `load` is one of the above. */
#define SSE_FORMS(name, load)                                                                                          \
    static void sse_##name##_r(Cpu *cpu, const Insn *i) { sse_##name##_op(cpu, i, &cpu->vec[i->rm]); }                 \
    static void sse_##name##_m(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        Vec s;                                                                                                         \
        load(cpu, i, &s);                                                                                              \
        sse_##name##_op(cpu, i, &s);                                                                                   \
    }                                                                                                                  \
    SEM_RM(sse_##name)

/* xmm1 = kernel(xmm1, xmm2/m128). */
#define SSE_BINARY(name) SSE_BINARY_FROM(name, vec_load_x)
#define SSE_BINARY_FROM(name, load)                                                                                    \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        v_##name(&cpu->vec[i->reg], &cpu->vec[i->reg], s, 2);                                                          \
    }                                                                                                                  \
    SSE_FORMS(name, load)

/* xmm1 = kernel(xmm1, xmm2/m128, imm8). */
#define SSE_BINARY_IMM(name)                                                                                           \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        v_##name(&cpu->vec[i->reg], &cpu->vec[i->reg], s, i->imm, 2);                                                  \
    }                                                                                                                  \
    SSE_FORMS(name, vec_load_x)

/* xmm1 = kernel(xmm2/mem). */
#define SSE_UNARY(name, load)                                                                                          \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s) { v_##name(&cpu->vec[i->reg], s, 2); }        \
    SSE_FORMS(name, load)

/* xmm1 = kernel(xmm2/m128, imm8). */
#define SSE_UNARY_IMM(name)                                                                                            \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        v_##name(&cpu->vec[i->reg], s, i->imm, 2);                                                                     \
    }                                                                                                                  \
    SSE_FORMS(name, vec_load_x)

/* One function for 16- and 32-bit operand size, another for 64: operands of type y. */
#define SEM_RM_Y(name)                                                                                                 \
    const Sem sem_##name = { { name##_r32, name##_r32, name##_r64 }, { name##_m32, name##_m32, name##_m64 } };
#define SEM_Y(name)                                                                                                    \
    const Sem sem_##name = { { name##_32, name##_32, name##_64 }, { name##_32, name##_32, name##_64 } };

#endif
