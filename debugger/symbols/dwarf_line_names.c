/*
 * The files that a unit's line table names, without decoding the table: a kernel has thousands of them, whose rows
 * would fill hundreds of megabytes.  (DWARF 5 section 6.2.4; versions 2 to 4 have the lists as plain strings.)
 */
#include "config.h"

#ifdef CONFIG_LIBDW

#include <gelf.h>
#include <string.h>

#include "debugger/symbols/dwarf_internal.h"
#include "util/endian.h"

/* Bytes that are read from the front; broken once they do not suffice. */
typedef struct Bytes {
    const uint8_t *at, *end;
    bool broken;
} Bytes;

/* A number of 1, 2, 4 or 8 bytes; so many bytes of another size are passed over. */
static uint64_t take(Bytes *b, unsigned size)
{
    if ((size_t)(b->end - b->at) < size) {
        b->broken = true;
        b->at = b->end;
        return 0;
    }
    uint64_t v = size == 1 || size == 2 || size == 4 || size == 8 ? ldle(b->at, size) : 0;
    b->at += size;
    return v;
}

static uint64_t take_uleb(Bytes *b)
{
    uint64_t v = 0;
    for (unsigned shift = 0; ; shift += 7) {
        uint8_t byte = take(b, 1);
        if (shift < 64)
            v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80) || b->broken)
            return v;
    }
}

static const char *take_string(Bytes *b)
{
    const char *s = (const char *)b->at;
    const uint8_t *end = memchr(b->at, 0, b->end - b->at);
    if (!end)
        b->broken = true;
    b->at = end ? end + 1 : b->end;
    return end ? s : "";
}

/* ---- sections ---- */

bool dwarf_section(DwarfFile *f, const char *name, const uint8_t **data, size_t *size)
{
    GElf_Shdr s;
    size_t strings;
    Elf *elf = dwarf_getelf(f->dwarf);
    const char *ident = elf_getident(elf, NULL);
    if (!ident || ident[EI_DATA] != ELFDATA2LSB || elf_getshdrstrndx(elf, &strings))
        return false;
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
        const char *is = gelf_getshdr(scn, &s) ? elf_strptr(elf, strings, s.sh_name) : NULL;
        if (!is || strcmp(is, name))
            continue;
        Elf_Data *d = elf_rawdata(scn, NULL);
        if (!d || !d->d_buf || (s.sh_flags & SHF_COMPRESSED))
            return false;
        *data = d->d_buf;
        *size = d->d_size;
        return true;
    }
    return false;
}

static const char *string_at(DwarfFile *f, const char *section, uint64_t offset)
{
    const uint8_t *data;
    size_t size;
    if (!dwarf_section(f, section, &data, &size) || offset >= size || !memchr(data + offset, 0, size - offset))
        return "";
    return (const char *)data + offset;
}

/* ---- headers ---- */

typedef struct Header {
    DwarfFile *file;
    Bytes rest;
    unsigned version, offset_size;
    const char *base;       /* the last part of the path that is looked for */
} Header;

static bool is_base(const Header *h, const char *path)
{
    const char *slash = strrchr(path, '/');
    return !strcmp(slash ? slash + 1 : path, h->base);
}

static const char *take_form(Header *h, unsigned form)
{
    Bytes *b = &h->rest;
    switch (form) {
    case DW_FORM_string: return take_string(b);
    case DW_FORM_line_strp: return string_at(h->file, ".debug_line_str", take(b, h->offset_size));
    case DW_FORM_strp: return string_at(h->file, ".debug_str", take(b, h->offset_size));
    case DW_FORM_udata: take_uleb(b); break;
    case DW_FORM_data1: take(b, 1); break;
    case DW_FORM_data2: take(b, 2); break;
    case DW_FORM_data4: take(b, 4); break;
    case DW_FORM_data8: take(b, 8); break;
    case DW_FORM_data16: take(b, 16); break;
    default: b->broken = true; break;
    }
    return NULL;
}

/* A list of DWARF 5's, of folders or files; whether one has the name. */
static bool scan_list(Header *h)
{
    struct { uint64_t content, form; } format[8];
    unsigned fields = take(&h->rest, 1);
    bool found = false;
    if (fields > G_N_ELEMENTS(format))
        h->rest.broken = true;
    for (unsigned k = 0; k < fields && !h->rest.broken; k++) {
        format[k].content = take_uleb(&h->rest);
        format[k].form = take_uleb(&h->rest);
    }
    for (uint64_t count = take_uleb(&h->rest); count && fields && !h->rest.broken; count--)
        for (unsigned k = 0; k < fields; k++) {
            const char *s = take_form(h, format[k].form);
            found |= s && format[k].content == DW_LNCT_path && is_base(h, s);
        }
    return found;
}

static bool scan_old(Header *h)
{
    while (!h->rest.broken && *take_string(&h->rest)) /* folders */
        ;
    for (;;) {
        const char *name = take_string(&h->rest);
        if (h->rest.broken || !*name)
            return false;
        if (is_base(h, name))
            return true;
        for (unsigned k = 0; k < 3; k++)
            take_uleb(&h->rest);
    }
}

static bool scan(Header *h)
{
    h->offset_size = 4;
    if (take(&h->rest, 4) == 0xffffffff) {
        h->offset_size = 8;
        take(&h->rest, 8);
    }
    h->version = take(&h->rest, 2);
    if (h->version >= 5)
        take(&h->rest, 2);                            /* sizes of addresses and selectors */
    take(&h->rest, h->offset_size);                   /* length of the header */
    take(&h->rest, h->version >= 4 ? 5 : 4);          /* up to line_range */
    unsigned opcodes = take(&h->rest, 1);
    take(&h->rest, opcodes ? opcodes - 1 : 0);
    if (h->version < 2 || h->version > 5 || h->rest.broken)
        return false;
    if (h->version < 5)
        return scan_old(h);
    scan_list(h);
    return scan_list(h);
}

bool dwarf_unit_mentions(DwarfFile *f, const DwarfUnit *unit, const char *path)
{
    const char *slash = strrchr(path, '/');
    const uint8_t *data;
    size_t size;
    Dwarf_Die die;
    Dwarf_Attribute attribute;
    Dwarf_Word offset;
    if (!dwarf_offdie(f->dwarf, unit->die, &die) ||
        dwarf_formudata(dwarf_attr(&die, DW_AT_stmt_list, &attribute), &offset))
        return false;
    if (f->dwfl || !dwarf_section(f, ".debug_line", &data, &size))
        return true;
    Header h = { .file = f, .base = slash ? slash + 1 : path };
    if (offset >= size)
        return false;
    h.rest = (Bytes){ .at = data + offset, .end = data + size };
    return scan(&h);
}

#endif
