/*
 * Bit instructions (SDM vol. 2: BT, BTS, BTR, BTC, BSF, BSR, TZCNT, LZCNT, POPCNT) and CRC32.
 *
 * Flags that are undefined are left alone or set as AMD's processors do.
 */
#include "cpu/integer.h"

#define FOR_SIZES(M, op) M(op, 16) M(op, 32) M(op, 64)

/*
 * A bit number in a register reaches beyond a memory operand: it is signed, and counts from bit 0 of the addressed
 * word (SDM vol. 2, BT).
 */
static inline uint64_t bit_string_ea(const Cpu *cpu, const Insn *i, unsigned n)
{
    unsigned log2n = n == 16 ? 4 : n == 32 ? 5 : 6;
    return insn_ea_at(cpu, i, (uint64_t)(sign_extend(cpu->gpr[i->reg], n) >> log2n) * (n / 8));
}

#define BT_SIZE(op, n)                                                                                                 \
    static inline void bt_value##n(Cpu *cpu, uint64_t a, uint64_t bit) { replace_cf(cpu, a >> (bit & (n - 1)) & 1); }  \
    static void bt_EvGv_r##n(Cpu *cpu, const Insn *i) { bt_value##n(cpu, reg##n(cpu, i->rm), cpu->gpr[i->reg]); }      \
    static void bt_EvGv_m##n(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        bt_value##n(cpu, mem_read##n(cpu, i->seg, bit_string_ea(cpu, i, n)), cpu->gpr[i->reg]);                        \
    }                                                                                                                  \
    static void bt_EvIb_r##n(Cpu *cpu, const Insn *i) { bt_value##n(cpu, reg##n(cpu, i->rm), i->imm); }                \
    static void bt_EvIb_m##n(Cpu *cpu, const Insn *i)                                                                  \
    {                                                                                                                  \
        bt_value##n(cpu, mem_read##n(cpu, i->seg, insn_ea(cpu, i)), i->imm);                                           \
    }
FOR_SIZES(BT_SIZE, bt)
SEM_RM_SZ(bt_EvGv)
SEM_RM_SZ(bt_EvIb)

static inline uint64_t bts_result(uint64_t a, uint64_t mask) { return a | mask; }
static inline uint64_t btr_result(uint64_t a, uint64_t mask) { return a & ~mask; }
static inline uint64_t btc_result(uint64_t a, uint64_t mask) { return a ^ mask; }

#define BIT_CHANGE_SIZE(op, n)                                                                                         \
    static inline void op##_register##n(Cpu *cpu, const Insn *i, uint64_t bit)                                         \
    {                                                                                                                  \
        uint64_t a = reg##n(cpu, i->rm), mask = BIT(bit & (n - 1));                                                    \
        set_reg##n(cpu, i->rm, op##_result(a, mask));                                                                  \
        replace_cf(cpu, (a & mask) != 0);                                                                              \
    }                                                                                                                  \
    static inline void op##_memory##n(Cpu *cpu, const Insn *i, uint64_t ea, uint64_t bit)                              \
    {                                                                                                                  \
        uint64_t a, mask = BIT(bit & (n - 1));                                                                         \
        MemRef ref;                                                                                                    \
        do                                                                                                             \
            a = mem_rmw##n(cpu, i->seg, ea, &ref);                                                                     \
        while (!mem_finish##n(cpu, &ref, a, op##_result(a, mask), i->lock));                                           \
        replace_cf(cpu, (a & mask) != 0);                                                                              \
    }                                                                                                                  \
    static void op##_EvGv_r##n(Cpu *cpu, const Insn *i) { op##_register##n(cpu, i, cpu->gpr[i->reg]); }                \
    static void op##_EvGv_m##n(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        op##_memory##n(cpu, i, bit_string_ea(cpu, i, n), cpu->gpr[i->reg]);                                            \
    }                                                                                                                  \
    static void op##_EvIb_r##n(Cpu *cpu, const Insn *i) { op##_register##n(cpu, i, i->imm); }                          \
    static void op##_EvIb_m##n(Cpu *cpu, const Insn *i) { op##_memory##n(cpu, i, insn_ea(cpu, i), i->imm); }
#define BIT_CHANGE(op)                                                                                                 \
    FOR_SIZES(BIT_CHANGE_SIZE, op)                                                                                     \
    SEM_RM_SZ(op##_EvGv)                                                                                               \
    SEM_RM_SZ(op##_EvIb)
BIT_CHANGE(bts)
BIT_CHANGE(btr)
BIT_CHANGE(btc)

/* Bit scans, and counts: functions of a zero-extended operand of n bits. */

/* BSF and BSR leave their destination alone, all 64 bits of it, when the source is 0. */
static inline bool scan_flags(Cpu *cpu, uint64_t a, unsigned index)
{
    cpu->cc_z = a;
    cpu->cc_sp = index;
    cpu->cc_aux = 0;
    return a != 0;
}
static inline bool bsf_value(Cpu *cpu, uint64_t a, unsigned n, uint64_t *r)
{
    (void)n;
    *r = a ? bit_lowest(a) : 0;
    return scan_flags(cpu, a, *r);
}
static inline bool bsr_value(Cpu *cpu, uint64_t a, unsigned n, uint64_t *r)
{
    (void)n;
    *r = a ? bit_highest(a) : 0;
    return scan_flags(cpu, a, *r);
}

static inline bool count_flags(Cpu *cpu, uint64_t a, uint64_t r)
{
    bool of = flag_of(cpu);
    cpu->cc_z = r;
    cpu->cc_sp = 1;
    set_cf_of_af(cpu, a == 0, of, false);
    return true;
}
static inline bool tzcnt_value(Cpu *cpu, uint64_t a, unsigned n, uint64_t *r)
{
    *r = a ? bit_lowest(a) : n;
    return count_flags(cpu, a, *r);
}
static inline bool lzcnt_value(Cpu *cpu, uint64_t a, unsigned n, uint64_t *r)
{
    *r = a ? n - 1 - bit_highest(a) : n;
    return count_flags(cpu, a, *r);
}
static inline bool popcnt_value(Cpu *cpu, uint64_t a, unsigned n, uint64_t *r)
{
    (void)n;
    *r = __builtin_popcountll(a);
    cpu->cc_z = a;
    cpu->cc_sp = 1;
    cpu->cc_aux = 0;
    return true;
}

#define COUNT_SIZE(op, n)                                                                                              \
    static inline void op##_to##n(Cpu *cpu, const Insn *i, uint##n##_t a)                                              \
    {                                                                                                                  \
        uint64_t r;                                                                                                    \
        if (op##_value(cpu, a, n, &r))                                                                                 \
            set_reg##n(cpu, i->reg, r);                                                                                \
    }                                                                                                                  \
    static void op##_r##n(Cpu *cpu, const Insn *i) { op##_to##n(cpu, i, reg##n(cpu, i->rm)); }                         \
    static void op##_m##n(Cpu *cpu, const Insn *i) { op##_to##n(cpu, i, mem_read##n(cpu, i->seg, insn_ea(cpu, i))); }
#define COUNT(op)                                                                                                      \
    FOR_SIZES(COUNT_SIZE, op)                                                                                          \
    SEM_RM_SZ(op)
COUNT(bsf)
COUNT(bsr)
COUNT(tzcnt)
COUNT(lzcnt)
COUNT(popcnt)

/* CRC-32C (polynomial 11EDC6F41h, bits reflected), four bits a step. */
static uint32_t crc32c(uint32_t crc, uint64_t v, unsigned bits)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    for (unsigned k = 0; k < bits; k += 4)
        crc = crc >> 4 ^ table[(crc ^ v >> k) & 15];
    return crc;
}

#define CRC32(name, n, R, M)                                                                                           \
    static void name##R(Cpu *cpu, const Insn *i)                                                                       \
    {                                                                                                                  \
        set_reg32(cpu, i->reg, crc32c(reg32(cpu, i->reg), reg##n(cpu, i->rm), n));                                     \
    }                                                                                                                  \
    static void name##M(Cpu *cpu, const Insn *i)                                                                       \
    {                                                                                                                  \
        set_reg32(cpu, i->reg, crc32c(reg32(cpu, i->reg), mem_read##n(cpu, i->seg, insn_ea(cpu, i)), n));              \
    }
CRC32(crc32_GdEb, 8, _r, _m)
CRC32(crc32_GdEv, 16, _r16, _m16)
CRC32(crc32_GdEv, 32, _r32, _m32)
CRC32(crc32_GdEv, 64, _r64, _m64)
SEM_RM(crc32_GdEb)
SEM_RM_SZ(crc32_GdEv)
