/*
 * SHA512 instructions (SDM vol. 2, each under its mnemonic; FIPS 180-4): lane 3 of the state holds A or C.
 */
#include "cpu/avx512.h"

static inline uint64_t rotate_right(uint64_t a, unsigned n) { return a >> n | a << (64 - n); }

/* The functions of FIPS 180-4 4.1.3. */
static inline uint64_t rotations(uint64_t a, unsigned x, unsigned y, unsigned z)
{
    return rotate_right(a, x) ^ rotate_right(a, y) ^ rotate_right(a, z);
}
static inline uint64_t schedule0(uint64_t a) { return rotate_right(a, 1) ^ rotate_right(a, 8) ^ a >> 7; }
static inline uint64_t schedule1(uint64_t a) { return rotate_right(a, 19) ^ rotate_right(a, 61) ^ a >> 6; }

/*
 * Four words of the schedule, half done, in the destination; in ModRM.rm the next one (MSG1), or in its upper half the
 * two before the new ones (MSG2).
 */
static void avx_vsha512msg1(Cpu *cpu, const Insn *i)
{
    Vec r;
    const Vec *a = &cpu->vec[i->reg], *b = &cpu->vec[i->rm];
    for (unsigned j = 0; j < 4; j++)
        r.q[j] = a->q[j] + schedule0(j < 3 ? a->q[j + 1] : b->q[0]);
    avx_write(cpu, i, i->reg, &r, 64);
}

static void avx_vsha512msg2(Cpu *cpu, const Insn *i)
{
    Vec r;
    const Vec *a = &cpu->vec[i->reg], *b = &cpu->vec[i->rm];
    for (unsigned j = 0; j < 4; j++)
        r.q[j] = a->q[j] + schedule1(j < 2 ? b->q[j + 2] : r.q[j - 2]);
    avx_write(cpu, i, i->reg, &r, 64);
}

/* Two rounds: C D G H in the destination, A B E F in vvvv, the message and its constants in ModRM.rm. */
static void avx_vsha512rnds2(Cpu *cpu, const Insn *i)
{
    const Vec *v = &cpu->vec[i->reg], *s = &cpu->vec[i->vreg], *wk = &cpu->vec[i->rm];
    uint64_t a = s->q[3], b = s->q[2], c = v->q[3], d = v->q[2], e = s->q[1], f = s->q[0], g = v->q[1], h = v->q[0];
    for (unsigned k = 0; k < 2; k++) {
        uint64_t t1 = h + rotations(e, 14, 18, 41) + ((e & f) ^ (~e & g)) + wk->q[k];
        uint64_t t2 = rotations(a, 28, 34, 39) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    avx_write(cpu, i, i->reg, &(Vec){ .q = { f, e, b, a } }, 64);
}

SEM_1(avx_vsha512msg1)
SEM_1(avx_vsha512msg2)
SEM_1(avx_vsha512rnds2)
