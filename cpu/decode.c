/*
 * The decoder: from instruction bytes to an Insn, by patterns (decode.h) that are parsed once from the table.
 * SDM vol. 2A chapter 2: prefixes, ModRM and SIB 2.1 and 2.2, VEX 2.3, EVEX 2.7; XOP: AMD APM vol. 3 1.2.5.
 */
#include <glib.h>

#include "cpu/decode.h"
#include "cpu/fault.h"
#include "util/bits.h"
#include "util/endian.h"

void insn_undefined(Cpu *cpu, const Insn *i);
void insn_undefined(Cpu *cpu, const Insn *i)
{
    (void)i;
    cpu_raise_ud(cpu);
}

static void insn_no_device(Cpu *cpu, const Insn *i)
{
    (void)i;
    cpu_raise(cpu, EXC_NM);
}

/* The bytes of one instruction while they are read. */
typedef struct Reader {
    const uint8_t *bytes;
    unsigned size, pos;
    uint8_t rex, rep, map, opcode, modrm; /* rex: 4WRXB, of whatever prefix the bits came */
    bool op66, addr67, lock, code64, real, has_modrm;
    bool only_8086, until_286, has_3dnow; /* of the decoder */
    int8_t segment;  /* override, or -1 */
    uint8_t code_size;
    uint8_t encoding; /* ENC_* */
    uint8_t vvvv, length; /* VEX.vvvv with EVEX.V' as bit 4; L, L'L */
    uint8_t reg_high, rm_high; /* 16: EVEX.R' is set; 16: EVEX.X is set */
    uint8_t mask;    /* EVEX.aaa */
    bool zero, b;    /* EVEX.z, EVEX.b */
} Reader;

/* All a decoder may look at: 15 bytes (SDM vol. 2A 2.3.11), or as many as there are. */
#define INSN_MAX 15

/* The last one counts; in 64-bit mode those of ES, CS, SS and DS do not, even behind another (SDM vol. 1 3.3.4). */
static void read_override(Reader *r, int8_t segment)
{
    if (!r->code64 || segment >= 4 || r->segment < 4)
        r->segment = segment;
}

static bool read_prefixes(Reader *r)
{
    for (; r->pos < r->size; r->pos++) {
        uint8_t b = r->bytes[r->pos];
        if (r->code64 && (b & 0xf0) == 0x40) {
            r->rex = b;
            continue;
        }
        if (r->until_286 && b >= 0x64 && b <= 0x67)
            return true;
        switch (b) {
        case 0x26: read_override(r, 0); break;
        case 0x2e: read_override(r, 1); break;
        case 0x36: read_override(r, 2); break;
        case 0x3e: read_override(r, 3); break;
        case 0x64: read_override(r, 4); break;
        case 0x65: read_override(r, 5); break;
        case 0x66: r->op66 = true; break;
        case 0x67: r->addr67 = true; break;
        case 0xf0: r->lock = true; break;
        case 0xf2: r->rep = REP_F2; break;
        case 0xf3: r->rep = REP_F3; break;
        default: return true;
        }
        r->rex = 0; /* a REX prefix counts only just before the opcode */
    }
    return false;
}

/* ---- VEX, EVEX and XOP prefixes ---- */

/* The byte that stands at pos, or 0 behind the end. */
static uint8_t peek(const Reader *r, unsigned pos) { return pos < r->size ? r->bytes[pos] : 0; }

/*
 * C4, C5 and 62 are LES, LDS and BOUND outside 64-bit mode when a memory operand follows, and 8F is POP when its ModRM.reg
 * is 0; in real and virtual-8086 mode they always are.
 */
static unsigned vector_encoding(const Reader *r)
{
    uint8_t b = r->bytes[r->pos], next = peek(r, r->pos + 1);
    if (r->real)
        return ENC_LEGACY;
    if (b == 0x8f)
        return (next & 0x1f) >= 8 ? ENC_XOP : ENC_LEGACY;
    if (!r->code64 && next < 0xc0)
        return ENC_LEGACY;
    return b == 0x62 ? ENC_EVEX : ENC_VEX;
}

/* The lowest two bits stand for a prefix. */
static void set_implied_prefix(Reader *r, unsigned pp)
{
    r->op66 = pp == 1;
    r->rep = pp == 2 ? REP_F3 : pp == 3 ? REP_F2 : REP_NONE;
}

/*
 * Outside 64-bit mode there are eight registers, whatever the bits say; but the four bits of vvvv must be as they have to
 * be where it names none.
 */
static void set_register_bits(Reader *r, bool w, unsigned rxb)
{
    r->rex = 0x40 | w << 3 | (r->code64 ? rxb : 0);
    if (!r->code64)
        r->vvvv &= 15;
}
static unsigned vvvv_register(const Reader *r) { return r->code64 ? r->vvvv : r->vvvv & 7; }

/* W vvvv L pp, the last byte of VEX, or RXB mmmmm W vvvv L pp. */
static void set_vex(Reader *r, unsigned rxb, bool w, uint8_t last)
{
    r->vvvv = ~last >> 3 & 15;
    r->length = last >> 2 & 1;
    set_implied_prefix(r, last & 3);
    set_register_bits(r, w, rxb);
}

static void read_vex(Reader *r)
{
    const uint8_t *p = r->bytes + r->pos;
    if (p[0] == 0xc5) {
        set_vex(r, ~p[1] >> 5 & 4, false, p[1]);
        r->map = MAP_VEX_0F;
        r->pos += 2;
        return;
    }
    unsigned map = p[1] & 0x1f;
    set_vex(r, ~p[1] >> 5 & 7, p[2] >> 7, p[2]);
    if (r->encoding == ENC_XOP)
        r->map = map <= 10 ? MAP_XOP_8 + map - 8 : MAP_COUNT;
    else
        r->map = map >= 1 && map <= 3 ? MAP_VEX_0F + map - 1 : MAP_COUNT;
    r->pos += 3;
}

static void read_evex(Reader *r)
{
    static const uint8_t maps[8] = { MAP_COUNT,  MAP_EVEX_0F, MAP_EVEX_0F38, MAP_EVEX_0F3A,
                                     MAP_COUNT, MAP_EVEX_5,  MAP_EVEX_6,    MAP_COUNT };
    const uint8_t *p = r->bytes + r->pos;
    bool fixed = !(p[1] & 8) && (p[2] & 4);
    r->map = fixed ? maps[p[1] & 7] : MAP_COUNT;
    r->vvvv = (~p[2] >> 3 & 15) | (~p[3] & 8) << 1;
    r->length = p[3] >> 5 & 3;
    r->zero = p[3] >> 7;
    r->b = p[3] >> 4 & 1;
    r->mask = p[3] & 7;
    r->reg_high = r->code64 ? ~p[1] & 16 : 0;
    r->rm_high = r->code64 ? ~p[1] >> 2 & 16 : 0;
    set_implied_prefix(r, p[2] & 3);
    set_register_bits(r, p[2] >> 7, ~p[1] >> 5 & 7);
    r->pos += 4;
}

/* 66, F2, F3, LOCK or REX before such a prefix is #UD: no opcode map has that. */
static bool read_vector_opcode(Reader *r)
{
    bool bad = r->op66 || r->rep || r->lock || r->rex;
    unsigned length = r->bytes[r->pos] == 0xc5 ? 2 : r->encoding == ENC_EVEX ? 4 : 3;
    if (r->pos + length >= r->size)
        return false;
    if (r->encoding == ENC_EVEX)
        read_evex(r);
    else
        read_vex(r);
    if (bad)
        r->map = MAP_COUNT;
    r->opcode = r->bytes[r->pos++];
    return true;
}

static unsigned address_size(const Reader *r)
{
    if (r->code64)
        return r->addr67 ? SZ32 : SZ64;
    return (r->code_size == SZ32) != r->addr67 ? SZ32 : SZ16;
}

/* ModRM with what belongs to it. */
static unsigned operand_length(const Reader *r)
{
    unsigned mod = peek(r, r->pos) >> 6, base = peek(r, r->pos) & 7;
    if (mod == 3)
        return 1;
    if (address_size(r) == SZ16)
        return mod == 1 ? 2 : mod == 2 || base == 6 ? 3 : 1;
    bool sib = base == 4;
    if (sib)
        base = peek(r, r->pos + 1) & 7;
    return 1 + sib + (mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0);
}

/* 3DNow!: the opcode follows the operands (AMD APM vol. 3 A.1.2). */
static bool read_suffix_opcode(Reader *r)
{
    unsigned at = r->pos + operand_length(r);
    r->map = MAP_3DNOW;
    if (at >= r->size)
        return false;
    r->opcode = r->bytes[at];
    return true;
}

static bool read_opcode(Reader *r)
{
    uint8_t b = r->bytes[r->pos];
    if (unlikely(b == 0x62 || b == 0x8f || b >> 1 == 0x62)) {
        if (r->pos + 1 >= r->size)
            return false; /* what it is, the next byte tells */
        r->encoding = vector_encoding(r);
        if (r->encoding != ENC_LEGACY)
            return read_vector_opcode(r);
    }
    r->opcode = r->bytes[r->pos++];
    if (r->opcode != 0x0f || r->only_8086)
        return true;
    r->map = MAP_0F;
    if (r->pos >= r->size)
        return false;
    r->opcode = r->bytes[r->pos++];
    if (r->opcode == 0x0f && r->has_3dnow)
        return read_suffix_opcode(r);
    if (r->opcode != 0x38 && r->opcode != 0x3a)
        return true;
    r->map = r->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
    if (r->pos >= r->size)
        return false;
    r->opcode = r->bytes[r->pos++];
    return true;
}

/* ---- which row ---- */

static unsigned operand_size(const Reader *r, const Pattern *p, uint32_t attr)
{
    bool w = r->code64 && r->rex & 8;
    if (p->y_size || r->encoding != ENC_LEGACY)
        return w ? SZ64 : SZ32;
    if (!r->code64)
        return (r->code_size == SZ32) != r->op66 ? SZ32 : SZ16;
    if (attr & A_F64)
        return SZ64;
    if (attr & A_D64)
        return w || !r->op66 ? SZ64 : SZ16;
    return w ? SZ64 : r->op66 ? SZ16 : SZ32;
}

static bool prefix_matches(const Reader *r, const Pattern *p)
{
    switch (p->prefix) {
    case PREFIX_NONE: return !r->op66 && r->rep == REP_NONE;
    case PREFIX_66: return r->op66 && r->rep == REP_NONE;
    case PREFIX_F3: return r->rep == REP_F3;
    case PREFIX_F2: return r->rep == REP_F2;
    default: return true;
    }
}

/* Vector length as SZ* counts it: EVEX.b between registers means rounding control, and 512 bits (SDM vol. 2A 2.7.7). */
static unsigned vector_length(const Reader *r, const Pattern *p)
{
    if (p->any_length)
        return 0;
    return r->encoding == ENC_EVEX && r->b && r->modrm >= 0xc0 && p->rounding ? 2 : r->length;
}

/* Register fields that the row does not use, or that name an opmask, must say so (SDM vol. 2A 2.3.6, 2.7.2). */
static bool register_fields_match(const Reader *r, const Pattern *p)
{
    if (!p->vvvv && (p->vsib ? r->vvvv & 15 : r->vvvv))
        return false;
    if (p->vvvv && (p->vvvv_general || p->opmasks & OPMASK_VVVV) && vvvv_register(r) >> (p->vvvv_general ? 4 : 3))
        return false;
    if ((p->opmasks & OPMASK_REG) && ((r->rex & 4) || r->reg_high))
        return false;
    return !(p->reg_general && r->reg_high);
}

static bool mask_matches(const Reader *r, const Pattern *p)
{
    static const bool zero_allowed[] = { [MASK_STORE] = true, [MASK_ANY] = true, [MASK_NEEDED] = false };
    if (!r->mask)
        return !r->zero && p->masking != MASK_NEEDED;
    if (!p->masking)
        return false;
    return !r->zero || (zero_allowed[p->masking] && !(p->masking == MASK_STORE && r->modrm < 0xc0));
}

static bool evex_matches(const Reader *r, const Pattern *p)
{
    if (!mask_matches(r, p))
        return false;
    return !r->b || (r->modrm >= 0xc0 ? p->rounding : p->broadcast);
}

static bool vector_matches(const Reader *r, const Pattern *p)
{
    if (!p->any_length && !(p->length_mask >> vector_length(r, p) & 1))
        return false;
    if (p->any_length && r->length == 3 && !(r->b && r->modrm >= 0xc0))
        return false;
    if (p->vsib && ((r->modrm & 7) != 4 || address_size(r) == SZ16))
        return false;
    return register_fields_match(r, p) && (r->encoding != ENC_EVEX || evex_matches(r, p));
}

static bool pattern_matches(const Reader *r, const Pattern *p)
{
    if (!prefix_matches(r, p) || (p->no64 && r->code64) || (p->only64 && !r->code64))
        return false;
    if (p->w >= 0 && p->w != (r->rex >> 3 & 1))
        return false;
    if (p->no_rex_b && (r->rex & 1))
        return false;
    if (r->encoding != ENC_LEGACY && !vector_matches(r, p))
        return false;
    if (p->size_mask != 7 && !(p->size_mask >> operand_size(r, p, insn_rows[p->row].attr) & 1))
        return false;
    if (!p->modrm)
        return true;
    if (!r->has_modrm || (r->modrm & p->modrm_mask) != p->modrm_value)
        return false;
    return p->mod == MOD_ANY || p->any_mod || (r->modrm >= 0xc0) == (p->mod == MOD_REG);
}

static const Pattern *find_pattern(const InsnDecoder *d, const Reader *r)
{
    if (r->map == MAP_COUNT)
        return NULL;
    const uint16_t *list = d->order + d->first[r->map][r->opcode];
    for (unsigned k = 0; k < d->count[r->map][r->opcode]; k++)
        if (pattern_matches(r, &d->patterns[list[k]]))
            return &d->patterns[list[k]];
    return NULL;
}

/* Whether any pattern of the opcode has a ModRM byte (they agree, but for a few one-byte opcodes without). */
static bool opcode_has_modrm(const InsnDecoder *d, const Reader *r)
{
    if (r->map == MAP_COUNT)
        return false;
    const uint16_t *list = d->order + d->first[r->map][r->opcode];
    for (unsigned k = 0; k < d->count[r->map][r->opcode]; k++)
        if (d->patterns[list[k]].modrm)
            return true;
    return false;
}

/* 16-bit addressing: SDM vol. 2A table 2-1. */
static bool read_ea16(Reader *r, unsigned scale, Insn *i)
{
    static const uint8_t base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 }, index[8] = { 6, 7, 6, 7, 16, 16, 16, 16 };
    unsigned mod = r->modrm >> 6, rm = r->modrm & 7;
    unsigned bytes = mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0;
    i->base = base[rm];
    i->index = index[rm];
    i->seg = i->base == 5 ? 2 : 3;
    if (mod == 0 && rm == 6) {
        i->base = R_NONE;
        i->seg = 3;
    } else if (mod == 0) {
        bytes = 0;
    }
    if (r->pos + bytes > r->size)
        return false;
    if (bytes)
        i->disp = bytes == 1 ? (int8_t)r->bytes[r->pos] * (int)scale : (int16_t)ld16le(r->bytes + r->pos);
    r->pos += bytes;
    return true;
}

static bool read_sib(Reader *r, const Pattern *p, Insn *i, unsigned mod, unsigned *bytes)
{
    if (r->pos >= r->size)
        return false;
    uint8_t sib = r->bytes[r->pos++];
    i->scale = sib >> 6;
    i->index = (sib >> 3 & 7) | (r->rex & 2) << 2;
    if (p->vsib)
        i->index |= r->vvvv & 16;
    else if (i->index == 4)
        i->index = R_NONE;
    i->base = (sib & 7) | (r->rex & 1) << 3;
    if ((sib & 7) == 5 && mod == 0) {
        i->base = R_NONE;
        *bytes = 4;
    }
    return true;
}

/* 32- and 64-bit addressing: SDM vol. 2A tables 2-2 and 2-3, section 2.2.1.6 for RIP-relative. */
static bool read_ea32(Reader *r, const Pattern *p, unsigned scale, Insn *i)
{
    unsigned mod = r->modrm >> 6, rm = r->modrm & 7;
    unsigned bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    i->base = rm | (r->rex & 1) << 3;
    i->index = R_NONE;
    if (rm == 4) {
        if (!read_sib(r, p, i, mod, &bytes))
            return false;
    } else if (rm == 5 && mod == 0) {
        i->base = r->code64 ? R_IP : R_NONE;
        bytes = 4;
    }
    i->seg = i->base == 4 || i->base == 5 ? 2 : 3;
    if (r->pos + bytes > r->size)
        return false;
    if (bytes)
        i->disp = bytes == 1 ? (int8_t)r->bytes[r->pos] * (int)scale : (int32_t)ld32le(r->bytes + r->pos);
    r->pos += bytes;
    return true;
}

static unsigned byte_register(const Reader *r, unsigned n)
{
    return !r->rex && n >= 4 && n < 8 ? n | 16 : n;
}

static unsigned rm_register(const Reader *r, const Pattern *p)
{
    unsigned rm = (r->modrm & 7) | (r->rex & 1) << 3;
    if (p->byte_rm)
        return byte_register(r, rm);
    if (p->opmasks & OPMASK_RM)
        return rm & 7;
    return p->rm_general ? rm : rm | r->rm_high;
}

static bool read_modrm(Reader *r, const Pattern *p, Insn *i)
{
    unsigned reg = (r->modrm >> 3 & 7) | (r->rex & 4) << 1;
    r->pos++;
    i->reg = p->byte_reg ? byte_register(r, reg) : reg | r->reg_high;
    i->mem = r->modrm < 0xc0 && !p->any_mod;
    if (i->mem) {
        unsigned scale = r->encoding == ENC_EVEX ? pattern_memory_bytes(p, vector_length(r, p), r->b) : 1;
        return i->asz == SZ16 ? read_ea16(r, scale, i) : read_ea32(r, p, scale, i);
    }
    i->rm = rm_register(r, p);
    return true;
}

/* What VEX and EVEX add. */
static void set_vector_fields(const Reader *r, const Pattern *p, Insn *i)
{
    i->rep = REP_NONE;
    i->vreg = vvvv_register(r);
    i->vl = vector_length(r, p);
    i->mask = r->mask;
    i->zero = r->zero;
    i->broadcast = r->b && r->modrm < 0xc0;
    if (r->b && r->modrm >= 0xc0 && p->rounding != ROUND_IGNORED)
        i->rounding = p->rounding == ROUND_ER ? ROUNDING_STATIC | r->length : ROUNDING_SAE;
}

static unsigned immediate_bytes(unsigned kind, const Insn *i)
{
    switch (kind) {
    case IMM_NONE: return 0;
    case IMM_B:
    case IMM_J: return 1;
    case IMM_W: return 2;
    case IMM_Z: return i->osz == SZ16 ? 2 : 4;
    case IMM_V: return 2 << i->osz;
    case IMM_O: return 2 << i->asz;
    default: return (2 << i->osz) + 2;
    }
}

static bool read_immediate(Reader *r, unsigned kind, uint32_t attr, Insn *i)
{
    unsigned bytes = immediate_bytes(kind, i);
    const uint8_t *p = r->bytes + r->pos;
    if (r->pos + bytes > r->size)
        return false;
    r->pos += bytes;
    switch (kind) {
    case IMM_B: i->imm = attr & A_SX ? (int8_t)p[0] : p[0]; break;
    case IMM_J: i->imm = (int8_t)p[0]; break;
    case IMM_W: i->imm = ld16le(p); break;
    case IMM_Z: i->imm = bytes == 2 ? (int16_t)ld16le(p) : (int32_t)ld32le(p); break;
    case IMM_P:
        i->imm = bytes == 4 ? ld16le(p) : ld32le(p);
        i->imm2 = ld16le(p + bytes - 2);
        break;
    case IMM_V: i->imm = bytes == 8 ? (int64_t)ld64le(p) : bytes == 2 ? (int16_t)ld16le(p) : (int32_t)ld32le(p); break;
    case IMM_O: i->imm = ldle(p, bytes); break;
    }
    return true;
}

/* A second immediate follows the first: "Iw,Ib" of ENTER. */
static bool read_second_immediate(Reader *r, Insn *i)
{
    if (r->pos >= r->size)
        return false;
    i->imm2 = r->bytes[r->pos++];
    return true;
}

/* 3Eh before an indirect branch: NOTRACK (SDM vol. 1 17.3.1). */
static void note_notrack(const Reader *r, const Pattern *p, Insn *i)
{
    if (r->segment == 3 && i->jump && p->imm == IMM_NONE)
        i->imm2 = 1;
}

/* An override counts as written; in 64-bit mode only FS and GS do (SDM vol. 1 3.3.4). */
static void apply_segment(const Reader *r, Insn *i)
{
    if (r->segment >= 0 && (!r->code64 || r->segment >= 4))
        i->seg = r->segment;
}

/* RIP-relative displacements count from the next instruction; gpr[R_IP] is this one's address. */
static void finish_rip_relative(Insn *i)
{
    if (i->base != R_IP)
        return;
    if (__builtin_add_overflow(i->disp, (int32_t)i->len, &i->disp)) {
        i->disp = (int32_t)((uint32_t)i->disp - 16);
        i->index = R_SIXTEEN;
    }
}

static InsnFn *choose_function(const Pattern *p, const Reader *r, unsigned key, const Insn *i)
{
    const InsnRow *row = &insn_rows[p->row];
    uint32_t attr = row->attr;
    if (r->lock && !((attr & A_LOCK) && i->mem) && !r->until_286)
        return insn_undefined;
    if ((attr & A_PROT) && (key & KEY_REAL))
        return insn_undefined;
    if ((attr & (A_MMX | A_SSE)) && (key & KEY_SIMD_UD))
        return insn_undefined;
    if ((attr & A_SSE) && (key & KEY_SSE_UD))
        return insn_undefined;
    if (((attr & (A_AVX | A_AVX512)) && (key & KEY_AVX_UD)) || ((attr & A_AVX512) && (key & KEY_AVX512_UD)))
        return insn_undefined;
    if (((attr & A_X87) && (key & KEY_X87_NM)) || ((attr & A_WAIT) && (key & KEY_WAIT_NM)) ||
        ((attr & (A_MMX | A_SSE | A_AVX | A_AVX512)) && (key & KEY_SIMD_NM)))
        return insn_no_device;
    if ((attr & A_INTERCEPT) && (key & KEY_GUEST))
        return insn_in_guest;
    unsigned size = r->encoding == ENC_LEGACY || p->y_size ? i->osz : i->vl;
    return i->mem ? row->sem->mem[size] : row->sem->reg[size];
}

static int finish_bad(Reader *r, Insn *i)
{
    i->fn = insn_undefined;
    i->row = INSN_ROW_BAD;
    i->jump = 1;
    i->len = r->pos;
    return i->len;
}

static int out_of_bytes(size_t size)
{
    return size >= INSN_MAX ? DECODE_TOO_LONG : DECODE_MORE;
}

int insn_decode(const InsnDecoder *d, unsigned key, const uint8_t *bytes, size_t size, Insn *i)
{
    Reader r = { .bytes = bytes, .size = MIN(size, INSN_MAX), .segment = -1, .code_size = key & KEY_SIZE,
                 .code64 = (key & KEY_SIZE) == SZ64, .real = key & KEY_REAL,
                 .only_8086 = d->only_8086, .until_286 = d->until_286,
                 .has_3dnow = d->has_3dnow };
    *i = (Insn){ .base = R_NONE, .index = R_NONE, .seg = 3 };
    if (!read_prefixes(&r) || !read_opcode(&r))
        return out_of_bytes(size);
    if (opcode_has_modrm(d, &r)) {
        if (r.pos >= r.size)
            return out_of_bytes(size);
        r.modrm = bytes[r.pos];
        r.has_modrm = true;
    }
    const Pattern *p = find_pattern(d, &r);
    if (!p)
        return finish_bad(&r, i);
    const InsnRow *row = &insn_rows[p->row];
    i->row = p->row;
    i->osz = operand_size(&r, p, row->attr);
    i->asz = address_size(&r);
    i->rep = r.rep;
    i->lock = r.lock;
    i->jump = (row->attr & A_JUMP) != 0;
    if (r.encoding != ENC_LEGACY)
        set_vector_fields(&r, p, i);
    if (p->opcode_reg) {
        unsigned n = (r.opcode & 7) | (r.rex & 1) << 3;
        i->reg = p->byte_reg ? byte_register(&r, n) : n;
    }
    if ((p->modrm && !read_modrm(&r, p, i)) || !read_immediate(&r, p->imm, row->attr, i) ||
        (p->imm2 && !read_second_immediate(&r, i)))
        return out_of_bytes(size);
    if (p->is4 && !r.code64)
        i->imm &= 0x7f;
    apply_segment(&r, i);
    note_notrack(&r, p, i);
    i->len = r.pos;
    finish_rip_relative(i);
    i->fn = choose_function(p, &r, key, i);
    return i->len;
}
