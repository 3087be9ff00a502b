/* Putting a case's instruction among others (case.h). */
#include <string.h>

#include "cpu/state.h"
#include "tests/cpu/case.h"
#include "tests/cpu/encode.h"

typedef struct Surrounding {
    const InsnDecoder *d;
    Random r;
    Case *c;
    uint16_t free;       /* registers that the instruction does not address memory with */
    bool keep_vectors;   /* they are indices */
    uint32_t undefined;  /* flags that are so now */
} Surrounding;

/* Rows by the beginning of their identifiers; what they do to flags is in the table. */
static const char *const neighbours[] = {
    "ADD_EvGv", "ADD_GbEb", "SUB_EvGv", "SUB_EbIb", "CMP_EvGv", "CMP_EbGb", "CMP_EvIb", "TEST_EvGv", "TEST_EbIb", "AND_EvGv",
    "XOR_GvEv", "ADC_EvGv", "ADC_GvEv", "ADC_EbGb", "SBB_EvGv", "SBB_EvIz", "INC_Ev", "INC_Eb", "DEC_Ev", "NEG_Ev", "NEG_Eb",
    "BT_EvIb", "BTS_EvIb", "SHL_EvIb", "SHR_EvIb", "SAR_Ev1", "SHL_EvCL", "SHR_EbCL", "SAR_EvCL", "ROL_EvIb", "ROR_EvIb", "RCL_Ev1",
    "SHLD_EvGvIb", "IMUL_GvEv", "CLC", "STC", "CMC", "SETB_Eb", "SETE_Eb", "SETO_Eb", "SETS_Eb", "SETP_Eb", "SETLE_Eb",
    "SETA_Eb", "CMOVB_GvEv", "CMOVE_GvEv", "CMOVG_GvEv", "CMOVBE_GvEv", "CMOVNS_GvEv", "CMOVO_GvEv", "MOV_EvGv", "MOV_GvEv",
    "MOV_EbGb", "MOVZX_GvEb", "MOVSX_GvEw", "XCHG_EvGv", "LEA_GvM", "BSWAP_Zv", "NOT_Ev", "XADD_EvGv", "MOVAPS_VpsWps",
    "PXOR_XMM", "PADDD_XMM",
};

static unsigned row_named(const char *id)
{
    for (unsigned row = 0; row < insn_row_count; row++)
        if (!strcmp(insn_rows[row].id, id))
            return row;
    return insn_row_count;
}

static unsigned some_neighbour(Random *r)
{
    static uint16_t rows[ARRAY_SIZE(neighbours)];
    if (!rows[0])
        for (unsigned k = 0; k < ARRAY_SIZE(neighbours); k++)
            rows[k] = row_named(neighbours[k]);
    return rows[random_below(r, ARRAY_SIZE(rows))];
}

/* They store the x87's pointers, which processors keep or not: neighbours would read them. */
static bool stores_pointers(const InsnRow *row)
{
    return !strcmp(row->mnemonic, "fnstenv") || !strcmp(row->mnemonic, "fnsave");
}

/* With memory near the stack pointer, which points into the data. */
static bool encode_neighbour(Surrounding *s, unsigned row, Encoded *e)
{
    EncodeWish wish = { .values = s->free, .bases = 1u << R_SP, .indexes = 0, .memory = 35 };
    return row < insn_row_count && encode_row(s->d, &s->r, row, s->c->size, &wish, e) && e->insn.asz != SZ16 &&
           !(e->insn.mem && e->insn.asz == SZ32 && s->c->size == SZ64);
}

static void add_neighbour(Surrounding *s)
{
    Case *c = s->c;
    Encoded e;
    unsigned row = some_neighbour(&s->r);
    if (s->keep_vectors && row < insn_row_count && (insn_rows[row].attr & A_SSE))
        return;
    if (!encode_neighbour(s, row, &e) || c->length + e.length > CASE_BYTES || (insn_rows[row].flags_read & s->undefined))
        return;
    memcpy(c->code + c->length, e.code, e.length);
    c->length += e.length;
    bool may_leave_all = strstr(insn_rows[row].operands, "cl") || strstr(insn_rows[row].operands, "Ib");
    c->undefined_midway |= insn_rows[row].flags_undefined;
    s->undefined = (may_leave_all ? s->undefined : s->undefined & ~insn_rows[row].flags_written) |
                   insn_rows[row].flags_undefined;
}

static uint16_t free_registers(const Case *c, const Insn *i)
{
    uint16_t used = 1u << R_SP | 1u << R_BP | 1u << R_SI | 1u << R_DI | 1u << R_CX | 1u << R_BX;
    if (i->mem)
        used |= (i->base < 16 ? 1u << i->base : 0) | (i->index < 16 ? 1u << i->index : 0);
    /* A bit's number reaches far. */
    if (i->mem && !strncmp(insn_rows[c->row].id, "BT", 2))
        used |= 1u << i->reg;
    return ~used & (c->size == SZ64 ? 0xffff : 0xff);
}

bool case_surround(const InsnDecoder *d, const Case *c, Case *out)
{
    const InsnRow *row = &insn_rows[c->row];
    Insn i;
    if (stores_pointers(row) || insn_decode(d, c->size, c->code, c->length, &i) != c->length || ((row->attr & A_JUMP) && !(row->attr & A_REP)))
        return false;
    *out = *c;
    Surrounding s = { .d = d, .r = random_for(c->seed ^ 0x5055), .c = out, .free = free_registers(c, &i),
                      .keep_vectors = strstr(row->encoding, "vsib") != NULL };
    bool moves_stack = i.reg == R_SP || (!i.mem && i.rm == R_SP) || !strncmp(row->id, "ENTER", 5) ||
                       (strstr(row->operands, "By") && i.vreg == R_SP);
    if (!(s.free & 0xf) || moves_stack || c->in.gpr[R_SP] - DATA_BASE > DATA_SIZE)
        return false;
    out->length = 0;
    out->undefined_midway = row->flags_undefined;
    for (unsigned n = 1 + random_below(&s.r, 4); n; n--)
        add_neighbour(&s);
    if (row->flags_read & s.undefined)
        return false;
    out->insn_at = out->length;
    memcpy(out->code + out->length, c->code, c->length);
    out->length += c->length;
    /* Neither shifts by 0 nor repeated comparisons of nothing write flags. */
    s.undefined |= row->flags_undefined;
    for (unsigned n = 2 + random_below(&s.r, 5); n; n--)
        add_neighbour(&s);
    out->undefined = s.undefined;
    return true;
}
