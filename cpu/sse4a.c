/*
 * SSE4A: bit fields of XMM registers (AMD APM vol. 4, EXTRQ and INSERTQ).  Its stores are those of sse_move.c.
 */
#include "cpu/simd.h"

/* A field of `length` bits (0: 64) at bit `index`; one that reaches beyond bit 63 is cut there, as processors do. */
static inline uint64_t field_mask(unsigned length) { return bit_mask(length & 63 ? length & 63 : 64); }

static inline void extract_field(Vec *v, unsigned length, unsigned index)
{
    v->q[0] = v->q[0] >> (index & 63) & field_mask(length);
    v->q[1] = 0;
}

static inline void insert_field(Vec *v, uint64_t source, unsigned length, unsigned index)
{
    uint64_t mask = field_mask(length) << (index & 63);
    v->q[0] = (v->q[0] & ~mask) | (source << (index & 63) & mask);
    v->q[1] = 0;
}

static void sse_extrq_imm(Cpu *cpu, const Insn *i) { extract_field(&cpu->vec[i->rm], i->imm, i->imm2); }
SEM_1(sse_extrq_imm)

static void sse_extrq(Cpu *cpu, const Insn *i)
{
    uint64_t control = cpu->vec[i->rm].q[0];
    extract_field(&cpu->vec[i->reg], control, control >> 8);
}
SEM_1(sse_extrq)

static void sse_insertq_imm(Cpu *cpu, const Insn *i)
{
    insert_field(&cpu->vec[i->reg], cpu->vec[i->rm].q[0], i->imm, i->imm2);
}
SEM_1(sse_insertq_imm)

static void sse_insertq(Cpu *cpu, const Insn *i)
{
    const Vec *s = &cpu->vec[i->rm];
    insert_field(&cpu->vec[i->reg], s->q[0], s->q[1], s->q[1] >> 8);
}
SEM_1(sse_insertq)
