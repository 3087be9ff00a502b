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

static void put_sib(Asm *a, const AsmMem *m, unsigned base)
{
    unsigned index = has_index(m) ? m->index & 7 : A_RSP;
    unsigned scale = (m->scale >> 1) - (m->scale >> 3); /* its logarithm */

    a->bad |= !is_power_of_2(m->scale) || m->scale > 8;
    put8(a, scale << 6 | index << 3 | base);
}

/* ModRM with a base register, an index or neither; `reg` is in place already. */
static void put_base(Asm *a, unsigned reg, const AsmMem *m)
{
    if (!has_base(m)) {
        put8(a, reg | A_RSP);
        put_sib(a, m, A_RBP);
        put32(a, m->disp);
        return;
    }
    unsigned mod = mod_of(m), base = m->base & 7;
    if (has_index(m) || base == A_RSP) {
        put8(a, mod << 6 | reg | A_RSP);
        put_sib(a, m, base);
    } else {
        put8(a, mod << 6 | reg | base);
    }
    if (mod)
        put_imm(a, mod == 1 ? 8 : 32, m->disp);
}

static void put_modrm(Asm *a, unsigned reg, const AsmMem *m, unsigned tail)
{
    reg = (reg & 7) << 3;
    switch (m->kind) {
    case ASM_MEM_BASE:
        put_base(a, reg, m);
        break;
    case ASM_MEM_ADDRESS:
        put8(a, reg | A_RBP);
        put_rel32(a, m->address, tail);
        break;
    case ASM_MEM_LABEL:
        put8(a, reg | A_RBP);
        put_label32(a, m->label, tail);
        break;
    default:
        put8(a, 0xc0 | reg | (m->base & 7));
        break;
    }
}

/* Room, what cannot be encoded, and the prefixes that all encodings share. */
static bool put_prefixes(Asm *a, uint32_t op, const AsmMem *m)
{
    if (!asm_room(a))
        return false;
    a->bad |= (op & OP_MEM && m->kind == ASM_MEM_REG) || (has_index(m) && m->index == A_RSP && !(op & OP_VSIB)) ||
              (op & OP_VSIB && !has_index(m));
    if (m->segment)
        put8(a, m->segment);
    if (m->addr32)
        put8(a, 0x67);
    return true;
}

/* SPL, BPL, SIL and DIL exist only with a REX prefix (SDM vol. 2, table 3-1). */
static bool needs_rex(uint32_t op, unsigned reg, const AsmMem *m)
{
    return (op & OP_R8 && reg >= A_RSP) || (op & OP_M8 && m->kind == ASM_MEM_REG && m->base >= A_RSP);
}

static void put_escape(Asm *a, unsigned map)
{
    if (!map)
        return;
    put8(a, 0x0f);
    if (map > 1)
        put8(a, map == 2 ? 0x38 : 0x3a);
}

bool put_op(Asm *a, uint32_t op, unsigned reg, const AsmMem *rm, unsigned tail)
{
    static const uint8_t prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned rex = (op & OP_W ? 8 : 0) | (reg >> 1 & 4) | rex_xb(rm);
    unsigned prefix = op >> OP_PREFIX_SHIFT & 3;

    if (!put_prefixes(a, op, rm))
        return false;
    if (op & OP_O16)
        put8(a, 0x66);
    if (prefix)
        put8(a, prefixes[prefix]);
    if (rex || needs_rex(op, reg, rm))
        put8(a, 0x40 | rex);
    put_escape(a, op >> OP_MAP_SHIFT & 3);
    put8(a, op);
    put_modrm(a, reg, rm, tail);
    return true;
}

bool put_short(Asm *a, uint32_t op, AsmReg reg)
{
    unsigned rex = (op & OP_W ? 8 : 0) | reg >> 3;

    if (!asm_room(a))
        return false;
    if (op & OP_O16)
        put8(a, 0x66);
    if (rex || (op & OP_R8 && reg >= A_RSP))
        put8(a, 0x40 | rex);
    put_escape(a, op >> OP_MAP_SHIFT & 3);
    put8(a, op | (reg & 7));
    return true;
}

/* Two bytes where X, B and W are 0 and the map is 0F (SDM vol. 2, 2.3.5); fields R, X, B and vvvv are inverted. */
bool put_vex(Asm *a, uint32_t op, unsigned l, unsigned reg, unsigned v, const AsmMem *rm, unsigned tail)
{
    unsigned xb = rex_xb(rm), map = op >> OP_MAP_SHIFT & 3;
    unsigned low = (~v & 15) << 3 | l << 2 | (op >> OP_PREFIX_SHIFT & 3), no_r = ~reg << 4 & 0x80;

    if (!put_prefixes(a, op, rm))
        return false;
    if (!xb && !(op & OP_W) && map == 1) {
        put8(a, 0xc5);
        put8(a, no_r | low);
    } else {
        put8(a, 0xc4);
        put8(a, no_r | (~xb & 3) << 5 | map);
        put8(a, (op & OP_W ? 0x80 : 0) | low);
    }
    put8(a, op);
    put_modrm(a, reg, rm, tail);
    return true;
}
