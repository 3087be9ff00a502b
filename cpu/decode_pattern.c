/*
 * The decoder's patterns: parsed once from the table's encoding and operand strings (notation: insn.h), then listed by
 * opcode, the more exact first.
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/decode.h"
#include "cpu/features.h"
#include "util/bits.h"

static bool parse_hex(const char *word, unsigned *value)
{
    char *end;
    if (!g_ascii_isxdigit(word[0]) || !g_ascii_isxdigit(word[1]))
        return false;
    char digits[3] = { word[0], word[1], 0 };
    *value = strtoul(digits, &end, 16);
    return true;
}

#define WORD(word, field, value) { word, offsetof(Pattern, field), value }

/* A keyword of an encoding string; false when it is none. */
static bool parse_keyword(Pattern *p, const char *w)
{
    static const struct { const char *word; size_t offset; uint8_t value; } words[] = {
        WORD("VEX", encoding, ENC_VEX),      WORD("EVEX", encoding, ENC_EVEX),    WORD("XOP", encoding, ENC_XOP),
        WORD("NP", prefix, PREFIX_NONE),     WORD("66", prefix, PREFIX_66),       WORD("F3", prefix, PREFIX_F3),
        WORD("F2", prefix, PREFIX_F2),       WORD("0F38", map, MAP_0F38),         WORD("0F3A", map, MAP_0F3A),
        WORD("0F0F", map, MAP_3DNOW),
        WORD("MAP5", map, MAP_EVEX_5),       WORD("MAP6", map, MAP_EVEX_6),       WORD("MAP8", map, MAP_XOP_8),
        WORD("MAP9", map, MAP_XOP_9),        WORD("MAPA", map, MAP_XOP_A),        WORD("rm", mod, MOD_REG),
        WORD("m", mod, MOD_MEM),             WORD("W0", w, 0),                    WORD("W1", w, 1),
        WORD("no64", no64, 1),               WORD("only64", only64, 1),           WORD("anymod", any_mod, 1),
        WORD("noB", no_rex_b, 1),            WORD("/r", modrm, 1),                WORD("o16", size_mask, 1),
        WORD("o32", size_mask, 2),           WORD("o64", size_mask, 4),           WORD("L0", length_mask, 1),
        WORD("L1", length_mask, 2),          WORD("L2", length_mask, 4),          WORD("L12", length_mask, 6),
        WORD("LIG", any_length, 1),          WORD("k", masking, MASK_MERGE),      WORD("kz", masking, MASK_ANY),
        WORD("ks", masking, MASK_STORE), WORD("k!", masking, MASK_NEEDED),    WORD("er", rounding, ROUND_ER),      WORD("sae", rounding, ROUND_SAE),
        WORD("nob", rounding, ROUND_IGNORED),
        WORD("b16", broadcast, 2),           WORD("b32", broadcast, 4),           WORD("b64", broadcast, 8),
        WORD("v1", disp_scale, SCALE_VECTOR), WORD("v2", disp_scale, SCALE_VECTOR | 1),
        WORD("v4", disp_scale, SCALE_VECTOR | 2), WORD("v8", disp_scale, SCALE_VECTOR | 3),
        WORD("dup", disp_scale, SCALE_DUP),  WORD("n1", disp_scale, 1),           WORD("n2", disp_scale, 2),
        WORD("n4", disp_scale, 4),           WORD("n8", disp_scale, 8),           WORD("n16", disp_scale, 16),
        WORD("n32", disp_scale, 32),         WORD("vsib", vsib, 1),
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
    if (!have_opcode) { /* 0F itself, of which the 8086 makes no map */
        p->map = MAP_ONE;
        p->opcode = 0x0f;
        p->opcodes = 1;
    }
    if (p->map == MAP_3DNOW)
        p->imm = IMM_B; /* the opcode, where others have an immediate */
    if (p->encoding == ENC_VEX)
        p->map += MAP_VEX_0F - MAP_0F;
    else if (p->encoding == ENC_EVEX && p->map < MAP_EVEX_5)
        p->map += MAP_EVEX_0F - MAP_0F;
    if (!p->length_mask)
        p->length_mask = p->encoding == ENC_EVEX ? 7 : 3;
}

static void parse_immediate(Pattern *p, const char *operand)
{
    uint8_t kind = IMM_NONE;
    if (operand[0] == 'O')
        kind = IMM_O;
    else if (operand[0] == 'A')
        kind = IMM_P;
    else if (operand[0] == 'L')
        kind = IMM_B;
    else if (operand[0] == 'I' || operand[0] == 'J')
        kind = operand[1] == 'b' ? (operand[0] == 'J' ? IMM_J : IMM_B) : operand[1] == 'w' ? IMM_W : operand[1] == 'v' ? IMM_V : IMM_Z;
    if (kind == IMM_NONE)
        return;
    if (p->imm == IMM_NONE)
        p->imm = kind;
    else
        p->imm2 = kind;
}

/* Kg, Kh, Ke, Ku, Km: which field names the opmask. */
static void parse_opmask(Pattern *p, char where)
{
    p->modrm = true;
    p->opmasks |= where == 'g' ? OPMASK_REG : where == 'h' ? OPMASK_VVVV : OPMASK_RM;
    p->vvvv |= where == 'h';
    if (where == 'u')
        p->mod = MOD_REG;
    if (where == 'm')
        p->mod = MOD_MEM;
}

static void parse_operand(Pattern *p, const char *o)
{
    char letter = o[0], type = o[1];
    bool byte = type == 'b';
    if (letter == 'K')
        parse_opmask(p, type);
    if (strchr("EMRGSCDPQNVWU", letter))
        p->modrm = true;
    if (strchr("RNU", letter))
        p->mod = MOD_REG;
    if (letter == 'M')
        p->mod = MOD_MEM;
    if (strchr("ER", letter)) {
        p->rm_general = true;
        p->byte_rm = byte;
    }
    if (strchr("GZ", letter)) {
        p->reg_general = true;
        p->byte_reg = byte;
    }
    if (strchr("HB", letter))
        p->vvvv = true;
    p->vvvv_general |= letter == 'B';
    p->is4 |= letter == 'L';
    if (strchr("EMRGIZB", letter) && type == 'y')
        p->y_size = true;
    parse_immediate(p, o);
}

static void parse_operands(Pattern *p, const char *operands)
{
    for (const char *o = operands; *o; o += strcspn(o, ","), o += *o == ',')
        if (g_ascii_isupper(o[0]))
            parse_operand(p, o);
}

static uint8_t pattern_score(const Pattern *p)
{
    return __builtin_popcount(p->modrm_mask) * 8 + (p->prefix != PREFIX_ANY) * 4 + (p->mod != MOD_ANY) * 2 +
           (p->w >= 0) + (p->size_mask != 7) + (p->no64 || p->only64) + p->no_rex_b * 2 + (p->opcodes == 1);
}

static bool has_feature(const uint64_t *features, unsigned f)
{
    return f == FEAT_BASE || (features[f / 64] >> (f % 64) & 1);
}

/*
 * EVEX instructions shorter than 512 bits need AVX512VL too, unless there is but one length (VMOVD and the like) or
 * the length does not matter (SDM vol. 1 15.3).
 */
static void apply_vector_length(Pattern *p, const uint64_t *features)
{
    if (p->encoding == ENC_EVEX && !p->any_length && p->length_mask != 1 && !has_feature(features, FEAT_AVX512VL))
        p->length_mask &= 4;
}

static void parse_row(Pattern *p, unsigned row)
{
    p->row = row;
    parse_encoding(p, insn_rows[row].encoding);
    parse_operands(p, insn_rows[row].operands);
    p->score = pattern_score(p);
}

const Pattern *insn_row_pattern(unsigned row)
{
    static gsize once;
    static Pattern *table; /* immutable after its making */
    if (g_once_init_enter(&once)) {
        table = g_new0(Pattern, INSN_ROW_BAD + 1);
        for (unsigned k = 0; k <= INSN_ROW_BAD; k++)
            parse_row(&table[k], k);
        g_once_init_leave(&once, 1);
    }
    return &table[row];
}

unsigned pattern_memory_bytes(const Pattern *p, unsigned vl, bool broadcast)
{
    if (broadcast)
        return p->broadcast;
    if (p->disp_scale == SCALE_DUP)
        return vl ? 16u << vl : 8;
    if (p->disp_scale && !(p->disp_scale & SCALE_VECTOR))
        return p->disp_scale;
    return 16u << vl >> (p->disp_scale & 3);
}

static void pattern_for_features(Pattern *p, unsigned row, const uint64_t *features)
{
    *p = *insn_row_pattern(row);
    apply_vector_length(p, features);
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
    d->has_3dnow = has_feature(features, FEAT_3DNOW);
    d->only_8086 = has_feature(features, FEAT_ONLY_8086);
    d->until_286 = has_feature(features, FEAT_UNTIL_286);
    for (unsigned row = 0; row < insn_row_count; row++)
        if (has_feature(features, insn_rows[row].feature))
            pattern_for_features(&d->patterns[n++], row, features);
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
