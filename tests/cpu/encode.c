/* Encodings made from rows (encode.h). */
#include "tests/cpu/encode.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/state.h"
#include "util/endian.h"

const EncodeWish encode_anything = {
    .values = 0xffff, .bases = 0xffff, .indexes = 0xffff, .indexed = 15, .memory = 70,
};

enum { MAP_SUFFIX = 4 /* 3DNow!: the opcode stands behind the operands */ };

/* An encoding being built: what the row demands, then what was chosen. */
typedef struct Builder {
    Random *r;
    const EncodeWish *wish;
    unsigned size;
    uint8_t mandatory, map, opcode, modrm, modrm_mask;
    bool opcode_reg, have_opcode, has_modrm, reg_only, mem_only;
    bool reg_general, reg_byte, rm_general, rm_byte, z_byte;
    int w;
    uint8_t reg, rm, index, scale, mod, prefix; /* registers 0..15; prefix: of a segment */
    bool is_memory, is_absolute, rex_needed, rex_forbidden, rex_w;
    /* VEX, EVEX, XOP (encoding: 0 for none of them). */
    enum { LEGACY, VEX, EVEX, XOP } encoding;
    uint8_t lengths, masking, broadcast; /* lengths: bits 0..2; masking: 'm', 'z', 's', '!' */
    bool rounding, vsib, any_length, vvvv, vvvv_general, vvvv_mask, reg_mask;
    uint8_t vvvv_reg, length;
} Builder;

/* ---- what the row says ---- */

static bool is_hex_byte(const char *w) { return g_ascii_isxdigit(w[0]) && g_ascii_isxdigit(w[1]) && (!w[2] || w[2] == '+'); }

/* Words of vector encodings only. */
static bool build_vector_word(Builder *b, const char *w)
{
    static const struct { const char *word; uint8_t map; } maps[] = {
        { "0F", 1 }, { "0F38", 2 }, { "0F3A", 3 }, { "MAP5", 5 }, { "MAP6", 6 }, { "MAP8", 8 }, { "MAP9", 9 }, { "MAPA", 10 },
    };
    if (!strcmp(w, "VEX") || !strcmp(w, "EVEX") || !strcmp(w, "XOP"))
        b->encoding = w[0] == 'V' ? VEX : w[0] == 'E' ? EVEX : XOP;
    if (b->encoding && !b->map)
        for (unsigned k = 0; k < ARRAY_SIZE(maps); k++)
            if (!strcmp(w, maps[k].word)) {
                b->map = maps[k].map;
                return true;
            }
    if (w[0] == 'L' && g_ascii_isdigit(w[1]))
        b->lengths = w[2] ? 6 : 1u << (w[1] - '0');
    else if (w[0] == 'k' && strchr("zs!", w[1]))
        b->masking = w[1] ? w[1] : 'm';
    else if (!strcmp(w, "er") || !strcmp(w, "sae") || !strcmp(w, "nob"))
        b->rounding = true;
    else if (w[0] == 'b' && g_ascii_isdigit(w[1]))
        b->broadcast = true;
    else if (!strcmp(w, "vsib"))
        b->vsib = true;
    else if (!strcmp(w, "LIG"))
        b->any_length = true;
    else
        return false;
    return true;
}

static void build_word(Builder *b, const char *w)
{
    bool may_be_opcode = b->map || b->have_opcode;
    if (build_vector_word(b, w))
        return;
    if (!strcmp(w, "NP"))
        b->mandatory = 1;
    else if (!may_be_opcode && (!strcmp(w, "66") || !strcmp(w, "F3") || !strcmp(w, "F2")))
        b->mandatory = strtoul(w, NULL, 16);
    else if (!may_be_opcode && !strcmp(w, "0F"))
        b->map = 1;
    else if (!strcmp(w, "0F38"))
        b->map = 2;
    else if (!strcmp(w, "0F3A"))
        b->map = 3;
    else if (!strcmp(w, "0F0F"))
        b->map = MAP_SUFFIX;
    else if (w[0] == '/' && g_ascii_isdigit(w[1])) {
        b->has_modrm = true;
        b->modrm |= (w[1] - '0') << 3;
        b->modrm_mask |= 0x38;
    } else if (!strcmp(w, "/r"))
        b->has_modrm = true;
    else if (!strcmp(w, "W0") || !strcmp(w, "W1"))
        b->w = w[1] - '0';
    else if (!strcmp(w, "m"))
        b->mem_only = true;
    else if (!strcmp(w, "rm"))
        b->reg_only = true;
    else if (is_hex_byte(w) && !b->have_opcode) {
        b->have_opcode = true;
        b->opcode = strtoul(w, NULL, 16);
        b->opcode_reg = w[2] == '+';
    } else if (is_hex_byte(w)) {
        b->has_modrm = true;
        b->modrm = strtoul(w, NULL, 16);
        b->modrm_mask = w[2] == '+' ? 0xf8 : 0xff;
    }
}

static void build_opmask(Builder *b, char where)
{
    b->has_modrm = true;
    b->reg_mask |= where == 'g';
    b->vvvv |= where == 'h';
    b->vvvv_mask |= where == 'h';
    b->reg_only |= where == 'u';
    b->mem_only |= where == 'm';
}

static void build_operand(Builder *b, char letter, bool byte)
{
    b->vvvv |= letter == 'H' || letter == 'B';
    b->vvvv_general |= letter == 'B';
    if (strchr("EMRGSCDPQNVWU", letter))
        b->has_modrm = true;
    if (strchr("RNU", letter))
        b->reg_only = true;
    if (letter == 'M')
        b->mem_only = true;
    if (letter == 'G')
        b->reg_general = true, b->reg_byte = byte;
    if (strchr("ER", letter))
        b->rm_general = true, b->rm_byte = byte;
    if (letter == 'Z')
        b->z_byte = byte;
}

static void build_operands(Builder *b, const char *operands)
{
    for (const char *o = operands; *o;) {
        if (*o == 'K')
            build_opmask(b, o[1]);
        else if (g_ascii_isupper(*o))
            build_operand(b, *o, o[1] == 'b' && (o[2] == ',' || !o[2]));
        o += strcspn(o, ",");
        o += *o == ',';
    }
}

/* ---- choices ---- */

static unsigned pick(Random *r, uint16_t mask, unsigned limit)
{
    unsigned n;
    mask &= bit_mask(limit);
    if (!mask)
        mask = 7;
    do
        n = random_below(r, limit);
    while (!(mask >> n & 1));
    return n;
}

/* Sometimes AH to BH, which no REX prefix goes with. */
static unsigned pick_general(Builder *b, bool byte)
{
    unsigned limit = b->size == SZ64 ? 16 : 8;
    if (byte && random_chance(b->r, 25)) {
        b->rex_forbidden = true;
        return 4 + pick(b->r, b->wish->values, 4);
    }
    if (byte && b->size != SZ64)
        return pick(b->r, b->wish->values, 4);
    unsigned n = pick(b->r, b->wish->values, limit);
    b->rex_needed |= n >= 8 || (byte && n >= 4);
    return n;
}

static unsigned pick_other(Builder *b)
{
    if (b->encoding == EVEX && b->size == SZ64)
        return random_below(b->r, 32);
    unsigned n = random_below(b->r, b->size == SZ64 && !b->rex_forbidden ? 16 : 8);
    b->rex_needed |= n >= 8;
    return n;
}

static void pick_memory(Builder *b)
{
    const EncodeWish *w = b->wish;
    unsigned limit = b->size == SZ64 ? 16 : 8;
    b->is_memory = true;
    b->is_absolute = random_chance(b->r, w->absolute);
    b->index = 4;
    b->mod = random_below(b->r, 3);
    b->rm = pick(b->r, w->bases, limit);
    if (random_chance(b->r, w->indexed))
        b->index = pick(b->r, w->indexes, limit);
    if (b->mod == 0 && (b->rm & 7) == 5)
        b->mod = 1;
    if (b->is_absolute)
        b->mod = 0, b->rm = 5, b->index = 4;
    if (random_chance(b->r, w->segment))
        b->prefix = random_chance(b->r, 50) ? 0x64 : 0x65;
    b->scale = random_below(b->r, 4);
    b->rex_needed |= b->rm >= 8 || b->index >= 8;
}

static void choose_vector(Builder *b)
{
    if (b->vvvv)
        b->vvvv_reg = b->vvvv_general ? pick(b->r, b->wish->values, b->size == SZ64 ? 16 : 8)
                      : b->vvvv_mask ? random_below(b->r, 8)
                                     : pick_other(b);
    if (b->vsib && b->is_memory)
        b->index = random_below(b->r, b->size != SZ64 ? 8 : b->encoding == EVEX ? 32 : 16);
    unsigned lengths = b->lengths ? b->lengths : b->encoding == EVEX ? 7 : 3;
    if (b->any_length)
        b->length = random_chance(b->r, 20);
    else
        do
            b->length = random_below(b->r, 3);
        while (!(lengths >> b->length & 1));
}

static void choose(Builder *b)
{
    if (b->opcode_reg)
        b->rm = pick_general(b, b->z_byte);
    if (!b->has_modrm) {
        if (b->encoding)
            choose_vector(b);
        return;
    }
    b->reg = b->reg_general ? pick_general(b, b->reg_byte) : b->reg_mask ? random_below(b->r, 8) : pick_other(b);
    if ((b->mem_only && !b->reg_only) || (!b->reg_only && random_chance(b->r, b->wish->memory)))
        pick_memory(b);
    else
        b->rm = b->rm_general ? pick_general(b, b->rm_byte) : pick_other(b), b->mod = 3;
    if (b->encoding)
        choose_vector(b);
    if (b->modrm_mask & 0x38)
        b->reg = (b->modrm >> 3 & 7) | (b->reg & 8);
    if ((b->modrm_mask & 7) || b->modrm_mask == 0xf8) {
        b->rm = (b->modrm & b->modrm_mask & 7) | (b->rm & ~b->modrm_mask & 7);
        b->is_memory = false;
        b->mod = 3;
    }
}

/* ---- bytes ---- */

static void put(Encoded *e, uint8_t byte) { e->code[e->length++] = byte; }

static unsigned implied_prefix(const Builder *b)
{
    return b->mandatory == 0x66 ? 1 : b->mandatory == 0xf3 ? 2 : b->mandatory == 0xf2 ? 3 : 0;
}

/* R X B, inverted as they stand in the prefix. */
static unsigned inverted_rxb(const Builder *b)
{
    unsigned x = b->is_memory ? b->index >> 3 : b->encoding == EVEX ? b->rm >> 4 : 0;
    return ~((b->reg >> 3 & 1) << 2 | (x & 1) << 1 | (b->rm >> 3 & 1)) & 7;
}

static void put_vex(Builder *b, Encoded *e)
{
    bool w = b->w >= 0 ? b->w : random_chance(b->r, 40);
    unsigned rxb = inverted_rxb(b), last = (~b->vvvv_reg & 15) << 3 | b->length << 2 | implied_prefix(b);
    if (b->encoding == VEX && b->map == 1 && !w && (rxb & 3) == 3 && random_chance(b->r, 70)) {
        put(e, 0xc5);
        put(e, rxb >> 2 << 7 | last);
    } else {
        put(e, b->encoding == XOP ? 0x8f : 0xc4);
        put(e, rxb << 5 | b->map);
        put(e, w << 7 | last);
    }
}

static void put_evex(Builder *b, Encoded *e)
{
    bool w = b->w >= 0 ? b->w : random_chance(b->r, 40);
    unsigned high = b->vsib && b->is_memory ? b->index : b->vvvv_reg, length = b->length;
    bool extra = random_chance(b->r, 35) && (b->is_memory ? b->broadcast : b->rounding);
    unsigned mask = b->masking == '!' || (b->masking && random_chance(b->r, 60)) ? 1 + random_below(b->r, 7) : 0;
    bool zero = mask && (b->masking == 'z' || (b->masking == 's' && !b->is_memory)) && random_chance(b->r, 50);
    if (extra && !b->is_memory)
        length = random_below(b->r, 4);
    put(e, 0x62);
    put(e, inverted_rxb(b) << 5 | (~b->reg & 16) | b->map);
    put(e, w << 7 | (~b->vvvv_reg & 15) << 3 | 4 | implied_prefix(b));
    put(e, zero << 7 | length << 5 | extra << 4 | (~high & 16) >> 1 | mask);
}

static void put_prefixes(Builder *b, const InsnRow *row, Encoded *e)
{
    if (b->prefix)
        put(e, b->prefix);
    if (row->attr & A_LOCK && b->is_memory && random_chance(b->r, 15))
        put(e, 0xf0);
    if (b->mandatory > 1 && !b->encoding)
        put(e, b->mandatory);
    else if (!b->mandatory && !b->encoding && !(row->attr & A_JUMP) && random_chance(b->r, 20)) /* processors differ on 66 near branches */
        put(e, 0x66);
    if (b->size == SZ64 && random_chance(b->r, 5))
        put(e, 0x67);
    if (b->encoding == EVEX)
        put_evex(b, e);
    else if (b->encoding)
        put_vex(b, e);
    if (b->size != SZ64 || b->encoding)
        return;
    b->rex_w = b->w >= 0 ? b->w : !b->rex_forbidden && random_chance(b->r, 45);
    if (b->rex_needed || b->rex_w)
        put(e, 0x40 | b->rex_w << 3 | b->reg >> 3 << 2 | (b->is_memory ? b->index >> 3 << 1 : 0) | b->rm >> 3);
}

static void put_opcode(const Builder *b, Encoded *e)
{
    if (b->encoding) {
        put(e, b->opcode);
        return;
    }
    if (b->map)
        put(e, 0x0f);
    if (b->map == MAP_SUFFIX) {
        put(e, 0x0f);
        return;
    }
    if (b->map > 1)
        put(e, b->map == 2 ? 0x38 : 0x3a);
    put(e, b->opcode | (b->opcode_reg ? b->rm & 7 : 0));
}

static void put_displacement(Builder *b, Encoded *e)
{
    if (b->mod == 1) {
        put(e, random_next(b->r));
    } else if (b->mod == 2 || b->is_absolute) {
        e->disp_at = b->is_absolute ? e->length : 0;
        st32le(e->code + e->length, (uint32_t)random_below(b->r, 4096) - 2048);
        e->length += 4;
    }
}

/* The displacement is short enough for base registers to make up for it. */
static void put_modrm(Builder *b, Encoded *e)
{
    bool sib = b->is_memory && (b->vsib || b->index != 4 || (b->rm & 7) == 4);
    put(e, b->mod << 6 | (b->reg & 7) << 3 | (sib ? 4 : b->rm & 7));
    if (sib)
        put(e, b->scale << 6 | (b->index & 7) << 3 | (b->rm & 7));
    if (b->is_memory)
        put_displacement(b, e);
}

bool encode_row(const InsnDecoder *d, Random *r, unsigned row, unsigned size, const EncodeWish *wish, Encoded *out)
{
    const InsnRow *info = &insn_rows[row];
    Builder b = { .r = r, .wish = wish, .size = size, .w = -1 };
    uint8_t bytes[32];
    *out = (Encoded){ 0 };
    g_auto(GStrv) words = g_strsplit(info->encoding, " ", -1);
    for (char **w = words; *w; w++)
        if (**w)
            build_word(&b, *w);
    build_operands(&b, info->operands);
    choose(&b);
    if (b.rex_forbidden && (b.rex_needed || b.w == 1))
        return false;
    put_prefixes(&b, info, out);
    put_opcode(&b, out);
    if (b.has_modrm)
        put_modrm(&b, out);
    if (b.map == MAP_SUFFIX)
        put(out, b.opcode);
    memcpy(bytes, out->code, out->length);
    for (unsigned k = out->length; k < sizeof bytes; k++)
        bytes[k] = random_chance(r, 50) ? random_integer(r) : random_next(r);
    int length = insn_decode(d, size, bytes, 15, &out->insn);
    if (length <= 0 || out->insn.row != row)
        return false;
    out->length = length;
    memcpy(out->code, bytes, length);
    return true;
}
