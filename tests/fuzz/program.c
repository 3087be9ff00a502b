/* Laying out and printing programs (program.h). */
#include "tests/fuzz/program.h"

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "util/endian.h"

/* ---- flags ---- */

/* Flags that are undefined after an item when `before` are before it. */
static uint32_t undefined_after(const Item *i, uint32_t before)
{
    const InsnRow *row = &insn_rows[i->row];
    if (i->row >= insn_row_count)
        return before;
    return (i->weak ? before : before & ~row->flags_written) | (row->flags_undefined & F_ARITH);
}

/* Undefined flags may not be read, and not be carried to where control joins. */
static bool flags_are_sound(Program *p)
{
    uint32_t undefined = 0;
    for (unsigned k = 0; k < p->count; k++) {
        Item *i = &p->item[k];
        i->undefined = undefined;
        if (i->dropped && !i->joins)
            continue;
        if (p->strict)
            undefined = 0;
        if (undefined && (i->joins || (i->row < insn_row_count && (insn_rows[i->row].flags_read & undefined))))
            return false;
        if (!i->dropped)
            undefined = undefined_after(i, undefined);
    }
    return true;
}

/* ---- layout ---- */

static unsigned item_length(const Item *i)
{
    if (i->dropped)
        return 0;
    return i->fix == FIX_BRANCH && i->wide ? (i->code[0] == 0xeb || i->code[0] == 0xe8 ? 5 : 6) : i->length;
}

static bool place_items(Program *p)
{
    uint32_t at = p->start;
    for (unsigned k = 0; k < p->count; k++) {
        p->item[k].offset = at;
        at += item_length(&p->item[k]);
    }
    return at <= CODE_BYTES;
}

/* A short jump that does not reach becomes a long one: true then. */
static bool widen_branches(Program *p)
{
    bool changed = false;
    for (unsigned k = 0; k < p->count; k++) {
        Item *i = &p->item[k];
        int32_t distance = p->item[i->target].offset - (i->offset + item_length(i));
        if (i->fix == FIX_BRANCH && !i->dropped && !i->wide && distance != (int8_t)distance)
            i->wide = changed = true;
    }
    return changed;
}

static bool emit_branch(const Program *p, const Item *i, uint8_t *out)
{
    int32_t distance = p->item[i->target].offset - (i->offset + item_length(i));
    if (!i->wide) {
        out[i->length - 1] = distance;
        return distance == (int8_t)distance;
    }
    unsigned n = 0;
    if (i->code[0] == 0xeb || i->code[0] == 0xe8)
        out[n++] = i->code[0] == 0xeb ? 0xe9 : 0xe8;
    else
        out[n++] = 0x0f, out[n++] = i->code[0] + 0x10;
    st32le(out + n, distance);
    return true;
}

static uint64_t fixed_address(const Program *p, const Item *i)
{
    const Item *t = &p->item[i->target];
    switch (i->fix) {
    case FIX_DATA: return p->data + i->place;
    case FIX_PATCH: {
        uint32_t last = t->offset + item_length(t) - 1;
        return i->alias ? p->data + PAGE_CODE_ALIAS * 4096u + last : p->code + last;
    }
    default: return p->code + t->offset;
    }
}

static bool emit_item(const Program *p, const Item *i, uint8_t *out)
{
    memcpy(out, i->code, i->length);
    if (i->fix == FIX_BRANCH || i->fix == FIX_BRANCH_8)
        return emit_branch(p, i, out);
    if (i->fix == FIX_NONE)
        return true;
    if (i->fix == FIX_PATCH && (p->item[i->target].dropped ||
                                (i->alias && p->item[i->target].offset >= (DATA_PAGES - PAGE_CODE_ALIAS) * 4096u - 16)))
        return false;
    uint64_t to = fixed_address(p, i);
    if (p->size == SZ64)
        to -= p->code + i->offset + i->length;
    st32le(out + i->fix_at, to);
    return p->size != SZ64 || (int64_t)to == (int32_t)to;
}

bool program_lay_out(Program *p)
{
    if (!flags_are_sound(p))
        return false;
    for (unsigned k = 0; k < p->count; k++)
        p->item[k].wide = p->item[k].fix == FIX_BRANCH && (p->item[k].code[0] == 0xe8);
    do {
        if (!place_items(p))
            return false;
    } while (widen_branches(p));
    memset(p->image, 0xcc, sizeof p->image);
    for (unsigned k = 0; k < p->count; k++)
        if (!p->item[k].dropped && !emit_item(p, &p->item[k], p->image + p->item[k].offset))
            return false;
    return true;
}

const Item *program_item_at(const Program *p, uint32_t offset)
{
    unsigned low = 0, high = p->count;
    while (low < high) { /* the last of those with this offset is the one that is there */
        unsigned mid = (low + high) / 2;
        if (p->item[mid].offset <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low && p->item[low - 1].offset == offset && !p->item[low - 1].dropped ? &p->item[low - 1] : NULL;
}

const Item *program_next(const Program *p, const Item *i)
{
    do
        i++;
    while (i < p->item + p->count && i->dropped);
    return i < p->item + p->count ? i : NULL;
}

/* ---- printing ---- */

void program_print(const Program *p)
{
    printf("%s, CPL %u%s%s%s, code %" PRIx64 ", data %" PRIx64 ", FS %" PRIx64 ", GS %" PRIx64 ", %u passes\n",
           p->size == SZ64 ? "64-bit" : "32-bit", p->user ? 3 : 0, p->smap ? ", SMAP" : "",
           p->align ? ", alignment checks" : "", p->watch ? ", data breakpoint" : "", p->code, p->data, p->fs, p->gs,
           p->passes);
    for (unsigned k = 0; k < p->count; k++) {
        const Item *i = &p->item[k];
        if (i->dropped)
            continue;
        g_autoptr(GString) text = g_string_new(NULL);
        const uint8_t *bytes = p->image + i->offset;
        unsigned length = item_length(i);
        cpu_disassemble(p->size, p->code + i->offset, bytes, length, text);
        printf("  %" PRIx64 ":", p->code + i->offset);
        for (unsigned n = 0; n < 12; n++)
            if (n < length)
                printf(" %02x", bytes[n]);
            else
                printf("   ");
        printf(" %s", text->str);
        if (i->row < insn_row_count)
            printf("   ; %s", insn_rows[i->row].id);
        printf("\n");
    }
}
