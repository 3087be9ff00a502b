/*
 * String instructions (SDM vol. 2: MOVS, CMPS, SCAS, LODS, STOS, and the REP prefixes).
 *
 * A repeated instruction works in portions: as many elements as lie within one page of plain RAM on every side at host
 * speed (a "bulk" function; forward only), else one element by the complete access functions.  After each portion the
 * registers are exact, so that a fault or an interrupt finds them as the manual says, and RIP stays on the instruction
 * until the count is used up.
 */
#include "cpu/integer.h"

#define FOR_SIZES(M) M(8) M(16) M(32) M(64)

static inline uint64_t source_ea(const Cpu *cpu, const Insn *i) { return cpu->gpr[R_SI] & address_mask(i->asz); }
static inline uint64_t dest_ea(const Cpu *cpu, const Insn *i) { return cpu->gpr[R_DI] & address_mask(i->asz); }

/* Moves SI or DI by `bytes` in the direction of DF. */
static inline void advance(Cpu *cpu, const Insn *i, unsigned reg, uint64_t bytes)
{
    uint64_t v = cpu->gpr[reg];
    set_address_reg(cpu, i->asz, reg, cpu->eflags & F_DF ? v - bytes : v + bytes);
}

/* One element. */
#define ELEMENT(n)                                                                                                     \
    static void movs_##n(Cpu *cpu, const Insn *i)                                                                      \
    {                                                                                                                  \
        mem_write##n(cpu, SEG_ES, dest_ea(cpu, i), mem_read##n(cpu, i->seg, source_ea(cpu, i)));                       \
        advance(cpu, i, R_SI, n / 8);                                                                                  \
        advance(cpu, i, R_DI, n / 8);                                                                                  \
    }                                                                                                                  \
    static void stos_##n(Cpu *cpu, const Insn *i)                                                                      \
    {                                                                                                                  \
        mem_write##n(cpu, SEG_ES, dest_ea(cpu, i), cpu->gpr[R_AX]);                                                    \
        advance(cpu, i, R_DI, n / 8);                                                                                  \
    }                                                                                                                  \
    static void lods_##n(Cpu *cpu, const Insn *i)                                                                      \
    {                                                                                                                  \
        set_reg##n(cpu, R_AX, mem_read##n(cpu, i->seg, source_ea(cpu, i)));                                            \
        advance(cpu, i, R_SI, n / 8);                                                                                  \
    }                                                                                                                  \
    static inline void compare##n(Cpu *cpu, uint##n##_t a, uint##n##_t b)                                              \
    {                                                                                                                  \
        set_flags_sub(cpu, a, b, (uint64_t)a - b, n);                                                                  \
    }                                                                                                                  \
    static void scas_##n(Cpu *cpu, const Insn *i)                                                                      \
    {                                                                                                                  \
        compare##n(cpu, reg##n(cpu, R_AX), mem_read##n(cpu, SEG_ES, dest_ea(cpu, i)));                                 \
        advance(cpu, i, R_DI, n / 8);                                                                                  \
    }                                                                                                                  \
    static void cmps_##n(Cpu *cpu, const Insn *i)                                                                      \
    {                                                                                                                  \
        uint##n##_t a = mem_read##n(cpu, i->seg, source_ea(cpu, i));                                                   \
        compare##n(cpu, a, mem_read##n(cpu, SEG_ES, dest_ea(cpu, i)));                                                 \
        advance(cpu, i, R_SI, n / 8);                                                                                  \
        advance(cpu, i, R_DI, n / 8);                                                                                  \
    }
FOR_SIZES(ELEMENT)

/*
 * Host memory at seg:ea, cut where the offset wraps; NULL when not even one element of `size` bytes is in it.
 * *count: in elements, at most what it was.
 */
static uint8_t *element_span(Cpu *cpu, const Insn *i, unsigned seg, uint64_t ea, bool write, unsigned size,
                             uint64_t *count)
{
    unsigned bytes;
    uint8_t *p = mem_host_span(cpu, seg, ea, write, &bytes);
    if (!p)
        return NULL;
    uint64_t to_wrap = address_mask(i->asz) - ea; /* less one: all 64 bits may be set */
    uint64_t room = (bytes - 1 < to_wrap ? bytes : to_wrap + 1) / size;
    if (room < *count)
        *count = room;
    return room ? p : NULL;
}

/*
 * Copies forward as if element by element.  With `to` inside the source, behind its start, the bytes between them
 * repeat; the span that is already right doubles with each round.
 */
static void copy_forward(uint8_t *to, const uint8_t *from, uint64_t bytes, unsigned size)
{
    uint64_t distance = to - from;
    if (to <= from || distance >= bytes) {
        memmove(to, from, bytes);
    } else if (distance < size) {
        for (uint64_t at = 0; at < bytes; at += size)
            memmove(to + at, from + at, size);
    } else {
        for (uint64_t done = 0, k; done < bytes; done += k) {
            k = distance + done < bytes - done ? distance + done : bytes - done;
            memcpy(to + done, from, k);
        }
    }
}

static void fill(uint8_t *to, uint64_t v, uint64_t bytes, unsigned size)
{
    uint64_t byte = v & 0xff;
    if ((v & bit_mask(size * 8)) == ((byte * UINT64_C(0x0101010101010101)) & bit_mask(size * 8))) {
        memset(to, byte, bytes);
    } else {
        stle(to, v, size);
        if (bytes > size)
            copy_forward(to + size, to, bytes - size, size);
    }
}

/* Each does up to `count` elements of `size` bytes and returns how many; 0: it must be done one by one. */
static inline uint64_t movs_bulk(Cpu *cpu, const Insn *i, uint64_t count, unsigned size)
{
    uint8_t *from = element_span(cpu, i, i->seg, source_ea(cpu, i), false, size, &count);
    uint8_t *to = from ? element_span(cpu, i, SEG_ES, dest_ea(cpu, i), true, size, &count) : NULL;
    if (!to)
        return 0;
    copy_forward(to, from, count * size, size);
    advance(cpu, i, R_SI, count * size);
    advance(cpu, i, R_DI, count * size);
    return count;
}

static inline uint64_t stos_bulk(Cpu *cpu, const Insn *i, uint64_t count, unsigned size)
{
    uint8_t *to = element_span(cpu, i, SEG_ES, dest_ea(cpu, i), true, size, &count);
    if (!to)
        return 0;
    fill(to, cpu->gpr[R_AX], count * size, size);
    advance(cpu, i, R_DI, count * size);
    return count;
}

/* Only the last element stays. */
#define LODS_BULK(n)                                                                                                   \
    static uint64_t lods_bulk##n(Cpu *cpu, const Insn *i, uint64_t count)                                              \
    {                                                                                                                  \
        uint8_t *from = element_span(cpu, i, i->seg, source_ea(cpu, i), false, n / 8, &count);                         \
        if (!from)                                                                                                     \
            return 0;                                                                                                  \
        set_reg##n(cpu, R_AX, ldle(from + (count - 1) * (n / 8), n / 8));                                              \
        advance(cpu, i, R_SI, count * (n / 8));                                                                        \
        return count;                                                                                                  \
    }
#define MOVE_BULK(n)                                                                                                   \
    static uint64_t movs_bulk##n(Cpu *cpu, const Insn *i, uint64_t count) { return movs_bulk(cpu, i, count, n / 8); }  \
    static uint64_t stos_bulk##n(Cpu *cpu, const Insn *i, uint64_t count) { return stos_bulk(cpu, i, count, n / 8); }
FOR_SIZES(LODS_BULK)
FOR_SIZES(MOVE_BULK)

/* F3 goes on while elements are equal, F2 while they differ. */
#define COMPARE_BULK(n)                                                                                                \
    static uint64_t scas_bulk##n(Cpu *cpu, const Insn *i, uint64_t count)                                              \
    {                                                                                                                  \
        uint8_t *p = element_span(cpu, i, SEG_ES, dest_ea(cpu, i), false, n / 8, &count);                              \
        uint##n##_t a = reg##n(cpu, R_AX), b;                                                                          \
        bool while_equal = i->rep == REP_F3;                                                                           \
        uint64_t done = 0;                                                                                             \
        if (!p)                                                                                                        \
            return 0;                                                                                                  \
        do                                                                                                             \
            b = ldle(p + done++ * (n / 8), n / 8);                                                                     \
        while ((a == b) == while_equal && done < count);                                                               \
        compare##n(cpu, a, b);                                                                                         \
        advance(cpu, i, R_DI, done * (n / 8));                                                                         \
        return done;                                                                                                   \
    }                                                                                                                  \
    static uint64_t cmps_bulk##n(Cpu *cpu, const Insn *i, uint64_t count)                                              \
    {                                                                                                                  \
        uint8_t *p = element_span(cpu, i, i->seg, source_ea(cpu, i), false, n / 8, &count);                            \
        uint8_t *q = p ? element_span(cpu, i, SEG_ES, dest_ea(cpu, i), false, n / 8, &count) : NULL;                   \
        bool while_equal = i->rep == REP_F3;                                                                           \
        uint##n##_t a, b;                                                                                              \
        uint64_t done = 0;                                                                                             \
        if (!q)                                                                                                        \
            return 0;                                                                                                  \
        if (while_equal && !memcmp(p, q, count * (n / 8)))                                                             \
            done = count - 1;                                                                                          \
        do {                                                                                                           \
            a = ldle(p + done * (n / 8), n / 8);                                                                       \
            b = ldle(q + done * (n / 8), n / 8);                                                                       \
            done++;                                                                                                    \
        } while ((a == b) == while_equal && done < count);                                                             \
        compare##n(cpu, a, b);                                                                                         \
        advance(cpu, i, R_SI, done * (n / 8));                                                                         \
        advance(cpu, i, R_DI, done * (n / 8));                                                                         \
        return done;                                                                                                   \
    }
FOR_SIZES(COMPARE_BULK)

/*
 * Whether a repeated instruction pauses between portions: something wants the run loop, a data breakpoint was hit, or
 * each iteration is to trap (SDM vol. 3B 18.3.1.4: TF counts iterations).
 */
static inline bool must_pause(const Cpu *cpu)
{
    return (atomic_load_explicit(&cpu->attention, memory_order_relaxed) != 0) | (cpu->dr6_pending != 0) |
           ((cpu->eflags & F_TF) != 0);
}

/*
 * The whole of a repeated MOVS or STOS whose bytes lie within one page on every side, in segments without base and
 * limit: most are short.
 */
static inline bool within_page(const Cpu *cpu, uint64_t count, unsigned size, unsigned segments)
{
    return likely(count <= GUEST_PAGE_SIZE / size && !(cpu->eflags & (F_DF | F_TF)) && (cpu->flat & segments) == segments);
}

static inline bool movs_at_once(Cpu *cpu, const Insn *i, uint64_t count, unsigned size)
{
    uint64_t bytes = count * size;
    if (!within_page(cpu, count, size, 1u << SEG_ES | 1u << i->seg))
        return false;
    const uint8_t *from = tlb_read_hit(cpu, source_ea(cpu, i), bytes);
    uint8_t *to = tlb_write_hit(cpu, dest_ea(cpu, i), bytes);
    if (unlikely(!from || !to))
        return false;
    copy_forward(to, from, bytes, size);
    advance(cpu, i, R_SI, bytes);
    advance(cpu, i, R_DI, bytes);
    return true;
}

static inline bool stos_at_once(Cpu *cpu, const Insn *i, uint64_t count, unsigned size)
{
    uint64_t bytes = count * size;
    if (!within_page(cpu, count, size, 1u << SEG_ES))
        return false;
    uint8_t *to = tlb_write_hit(cpu, dest_ea(cpu, i), bytes);
    if (unlikely(!to))
        return false;
    fill(to, cpu->gpr[R_AX], bytes, size);
    advance(cpu, i, R_DI, bytes);
    return true;
}
#define lods_at_once(cpu, i, count, size) false
#define scas_at_once lods_at_once
#define cmps_at_once lods_at_once

/* `more`: whether to go on after a portion. */
#define REPEAT(op, n, more)                                                                                            \
    static void rep_##op##_##n(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        uint64_t left = cpu->gpr[R_CX] & address_mask(i->asz);                                                         \
        if (left && op##_at_once(cpu, i, left, n / 8)) {                                                               \
            left = 0;                                                                                                  \
            set_address_reg(cpu, i->asz, R_CX, 0);                                                                     \
        }                                                                                                              \
        while (left) {                                                                                                 \
            uint64_t done = cpu->eflags & (F_DF | F_TF) ? 0 : op##_bulk##n(cpu, i, left);                              \
            if (!done) {                                                                                               \
                op##_##n(cpu, i);                                                                                      \
                done = 1;                                                                                              \
            }                                                                                                          \
            left -= done;                                                                                              \
            set_address_reg(cpu, i->asz, R_CX, left);                                                                  \
            if (!(more))                                                                                               \
                break;                                                                                                 \
            if (left && unlikely(must_pause(cpu)))                                                                     \
                return; /* RIP stays: the instruction goes on later */                                                 \
        }                                                                                                              \
        cpu->rip = next_rip(cpu, i);                                                                                   \
    }
#define REPEATS(n)                                                                                                     \
    REPEAT(movs, n, true)                                                                                              \
    REPEAT(stos, n, true)                                                                                              \
    REPEAT(lods, n, true)                                                                                              \
    REPEAT(scas, n, flag_zf(cpu) == (i->rep == REP_F3))                                                                \
    REPEAT(cmps, n, flag_zf(cpu) == (i->rep == REP_F3))
FOR_SIZES(REPEATS)

/* Rows: byte and sized forms, alone and repeated. */
#define STRING_ROWS(op)                                                                                                \
    const Sem sem_##op##_b = { { op##_8, op##_8, op##_8 }, { NULL } };                                                 \
    const Sem sem_##op##_v = { { op##_16, op##_32, op##_64 }, { NULL } };                                              \
    const Sem sem_rep_##op##_b = { { rep_##op##_8, rep_##op##_8, rep_##op##_8 }, { NULL } };                           \
    const Sem sem_rep_##op##_v = { { rep_##op##_16, rep_##op##_32, rep_##op##_64 }, { NULL } };
STRING_ROWS(movs)
STRING_ROWS(stos)
STRING_ROWS(lods)
STRING_ROWS(scas)
STRING_ROWS(cmps)
