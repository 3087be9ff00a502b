/*
 * The decoder: from instruction bytes to an Insn, by patterns that are parsed once from the table's encoding and
 * operand strings (notation: insn.h).  SDM vol. 2A chapter 2 for prefixes, ModRM and SIB.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/fault.h"
#include "cpu/features.h"
#include "cpu/insn.h"
#include "util/bits.h"
#include "util/endian.h"

enum { PREFIX_ANY, PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 };
enum { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_COUNT };
enum { MOD_ANY, MOD_REG, MOD_MEM };
enum { IMM_NONE, IMM_B, IMM_J, IMM_W, IMM_Z, IMM_V, IMM_P, IMM_O };

/* One way to recognise a row, and how to read the operands. */
typedef struct Pattern {
    uint16_t row;
    uint8_t opcode, opcodes;       /* first opcode byte, and how many from there on (1 or 8) */
    uint8_t map, prefix, mod;
    uint8_t modrm_mask, modrm_value; /* bits of ModRM that must match */
    uint8_t size_mask;             /* bit SZ*: operand sizes that match */
    int8_t w;                      /* REX.W must be this; -1: any */
    bool no64, only64, no_rex_b;
    bool any_mod;                  /* ModRM.mod is ignored: a register even where it says memory */
    bool modrm;                    /* a ModRM byte follows */
    bool byte_reg, byte_rm;        /* these register numbers mean byte registers */
    bool y_size;                   /* operand size is 32 or 64 bits */
    bool opcode_reg;               /* +r */
    uint8_t imm, imm2;             /* IMM_* */
    uint8_t score;                 /* exactness */
} Pattern;

struct InsnDecoder {
    Pattern *patterns;                       /* ordered by map, opcode, falling score */
    uint16_t first[MAP_COUNT][256];
    uint8_t count[MAP_COUNT][256];
    uint16_t *order;                         /* pattern numbers; first/count index this */
};

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

static bool parse_hex(const char *word, unsigned *value)
{
    char *end;
    if (!g_ascii_isxdigit(word[0]) || !g_ascii_isxdigit(word[1]))
        return false;
    char digits[3] = { word[0], word[1], 0 };
    *value = strtoul(digits, &end, 16);
    return true;
}

/* A keyword of an encoding string; false when it is none. */
static bool parse_keyword(Pattern *p, const char *w)
{
    static const struct { const char *word; size_t offset; uint8_t value; } words[] = {
        { "NP", offsetof(Pattern, prefix), PREFIX_NONE }, { "66", offsetof(Pattern, prefix), PREFIX_66 },
        { "F3", offsetof(Pattern, prefix), PREFIX_F3 },   { "F2", offsetof(Pattern, prefix), PREFIX_F2 },
        { "0F38", offsetof(Pattern, map), MAP_0F38 },     { "0F3A", offsetof(Pattern, map), MAP_0F3A },
        { "rm", offsetof(Pattern, mod), MOD_REG },        { "m", offsetof(Pattern, mod), MOD_MEM },
        { "W0", offsetof(Pattern, w), 0 },                { "W1", offsetof(Pattern, w), 1 },
        { "no64", offsetof(Pattern, no64), 1 },           { "only64", offsetof(Pattern, only64), 1 },
        { "anymod", offsetof(Pattern, any_mod), 1 },      { "noB", offsetof(Pattern, no_rex_b), 1 },
        { "/r", offsetof(Pattern, modrm), 1 },
        { "o16", offsetof(Pattern, size_mask), 1 },       { "o32", offsetof(Pattern, size_mask), 2 },
        { "o64", offsetof(Pattern, size_mask), 4 },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(words); k++)
        if (!strcmp(w, words[k].word)) {
            ((uint8_t *)p)[words[k].offset] = words[k].value;
            return true;
        }
    return false;
}

static void parse_word(Pattern *p, const char *w, bool *have_opcode)
{
    unsigned value;
    bool may_be_opcode = p->map != MAP_ONE || *have_opcode; /* then 66, F3, F2 and 0F are bytes like any other */
    if (w[0] == '/' && w[1] >= '0' && w[1] <= '7') {
        p->modrm = true;
        p->modrm_mask |= 0x38;
        p->modrm_value |= (w[1] - '0') << 3;
    } else if (!strcmp(w, "0F") && !may_be_opcode) {
        p->map = MAP_0F;
    } else if (!(may_be_opcode && parse_hex(w, &value) && !w[2]) && parse_keyword(p, w)) {
        return;
    } else if (parse_hex(w, &value) && !*have_opcode) {
        *have_opcode = true;
        p->opcode = value;
        p->opcode_reg = !strcmp(w + 2, "+r");
        p->opcodes = p->opcode_reg ? 8 : 1;
    } else if (parse_hex(w, &value)) {
        p->modrm = true;
        p->modrm_mask = !strcmp(w + 2, "+i") ? 0xf8 : 0xff;
        p->modrm_value = value;
    } else {
        g_error("instruction table: row %s: bad word '%s' in its encoding", insn_rows[p->row].id, w);
    }
}

static void parse_encoding(Pattern *p, const char *encoding)
{
    bool have_opcode = false;
    char word[8];
    p->w = -1;
    p->size_mask = 7;
    for (const char *w = encoding; *w; w += strspn(w, " ")) {
        size_t length = strcspn(w, " ");
        g_assert(length < sizeof word);
        memcpy(word, w, length);
        word[length] = 0;
        parse_word(p, word, &have_opcode);
        w += length;
    }
}

static void parse_immediate(Pattern *p, const char *operand)
{
    uint8_t kind = IMM_NONE;
    if (operand[0] == 'O')
        kind = IMM_O;
    else if (operand[0] == 'A')
        kind = IMM_P;
    else if (operand[0] == 'I' || operand[0] == 'J')
        kind = operand[1] == 'b' ? (operand[0] == 'J' ? IMM_J : IMM_B) : operand[1] == 'w' ? IMM_W : operand[1] == 'v' ? IMM_V : IMM_Z;
    if (kind == IMM_NONE)
        return;
    if (p->imm == IMM_NONE)
        p->imm = kind;
    else
        p->imm2 = kind;
}

static void parse_operands(Pattern *p, const char *operands)
{
    for (const char *o = operands; *o; o += strcspn(o, ","), o += *o == ',') {
        char letter = o[0], type = o[1];
        if (g_ascii_islower(letter) || g_ascii_isdigit(letter) || letter == ',')
            continue;
        bool byte = type == 'b';
        if (strchr("EMRGSCDPQNVWU", letter))
            p->modrm = true;
        if (strchr("RNU", letter))
            p->mod = MOD_REG;
        if (letter == 'M')
            p->mod = MOD_MEM;
        if (strchr("ER", letter))
            p->byte_rm = byte;
        if (strchr("GZ", letter))
            p->byte_reg = byte;
        if (strchr("EMRGIZ", letter) && type == 'y')
            p->y_size = true;
        parse_immediate(p, o);
    }
}

static uint8_t pattern_score(const Pattern *p)
{
    return __builtin_popcount(p->modrm_mask) * 8 + (p->prefix != PREFIX_ANY) * 4 + (p->mod != MOD_ANY) * 2 +
           (p->w >= 0) + (p->size_mask != 7) + (p->no64 || p->only64) + p->no_rex_b * 2 + (p->opcodes == 1);
}

static void pattern_parse(Pattern *p, unsigned row)
{
    *p = (Pattern){ .row = row };
    parse_encoding(p, insn_rows[row].encoding);
    parse_operands(p, insn_rows[row].operands);
    p->score = pattern_score(p);
}

static bool row_available(const InsnRow *row, const uint64_t *features)
{
    return row->feature == FEAT_BASE || (features[row->feature / 64] >> (row->feature % 64) & 1);
}

/* Puts pattern k into an opcode's list: by falling score, and among equals, as patterns come in the order of rows. */
static void list_insert(const InsnDecoder *d, uint16_t *list, unsigned count, unsigned k)
{
    for (; count && d->patterns[list[count - 1]].score < d->patterns[k].score; count--)
        list[count] = list[count - 1];
    list[count] = k;
}

/* The lists of all opcodes, one behind the other in `order`. */
static void patterns_order(InsnDecoder *d, unsigned n)
{
    unsigned total = 0;
    for (unsigned k = 0; k < n; k++)
        for (unsigned op = 0; op < d->patterns[k].opcodes; op++, total++)
            d->count[d->patterns[k].map][d->patterns[k].opcode + op]++;
    d->order = g_new(uint16_t, total);
    total = 0;
    for (unsigned map = 0; map < MAP_COUNT; map++)
        for (unsigned op = 0; op < 256; op++) {
            d->first[map][op] = total;
            total += d->count[map][op];
            d->count[map][op] = 0;
        }
    for (unsigned k = 0; k < n; k++)
        for (unsigned op = 0; op < d->patterns[k].opcodes; op++) {
            const Pattern *p = &d->patterns[k];
            list_insert(d, d->order + d->first[p->map][p->opcode + op], d->count[p->map][p->opcode + op]++, k);
        }
}

InsnDecoder *insn_decoder_new(const uint64_t *features)
{
    InsnDecoder *d = g_new0(InsnDecoder, 1);
    unsigned n = 0;
    d->patterns = g_new(Pattern, insn_row_count);
    for (unsigned row = 0; row < insn_row_count; row++)
        if (row_available(&insn_rows[row], features))
            pattern_parse(&d->patterns[n++], row);
    patterns_order(d, n);
    return d;
}

void insn_decoder_free(InsnDecoder *d)
{
    if (!d)
        return;
    g_free(d->patterns);
    g_free(d->order);
    g_free(d);
}

/* The bytes of one instruction while they are read. */
typedef struct Reader {
    const uint8_t *bytes;
    unsigned size, pos;
    uint8_t rex, rep, map, opcode, modrm;
    bool op66, addr67, lock, code64, has_modrm;
    int8_t segment;  /* override, or -1 */
    uint8_t code_size;
} Reader;

/* All a decoder may look at: 15 bytes (SDM vol. 2A 2.3.11), or as many as there are. */
#define INSN_MAX 15

static bool read_prefixes(Reader *r)
{
    for (; r->pos < r->size; r->pos++) {
        uint8_t b = r->bytes[r->pos];
        if (r->code64 && (b & 0xf0) == 0x40) {
            r->rex = b;
            continue;
        }
        switch (b) {
        case 0x26: r->segment = 0; break;
        case 0x2e: r->segment = 1; break;
        case 0x36: r->segment = 2; break;
        case 0x3e: r->segment = 3; break;
        case 0x64: r->segment = 4; break;
        case 0x65: r->segment = 5; break;
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

static bool read_opcode(Reader *r)
{
    r->opcode = r->bytes[r->pos++];
    if (r->opcode != 0x0f)
        return true;
    r->map = MAP_0F;
    if (r->pos >= r->size)
        return false;
    r->opcode = r->bytes[r->pos++];
    if (r->opcode != 0x38 && r->opcode != 0x3a)
        return true;
    r->map = r->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
    if (r->pos >= r->size)
        return false;
    r->opcode = r->bytes[r->pos++];
    return true;
}

static unsigned operand_size(const Reader *r, const Pattern *p, uint32_t attr)
{
    bool w = r->rex & 8;
    if (p->y_size)
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

static bool pattern_matches(const Reader *r, const Pattern *p)
{
    if (!prefix_matches(r, p) || (p->no64 && r->code64) || (p->only64 && !r->code64))
        return false;
    if (p->w >= 0 && p->w != (r->rex >> 3 & 1))
        return false;
    if (p->no_rex_b && (r->rex & 1))
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
    const uint16_t *list = d->order + d->first[r->map][r->opcode];
    for (unsigned k = 0; k < d->count[r->map][r->opcode]; k++)
        if (pattern_matches(r, &d->patterns[list[k]]))
            return &d->patterns[list[k]];
    return NULL;
}

/* Whether any pattern of the opcode has a ModRM byte (they agree, but for a few one-byte opcodes without). */
static bool opcode_has_modrm(const InsnDecoder *d, const Reader *r)
{
    const uint16_t *list = d->order + d->first[r->map][r->opcode];
    for (unsigned k = 0; k < d->count[r->map][r->opcode]; k++)
        if (d->patterns[list[k]].modrm)
            return true;
    return false;
}

/* 16-bit addressing: SDM vol. 2A table 2-1. */
static bool read_ea16(Reader *r, Insn *i)
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
        i->disp = bytes == 1 ? (int8_t)r->bytes[r->pos] : (int16_t)ld16le(r->bytes + r->pos);
    r->pos += bytes;
    return true;
}

static bool read_sib(Reader *r, Insn *i, unsigned mod, unsigned *bytes)
{
    if (r->pos >= r->size)
        return false;
    uint8_t sib = r->bytes[r->pos++];
    i->scale = sib >> 6;
    i->index = (sib >> 3 & 7) | (r->rex & 2) << 2;
    if (i->index == 4)
        i->index = R_NONE;
    i->base = (sib & 7) | (r->rex & 1) << 3;
    if ((sib & 7) == 5 && mod == 0) {
        i->base = R_NONE;
        *bytes = 4;
    }
    return true;
}

/* 32- and 64-bit addressing: SDM vol. 2A tables 2-2 and 2-3, section 2.2.1.6 for RIP-relative. */
static bool read_ea32(Reader *r, Insn *i)
{
    unsigned mod = r->modrm >> 6, rm = r->modrm & 7;
    unsigned bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    i->base = rm | (r->rex & 1) << 3;
    i->index = R_NONE;
    if (rm == 4) {
        if (!read_sib(r, i, mod, &bytes))
            return false;
    } else if (rm == 5 && mod == 0) {
        i->base = r->code64 ? R_IP : R_NONE;
        bytes = 4;
    }
    i->seg = i->base == 4 || i->base == 5 ? 2 : 3;
    if (r->pos + bytes > r->size)
        return false;
    if (bytes)
        i->disp = bytes == 1 ? (int8_t)r->bytes[r->pos] : (int32_t)ld32le(r->bytes + r->pos);
    r->pos += bytes;
    return true;
}

static unsigned byte_register(const Reader *r, unsigned n)
{
    return !r->rex && n >= 4 && n < 8 ? n | 16 : n;
}

static bool read_modrm(Reader *r, const Pattern *p, Insn *i)
{
    unsigned reg = (r->modrm >> 3 & 7) | (r->rex & 4) << 1;
    r->pos++;
    i->reg = p->byte_reg ? byte_register(r, reg) : reg;
    i->mem = r->modrm < 0xc0 && !p->any_mod;
    if (i->mem)
        return i->asz == SZ16 ? read_ea16(r, i) : read_ea32(r, i);
    unsigned rm = (r->modrm & 7) | (r->rex & 1) << 3;
    i->rm = p->byte_rm ? byte_register(r, rm) : rm;
    return true;
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

static InsnFn *choose_function(const InsnRow *row, const Reader *r, unsigned key, const Insn *i)
{
    uint32_t attr = row->attr;
    if (r->lock && !((attr & A_LOCK) && i->mem))
        return insn_undefined;
    if ((attr & A_PROT) && (key & KEY_REAL))
        return insn_undefined;
    if ((attr & (A_MMX | A_SSE)) && (key & KEY_SIMD_UD))
        return insn_undefined;
    if ((attr & A_SSE) && (key & KEY_SSE_UD))
        return insn_undefined;
    if (((attr & A_X87) && (key & KEY_X87_NM)) || ((attr & A_WAIT) && (key & KEY_WAIT_NM)) ||
        ((attr & (A_MMX | A_SSE)) && (key & KEY_SIMD_NM)))
        return insn_no_device;
    return i->mem ? row->sem->mem[i->osz] : row->sem->reg[i->osz];
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

static unsigned address_size(const Reader *r)
{
    if (r->code64)
        return r->addr67 ? SZ32 : SZ64;
    return (r->code_size == SZ32) != r->addr67 ? SZ32 : SZ16;
}

int insn_decode(const InsnDecoder *d, unsigned key, const uint8_t *bytes, size_t size, Insn *i)
{
    Reader r = { .bytes = bytes, .size = MIN(size, INSN_MAX), .segment = -1, .code_size = key & KEY_SIZE,
                 .code64 = (key & KEY_SIZE) == SZ64 };
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
    if (p->opcode_reg) {
        unsigned n = (r.opcode & 7) | (r.rex & 1) << 3;
        i->reg = p->byte_reg ? byte_register(&r, n) : n;
    }
    if ((p->modrm && !read_modrm(&r, p, i)) || !read_immediate(&r, p->imm, row->attr, i) ||
        (p->imm2 && !read_second_immediate(&r, i)))
        return out_of_bytes(size);
    apply_segment(&r, i);
    i->len = r.pos;
    finish_rip_relative(i);
    i->fn = choose_function(row, &r, key, i);
    return i->len;
}
