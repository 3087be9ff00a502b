/* The assembler's buffer, labels and the encoding of prefixes, opcode and operands (asm.h, encode.h). */
#include <string.h>

#include "tcg/x86_64/encode.h"

void asm_init(Asm *a, uint8_t *start, size_t size, uint64_t exec)
{
    if (size > ASM_MAX_SIZE)
        size = ASM_MAX_SIZE;
    *a = (Asm){ .p = start, .start = start, .end = start + size, .exec = exec };
}

/* Whatever the length of the instruction. */
bool asm_reaches(const Asm *a, uint64_t address)
{
    uint64_t distance = address - asm_here(a);

    return fits32(distance) && fits32(distance - ASM_ROOM);
}

void asm_bytes(Asm *a, unsigned n, uint64_t bytes)
{
    if (!asm_room(a))
        return;
    st64le(a->p, bytes);
    a->p += n;
}

void asm_data(Asm *a, const void *bytes, size_t n)
{
    if (a->overflow || (size_t)(a->end - a->p) < n) {
        a->overflow = true;
        return;
    }
    memcpy(a->p, bytes, n);
    a->p += n;
}

/* The sequences that both vendors recommend (Intel SDM vol. 2, NOP). */
void asm_nop(Asm *a, unsigned n)
{
    static const uint64_t nops[9] = {
        [1] = 0x90,
        [2] = 0x9066,
        [3] = 0x001f0f,
        [4] = 0x00401f0f,
        [5] = 0x0000441f0f,
        [6] = 0x0000441f0f66,
        [7] = 0x00000000801f0f,
        [8] = 0x0000000000841f0f,
    };
    for (unsigned length; n && !a->overflow; n -= length) {
        length = n < 8 ? n : 8;
        asm_bytes(a, length, nops[length]);
    }
}

void asm_align(Asm *a, unsigned to)
{
    asm_nop(a, -asm_here(a) & (to - 1));
}

/* ---- labels ---- */

void put_rel32(Asm *a, uint64_t address, unsigned tail)
{
    int64_t distance = address - (asm_here(a) + 4 + tail);

    a->bad |= !fits32(distance);
    put32(a, distance);
}

void put_label32(Asm *a, AsmLabel *label, unsigned tail)
{
    uint32_t field = asm_size(a);

    if (label->bound) {
        put32(a, label->at - (field + 4 + tail));
        return;
    }
    put32(a, label->link32);
    label->link32 = field << 3 | tail;
    a->open++;
}

static void bind32(Asm *a, AsmLabel *label)
{
    for (uint32_t link = label->link32, next; link; link = next) {
        uint8_t *field = a->start + (link >> 3);
        next = ld32le(field);
        st32le(field, label->at - ((link >> 3) + 4 + (link & 7)));
        a->open--;
    }
}

/* An 8-bit field keeps the distance back to the one before: those that can reach the same label are near each other. */
static void bind8(Asm *a, AsmLabel *label)
{
    for (uint32_t link = label->link8, back; link; link = back ? link - back : 0) {
        uint8_t *field = a->start + link;
        uint32_t distance = label->at - (link + 1);
        back = *field;
        a->bad |= distance > INT8_MAX;
        *field = distance;
        a->open--;
    }
}

void asm_bind(Asm *a, AsmLabel *label)
{
    a->bad |= label->bound;
    label->at = asm_size(a);
    label->bound = true;
    bind32(a, label);
    bind8(a, label);
}

/* ---- operands ---- */

static bool has_index(const AsmMem *m) { return m->kind == ASM_MEM_BASE && m->index != A_NONE; }
static bool has_base(const AsmMem *m) { return m->kind != ASM_MEM_BASE || m->base != A_NONE; }

/* REX's X and B for an r/m operand. */
static unsigned rex_xb(const AsmMem *m)
{
    if (m->kind == ASM_MEM_ADDRESS || m->kind == ASM_MEM_LABEL)
        return 0;
    return (has_index(m) ? m->index >> 2 & 2 : 0) | (has_base(m) ? m->base >> 3 & 1 : 0);
}

/* Displacements that every base but rBP and R13 can do without, and all can have in 8 bits. */
static unsigned mod_of(const AsmMem *m)
{
    if (m->disp == 0 && (m->base & 7) != A_RBP)
        return 0;
    return fits8(m->disp) ? 1 : 2;
}

/*
 * The next functions write at p, for which there is room, and return the place after: a->p would be stored and loaded
 * again for each byte, since a byte may alias it.
 */
static uint8_t *write32(uint8_t *p, uint32_t v)
{
    st32le(p, v);
    return p + 4;
}

static uint8_t *write_sib(Asm *a, uint8_t *p, const AsmMem *m, unsigned base)
{
    unsigned index = has_index(m) ? m->index & 7 : A_RSP;
    unsigned scale = (m->scale >> 1) - (m->scale >> 3); /* its logarithm */

    a->bad |= !is_power_of_2(m->scale) || m->scale > 8;
    *p++ = scale << 6 | index << 3 | base;
    return p;
}

/* ModRM with a base register, an index or neither; `reg` is in place already. */
static uint8_t *write_base(Asm *a, uint8_t *p, unsigned reg, const AsmMem *m)
{
    if (!has_base(m)) {
        *p++ = reg | A_RSP;
        return write32(write_sib(a, p, m, A_RBP), m->disp);
    }
    unsigned mod = mod_of(m), base = m->base & 7;
    bool sib = has_index(m) || base == A_RSP;
    *p++ = mod << 6 | reg | (sib ? A_RSP : base);
    if (sib)
        p = write_sib(a, p, m, base);
    if (mod == 1)
        *p++ = m->disp;
    return mod == 2 ? write32(p, m->disp) : p;
}

/* The last part: leaves a->p after it. */
static void put_modrm(Asm *a, uint8_t *p, unsigned reg, const AsmMem *m, unsigned tail)
{
    reg = (reg & 7) << 3;
    switch (m->kind) {
    case ASM_MEM_BASE:
        a->p = write_base(a, p, reg, m);
        break;
    case ASM_MEM_ADDRESS:
        *p = reg | A_RBP;
        a->p = p + 1;
        put_rel32(a, m->address, tail);
        break;
    case ASM_MEM_LABEL:
        *p = reg | A_RBP;
        a->p = p + 1;
        put_label32(a, m->label, tail);
        break;
    default:
        *p = 0xc0 | reg | (m->base & 7);
        a->p = p + 1;
        break;
    }
}

/* SPL, BPL, SIL and DIL exist only with a REX prefix (SDM vol. 2, table 3-1). */
static bool needs_rex(uint32_t op, unsigned reg, const AsmMem *m)
{
    return (op & OP_R8 && reg >= A_RSP) || (op & OP_M8 && m->kind == ASM_MEM_REG && m->base >= A_RSP);
}

/* What cannot be encoded. */
static bool is_bad(uint32_t op, const AsmMem *m)
{
    if (m->kind == ASM_MEM_REG)
        return op & (OP_MEM | OP_VSIB);
    return op & OP_VSIB ? !has_index(m) : has_index(m) && m->index == A_RSP;
}

/* The prefixes that all encodings share. */
static uint8_t *write_prefixes(uint8_t *p, const AsmMem *m)
{
    if (m->segment)
        *p++ = m->segment == ASM_FS ? 0x64 : 0x65;
    if (m->addr32)
        *p++ = 0x67;
    return p;
}

static uint8_t *write_opcode(uint8_t *p, uint32_t op, unsigned low)
{
    unsigned map = op >> OP_MAP_SHIFT & 3;

    if (map)
        *p++ = 0x0f;
    if (map > 1)
        *p++ = map == 2 ? 0x38 : 0x3a;
    *p++ = op | low;
    return p;
}

bool put_op(Asm *a, uint32_t op, unsigned reg, const AsmMem *rm, unsigned tail)
{
    static const uint8_t prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned rex = (op & OP_W ? 8 : 0) | (reg >> 1 & 4) | rex_xb(rm);
    unsigned prefix = op >> OP_PREFIX_SHIFT & 3;

    if (!asm_room(a))
        return false;
    a->bad |= is_bad(op, rm);
    uint8_t *p = write_prefixes(a->p, rm);
    if (op & OP_O16)
        *p++ = 0x66;
    if (prefix)
        *p++ = prefixes[prefix];
    if (rex || needs_rex(op, reg, rm))
        *p++ = 0x40 | rex;
    put_modrm(a, write_opcode(p, op, 0), reg, rm, tail);
    return true;
}

bool put_short(Asm *a, uint32_t op, AsmReg reg)
{
    unsigned rex = (op & OP_W ? 8 : 0) | reg >> 3;

    if (!asm_room(a))
        return false;
    uint8_t *p = a->p;
    if (op & OP_O16)
        *p++ = 0x66;
    if (rex || (op & OP_R8 && reg >= A_RSP))
        *p++ = 0x40 | rex;
    a->p = write_opcode(p, op, reg & 7);
    return true;
}

/* Two bytes where X, B and W are 0 and the map is 0F (SDM vol. 2, 2.3.5); fields R, X, B and vvvv are inverted. */
bool put_vex(Asm *a, uint32_t op, unsigned l, unsigned reg, unsigned v, const AsmMem *rm, unsigned tail)
{
    unsigned xb = rex_xb(rm), map = op >> OP_MAP_SHIFT & 3;
    unsigned low = (~v & 15) << 3 | l << 2 | (op >> OP_PREFIX_SHIFT & 3), no_r = ~reg << 4 & 0x80;

    if (!asm_room(a))
        return false;
    a->bad |= is_bad(op, rm);
    uint8_t *p = write_prefixes(a->p, rm);
    if (!xb && !(op & OP_W) && map == 1) {
        *p++ = 0xc5;
        *p++ = no_r | low;
    } else {
        *p++ = 0xc4;
        *p++ = no_r | (~xb & 3) << 5 | map;
        *p++ = (op & OP_W ? 0x80 : 0) | low;
    }
    *p++ = op;
    put_modrm(a, p, reg, rm, tail);
    return true;
}

/* A displacement always has 32 bits: one of 8 would count in units of the operand (SDM vol. 2A 2.7.5). */
static uint8_t *write_evex_modrm(uint8_t *p, unsigned reg, const AsmMem *rm)
{
    bool memory = rm->kind != ASM_MEM_REG;
    bool displaced = memory && (rm->disp || (rm->base & 7) == A_RBP); /* mod 0 would make RBP and R13 RIP-relative */
    *p++ = (memory ? displaced ? 0x80 : 0 : 0xc0) | (reg & 7) << 3 | (rm->base & 7);
    if (displaced) {
        st32le(p, rm->disp);
        p += 4;
    }
    return p;
}

bool put_evex(Asm *a, uint32_t op, EvexBits bits, unsigned reg, unsigned v, const AsmMem *rm)
{
    bool memory = rm->kind != ASM_MEM_REG;
    unsigned rm_high = memory ? 0 : rm->base >> 4 & 1;

    if (!asm_room(a))
        return false;
    a->bad |= memory && (rm->kind != ASM_MEM_BASE || has_index(rm) || (rm->base & 7) == A_RSP);
    uint8_t *p = a->p;
    *p++ = 0x62;
    *p++ = ((~reg << 4 & 0x80) | (~rm_high << 6 & 0x40) | (~(unsigned)rm->base << 2 & 0x20) | (~reg & 0x10)) | bits.map;
    *p++ = (op & OP_W ? 0x80 : 0) | (~v & 15) << 3 | 4 | (op >> OP_PREFIX_SHIFT & 3);
    *p++ = bits.zero << 7 | bits.length << 5 | bits.b << 4 | (~v >> 1 & 8) | bits.mask;
    *p++ = op;
    a->p = write_evex_modrm(p, reg, rm);
    return true;
}
