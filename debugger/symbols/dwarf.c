/* One file's DWARF data: opening, addresses and units (dwarf.h). */
#include "config.h"

#ifdef CONFIG_LIBDW

#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

#include "debugger/symbols/dwarf_internal.h"
#include "util/search.h"

/* ---- life ---- */

static void type_free(gpointer p)
{
    Type *t = p;
    if (t->members)
        g_array_free(t->members, TRUE);
    g_free(t);
}

static void copy_section(gpointer key, gpointer value, gpointer opaque)
{
    g_hash_table_insert(opaque, g_strdup(key), g_memdup2(value, sizeof(uint64_t)));
}

static GHashTable *copy_sections(const GHashTable *sections)
{
    GHashTable *all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (sections)
        g_hash_table_foreach((GHashTable *)sections, copy_section, all);
    return all;
}

static const char *section_name(Elf *elf, const GElf_Shdr *s)
{
    size_t strings;
    const char *name = elf_getshdrstrndx(elf, &strings) ? NULL : elf_strptr(elf, strings, s->sh_name);
    return name ? name : "";
}

static bool has_debug_info(Elf *elf)
{
    GElf_Shdr s;
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));)
        if (gelf_getshdr(scn, &s) && s.sh_type != SHT_NOBITS &&
            (!strcmp(section_name(elf, &s), ".debug_info") || !strcmp(section_name(elf, &s), ".zdebug_info")))
            return true;
    return false;
}

static DwarfFile *file_new(int fd, Elf *elf, const char *path, int64_t offset, const GHashTable *sections)
{
    DwarfFile *f = g_new0(DwarfFile, 1);
    f->references = 1;
    g_rec_mutex_init(&f->lock);
    f->path = g_strdup(path);
    f->offset = offset;
    f->fd = fd;
    f->elf = elf;
    f->pointer_size = gelf_getclass(elf) == ELFCLASS32 ? 4 : 8;
    f->sections = copy_sections(sections);
    f->segments = g_array_new(FALSE, FALSE, sizeof(DwarfSegment));
    f->types = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, type_free);
    f->found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    f->pieces = g_hash_table_new_full(NULL, NULL, type_free, NULL);
    fstat(fd, &f->when);
    return f;
}

DwarfFile *dwarf_file_new(const char *path, int64_t offset, const GHashTable *sections)
{
    elf_version(EV_CURRENT);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    Elf *elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ_MMAP, NULL);
    if (elf && has_debug_info(elf))
        return file_new(fd, elf, path, offset, sections);
    elf_end(elf);
    if (fd >= 0)
        close(fd);
    return NULL;
}

DwarfFile *dwarf_file_ref(DwarfFile *f)
{
    g_atomic_int_inc(&f->references);
    return f;
}

void dwarf_file_unref(DwarfFile *f)
{
    if (!f || !g_atomic_int_dec_and_test(&f->references))
        return;
    g_hash_table_destroy(f->pieces);
    g_hash_table_destroy(f->types);
    g_hash_table_destroy(f->found);
    g_hash_table_destroy(f->sections);
    g_array_free(f->segments, TRUE);
    if (f->units)
        g_array_free(f->units, TRUE);
    if (f->ranges)
        g_array_free(f->ranges, TRUE);
    if (f->dwfl)
        dwfl_end(f->dwfl);
    else
        dwarf_end(f->dwarf);
    elf_end(f->elf);
    close(f->fd);
    g_rec_mutex_clear(&f->lock);
    g_free(f->path);
    g_free(f);
}

unsigned dwarf_pointer_size(DwarfFile *f) { return f->pointer_size; }

/* ---- opening ---- */

static void add_segments(DwarfFile *f, Elf *elf, bool object)
{
    GElf_Shdr s;
    for (Elf_Scn *scn = NULL; (scn = elf_nextscn(elf, scn));) {
        if (!gelf_getshdr(scn, &s) || !(s.sh_flags & SHF_ALLOC) || !s.sh_size)
            continue;
        const char *name = section_name(elf, &s);
        const uint64_t *given = object ? g_hash_table_lookup(f->sections, name) : NULL;
        DwarfSegment segment = { .first = s.sh_addr, .end = s.sh_addr + s.sh_size, .delta = f->offset };
        if (given)
            segment.delta = (int64_t)(*given - s.sh_addr);
        else if (object)
            segment.delta = f->offset - (int64_t)s.sh_addr;
        else if (!s.sh_addr)
            segment.delta = 0; /* Linux's per-CPU variables: offsets, which do not move */
        if (!object || given || !strcmp(name, ".text"))
            g_array_append_val(f->segments, segment);
    }
}

static int no_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **file, Elf **elf)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)elf;
    return -1;
}

static int no_debug_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, const char *file,
                         const char *link, GElf_Word crc, char **found)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc, (void)found;
    return -1;
}

/* An object file's data are relocated against a layout of libdwfl's own. */
static Dwarf *open_object(DwarfFile *f)
{
    static const Dwfl_Callbacks callbacks = { .find_elf = no_file, .find_debuginfo = no_debug_file,
                                              .section_address = dwfl_offline_section_address };
    GElf_Addr bias;
    f->dwfl = dwfl_begin(&callbacks);
    Dwfl_Module *module = f->dwfl ? dwfl_report_offline(f->dwfl, f->path, f->path, -1) : NULL;
    if (!module)
        return NULL;
    dwfl_report_end(f->dwfl, NULL, NULL);
    Dwarf *dwarf = dwfl_module_getdwarf(module, &bias);
    Elf *elf = dwfl_module_getelf(module, &bias);
    if (elf)
        add_segments(f, elf, true);
    return dwarf;
}

static void open_data(DwarfFile *f)
{
    GElf_Ehdr header;
    f->opened = true;
    if (gelf_getehdr(f->elf, &header) && header.e_type == ET_REL) {
        f->dwarf = open_object(f);
    } else {
        add_segments(f, f->elf, false);
        f->dwarf = dwarf_begin_elf(f->elf, DWARF_C_READ, NULL);
    }
}

/* Pages of a file that became shorter would end the process when they are read. */
static bool is_unchanged(const DwarfFile *f)
{
    struct stat now;
    return !fstat(f->fd, &now) && now.st_size == f->when.st_size && now.st_mtime == f->when.st_mtime;
}

bool dwarf_enter(DwarfFile *f)
{
    g_rec_mutex_lock(&f->lock);
    bool ok = is_unchanged(f);
    if (ok && !f->opened)
        open_data(f);
    if (ok && f->dwarf)
        return true;
    g_rec_mutex_unlock(&f->lock);
    return false;
}

void dwarf_leave(DwarfFile *f) { g_rec_mutex_unlock(&f->lock); }

/* ---- addresses ---- */

uint64_t dwarf_to_live(const DwarfFile *f, uint64_t address)
{
    for (guint k = 0; k < f->segments->len; k++) {
        const DwarfSegment *s = &g_array_index(f->segments, DwarfSegment, k);
        if (address - s->first < s->end - s->first)
            return address + s->delta;
    }
    return address + f->offset;
}

uint64_t dwarf_to_linked(const DwarfFile *f, uint64_t address)
{
    for (guint k = 0; k < f->segments->len; k++) {
        const DwarfSegment *s = &g_array_index(f->segments, DwarfSegment, k);
        if (address - s->delta - s->first < s->end - s->first)
            return address - s->delta;
    }
    return address - f->offset;
}

/* ---- units ---- */

const GArray *dwarf_units(DwarfFile *f)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Die die;
    uint8_t type;
    if (f->units)
        return f->units;
    f->units = g_array_new(FALSE, FALSE, sizeof(DwarfUnit));
    while (!dwarf_get_units(f->dwarf, cu, &cu, NULL, &type, &die, NULL)) {
        Dwarf_Attribute attribute;
        Dwarf_Off start = dwarf_dieoffset(&die) - dwarf_cuoffset(&die);
        DwarfUnit unit = { .die = dwarf_dieoffset(&die), .start = start, .end = UINT64_MAX };
        unit.name = dwarf_formstring(dwarf_attr(&die, DW_AT_name, &attribute));
        unit.folder = dwarf_formstring(dwarf_attr(&die, DW_AT_comp_dir, &attribute));
        if (f->units->len)
            g_array_index(f->units, DwarfUnit, f->units->len - 1).end = start;
        if (type == DW_UT_compile || type == DW_UT_partial)
            g_array_append_val(f->units, unit);
    }
    return f->units;
}

const DwarfUnit *dwarf_unit_of(DwarfFile *f, Dwarf_Off die)
{
    const GArray *units = dwarf_units(f);
    unsigned n = search_upper(units->data, units->len, sizeof(DwarfUnit), offsetof(DwarfUnit, start), die);
    return n ? &g_array_index(units, DwarfUnit, n - 1) : NULL;
}

/* ---- code of units ---- */

static void add_range(DwarfFile *f, uint64_t first, uint64_t end, Dwarf_Off unit)
{
    DwarfRange r = { .first = first, .end = end, .unit = unit };
    if (first < end)
        g_array_append_val(f->ranges, r);
}

static void add_listed_ranges(DwarfFile *f)
{
    Dwarf_Aranges *list;
    size_t count;
    if (dwarf_getaranges(f->dwarf, &list, &count))
        return;
    for (size_t k = 0; k < count; k++) {
        Dwarf_Addr first;
        Dwarf_Word length;
        Dwarf_Off unit;
        if (!dwarf_getarangeinfo(dwarf_onearange(list, k), &first, &length, &unit))
            add_range(f, first, first + length, unit);
    }
}

/* Compilers that write no .debug_aranges (clang) say it in each unit. */
static void add_unit_ranges(DwarfFile *f)
{
    const GArray *units = dwarf_units(f);
    for (guint k = 0; k < units->len; k++) {
        Dwarf_Off unit = g_array_index(units, DwarfUnit, k).die;
        Dwarf_Die die;
        Dwarf_Addr base, first, end;
        ptrdiff_t at = 0;
        if (!dwarf_offdie(f->dwarf, unit, &die))
            continue;
        while ((at = dwarf_ranges(&die, at, &base, &first, &end)) > 0)
            add_range(f, first, end, unit);
    }
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
    const DwarfRange *r = a, *s = b;
    return r->first < s->first ? -1 : r->first > s->first;
}

static const GArray *unit_ranges(DwarfFile *f)
{
    if (f->ranges)
        return f->ranges;
    f->ranges = g_array_new(FALSE, FALSE, sizeof(DwarfRange));
    add_listed_ranges(f);
    if (!f->ranges->len)
        add_unit_ranges(f);
    g_array_sort(f->ranges, compare_ranges);
    return f->ranges;
}

bool dwarf_unit_at(DwarfFile *f, uint64_t linked, Dwarf_Die *unit)
{
    const GArray *ranges = unit_ranges(f);
    unsigned n = search_upper(ranges->data, ranges->len, sizeof(DwarfRange), offsetof(DwarfRange, first), linked);
    if (!n || linked >= g_array_index(ranges, DwarfRange, n - 1).end)
        return false;
    return dwarf_offdie(f->dwarf, g_array_index(ranges, DwarfRange, n - 1).unit, unit);
}

#endif
