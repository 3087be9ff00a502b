/* Symbols out of ELF files of either size and byte order, by libelf (symbols_file.h). */
#include "config.h"

#include <string.h>

#include "core/error.h"
#include "debugger/symbols/symbols_file.h"

#ifdef CONFIG_LIBDW

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <unistd.h>

/* A file that is being read. */
typedef struct Reader {
    const char *path;
    SymbolFile *to;
    Elf *elf;
    GElf_Ehdr header;
    size_t section_names;
    const GHashTable *sections; /* of an object file: names to addresses (uint64_t *); may be NULL */
    uint64_t text;              /* where .text is linked to */
} Reader;

static gboolean bad(const Reader *r, GError **err)
{
    return error_set(err, "%s: broken ELF file: %s", r->path, elf_errmsg(-1));
}

static const char *section_name(const Reader *r, const GElf_Shdr *s)
{
    const char *name = elf_strptr(r->elf, r->section_names, s->sh_name);
    return name ? name : "";
}

/* Where a section is before the file's offset is added; false: not in memory, or nobody knows. */
static bool section_address(const Reader *r, const GElf_Shdr *s, uint64_t *address)
{
    if (!(s->sh_flags & SHF_ALLOC))
        return false;
    *address = s->sh_addr;
    if (r->header.e_type != ET_REL)
        return true;
    const uint64_t *given = r->sections ? g_hash_table_lookup((GHashTable *)r->sections, section_name(r, s)) : NULL;
    if (given)
        *address = *given - r->to->offset;
    return given || !strcmp(section_name(r, s), ".text");
}

static unsigned rank_of(const GElf_Sym *s)
{
    unsigned type = GELF_ST_TYPE(s->st_info);
    bool label = type != STT_FUNC && type != STT_OBJECT;
    switch (GELF_ST_BIND(s->st_info)) {
    case STB_LOCAL: return label ? RANK_LOCAL_LABEL : RANK_LOCAL;
    case STB_WEAK: return RANK_WEAK;
    default: return label ? RANK_LABEL : RANK_GLOBAL;
    }
}

/* Sections, files, and the assembler's own labels are not names that anybody would look for. */
static bool is_name(const GElf_Sym *s, const char *name)
{
    unsigned type = GELF_ST_TYPE(s->st_info);
    return name && *name && type != STT_SECTION && type != STT_FILE && type != STT_TLS && strncmp(name, ".L", 2);
}

static void add_symbol(Reader *r, const GElf_Sym *s, uint32_t index, const char *name)
{
    GElf_Shdr section;
    uint64_t base;
    if (index == SHN_UNDEF || index == SHN_COMMON || !is_name(s, name))
        return;
    if (index == SHN_ABS) {
        symbol_file_add(r->to, name, s->st_value, 0, 0, rank_of(s), true);
        return;
    }
    if (!gelf_getshdr(elf_getscn(r->elf, index), &section) || !section_address(r, &section, &base))
        return;
    uint64_t address = r->header.e_type == ET_REL ? base + s->st_value : s->st_value;
    symbol_file_add(r->to, name, address, address + s->st_size, base + section.sh_size, rank_of(s), false);
}

static gboolean read_table(Reader *r, Elf_Scn *scn, const GElf_Shdr *table, Elf_Data *wide, GError **err)
{
    Elf_Data *data = elf_getdata(scn, NULL);
    if (!data || !table->sh_entsize)
        return bad(r, err);
    for (size_t k = 1; k < data->d_size / table->sh_entsize; k++) {
        GElf_Sym s;
        Elf32_Word index;
        if (!gelf_getsymshndx(data, wide, k, &s, &index))
            return bad(r, err);
        if (s.st_shndx != SHN_XINDEX)
            index = s.st_shndx;
        add_symbol(r, &s, index, elf_strptr(r->elf, table->sh_link, s.st_name));
    }
    return TRUE;
}

/* The first section of a type, that belongs to section number `link` if that is not 0. */
static Elf_Scn *find_section(const Reader *r, uint32_t type, size_t link, GElf_Shdr *out)
{
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(r->elf, scn));)
        if (gelf_getshdr(scn, out) && out->sh_type == type && (!link || out->sh_link == link))
            return scn;
    return NULL;
}

static gboolean read_symbols(Reader *r, GError **err)
{
    GElf_Shdr table, other;
    Elf_Scn *scn = find_section(r, SHT_SYMTAB, 0, &table);
    if (!scn)
        scn = find_section(r, SHT_DYNSYM, 0, &table);
    if (!scn)
        return error_set(err, "%s: an ELF file without a symbol table (stripped?)", r->path);
    Elf_Scn *wide = find_section(r, SHT_SYMTAB_SHNDX, elf_ndxscn(scn), &other);
    return read_table(r, scn, &table, wide ? elf_getdata(wide, NULL) : NULL, err);
}

static gboolean read_header(Reader *r, GError **err)
{
    size_t sections;
    if (!r->elf || elf_kind(r->elf) != ELF_K_ELF || !gelf_getehdr(r->elf, &r->header) ||
        elf_getshdrnum(r->elf, &sections) || elf_getshdrstrndx(r->elf, &r->section_names))
        return bad(r, err);
    return TRUE;
}

typedef gboolean Reading(Reader *r, GError **err);

static gboolean read_file(Reader *r, Reading *reading, GError **err)
{
    elf_version(EV_CURRENT);
    int fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, "%s: %s", r->path, g_strerror(errno));
    r->elf = elf_begin(fd, ELF_C_READ, NULL);
    gboolean ok = read_header(r, err) && reading(r, err);
    elf_end(r->elf);
    close(fd);
    return ok;
}

gboolean symbols_read_elf(SymbolFile *f, const GHashTable *sections, GError **err)
{
    return read_file(&(Reader){ .path = f->path, .to = f, .sections = sections }, read_symbols, err);
}

static gboolean read_text_address(Reader *r, GError **err)
{
    GElf_Shdr s;
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(r->elf, scn));)
        if (gelf_getshdr(scn, &s) && !strcmp(section_name(r, &s), ".text")) {
            r->text = r->header.e_type == ET_REL ? 0 : s.sh_addr;
            return TRUE;
        }
    return error_set(err, "%s: no section .text in it", r->path);
}

gboolean symbols_text_address(const char *path, uint64_t *address, GError **err)
{
    Reader r = { .path = path };
    gboolean ok = read_file(&r, read_text_address, err);
    *address = r.text;
    return ok;
}

#else

gboolean symbols_read_elf(SymbolFile *f, const GHashTable *sections, GError **err)
{
    (void)sections;
    return error_set(err, "%s: ELF files need a Myna built with libdw; System.map and the output of nm can be read",
                     f->path);
}

gboolean symbols_text_address(const char *path, uint64_t *address, GError **err)
{
    (void)address;
    return error_set(err, "%s: ELF files need a Myna built with libdw", path);
}

#endif
