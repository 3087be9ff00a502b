/*
 * Loads Multiboot kernels (Multiboot Specification version 0.6.96), ELF of either class, or flat by the header's
 * address fields.  Modules are -initrd "FILE ARGUMENTS,FILE ARGUMENTS".
 */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/options.h"
#include "machines/boot.h"
#include "machines/boot_elf.h"
#include "util/bits.h"
#include "util/endian.h"

enum {
    HEADER_MAGIC = 0x1badb002, BOOT_MAGIC = 0x2badb002, SEARCH = 8192,
    WANT_VIDEO = 1 << 2, WANT_KNOWN = 7, HAS_ADDRESSES = 1 << 16, REQUIREMENTS = 0xffff,
};
/* Information structure: flags and offsets (section 3.3). */
enum { MBI_MEMORY = 1 << 0, MBI_CMDLINE = 1 << 2, MBI_MODULES = 1 << 3, MBI_MMAP = 1 << 6, MBI_LOADER = 1 << 9 };
enum {
    MBI_MEM_LOWER = 4, MBI_MEM_UPPER = 8, MBI_CMDLINE_AT = 16, MBI_MODS_COUNT = 20, MBI_MODS_AT = 24,
    MBI_MMAP_LENGTH = 44, MBI_MMAP_AT = 48, MBI_LOADER_NAME = 64, MBI_SIZE = 120,
    MODULE_SIZE = 16, MMAP_ENTRY = 24, LOW_KIB = 639, PAGE = 4096,
};

typedef struct Multiboot {
    const BootSource *source;
    BootPlan *plan;
    const uint8_t *file;
    size_t size;
    size_t header;          /* its offset in the file */
    uint32_t flags;
    uint64_t end;           /* of the image in memory: modules go behind it */
    uint8_t mbi[MBI_SIZE];
    uint32_t mbi_flags;
} Multiboot;

/* Offset of the header: 4-byte aligned within the first 8 KiB, its three words summing to 0 (3.1.1). */
static bool header_find(const uint8_t *image, size_t size, size_t *at)
{
    size_t end = MIN(size, SEARCH);
    for (size_t i = 0; i + 12 <= end; i += 4) {
        if (ld32le(image + i) == HEADER_MAGIC &&
            ld32le(image + i) + ld32le(image + i + 4) + ld32le(image + i + 8) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

static bool multiboot_probe(const uint8_t *image, size_t size)
{
    size_t at;
    return header_find(image, size, &at);
}

/* ---- the image ---- */

static gboolean elf_place(Multiboot *b, GError **err)
{
    ElfImage elf;
    if (!elf_open(&elf, b->source->kernel, b->file, b->size, err))
        return FALSE;
    gboolean ok = TRUE;
    for (guint i = 0; ok && i < elf.segments->len; i++) {
        const ElfSegment *s = &g_array_index(elf.segments, ElfSegment, i);
        ok = boot_add(b->plan, b->source, b->source->kernel, s->paddr, elf.data + s->file_offset, s->file_size,
                      s->mem_size, err);
    }
    b->plan->cpu.entry = elf_entry_physical(&elf);
    b->end = elf_memory_end(&elf);
    elf_close(&elf);
    if (ok && b->plan->cpu.entry > UINT32_MAX)
        return error_set(err, "-kernel %s: the entry point 0x%" PRIx64 " is not below 4 GiB", b->source->kernel,
                         b->plan->cpu.entry);
    return ok;
}

/* The header's address fields (3.1.3): load_end 0 means up to the end of the file, bss_end 0 none. */
static gboolean flat_place(Multiboot *b, GError **err)
{
    if (b->size - b->header < 32)
        return error_set(err, "-kernel %s: cut off in its Multiboot header", b->source->kernel);
    const uint8_t *h = b->file + b->header;
    uint32_t header_addr = ld32le(h + 12), load = ld32le(h + 16), load_end = ld32le(h + 20), bss_end = ld32le(h + 24);
    uint64_t lead = (uint64_t)header_addr - load;
    if (load > header_addr || lead > b->header)
        return error_set(err, "-kernel %s: Multiboot header_addr 0x%x does not fit load_addr 0x%x", b->source->kernel,
                         header_addr, load);
    uint64_t offset = b->header - lead, available = b->size - offset;
    if (load_end && (load_end < load || load_end - load > available))
        return error_set(err, "-kernel %s: Multiboot load_end_addr 0x%x lies beyond the file", b->source->kernel,
                         load_end);
    uint64_t size = load_end ? load_end - load : available;
    uint64_t mem_size = bss_end ? MAX(size, (uint64_t)MAX(bss_end, load) - load) : size;
    b->plan->cpu.entry = ld32le(h + 28);
    b->end = load + mem_size;
    return boot_add(b->plan, b->source, b->source->kernel, load, b->file + offset, size, mem_size, err);
}

static gboolean image_place(Multiboot *b, GError **err)
{
    uint32_t unknown = b->flags & REQUIREMENTS & ~WANT_KNOWN;
    if (unknown)
        return error_set(err, "-kernel %s: wants Multiboot features 0x%x, which the specification does not have",
                         b->source->kernel, unknown);
    if (b->flags & WANT_VIDEO)
        log_user("warning: %s asks for a video mode, which is not set up", b->source->kernel);
    return b->flags & HAS_ADDRESSES ? flat_place(b, err) : elf_place(b, err);
}

/* ---- modules ---- */

/* A module's whole text is its command line; its file name goes up to the first blank. */
static gboolean module_place(Multiboot *b, const char *text, uint8_t *entry, GError **err)
{
    size_t size;
    uint64_t string, at = align_up(b->end, PAGE);
    char *file = g_strndup(text, strcspn(text, " "));
    const uint8_t *data = boot_read_file(b->plan, "-initrd", file, &size, err);
    if (data && at + size > UINT32_MAX) {
        g_free(file);
        return error_set(err, "-initrd %s: no room below 4 GiB behind the kernel", text);
    }
    gboolean ok = data && boot_add(b->plan, b->source, file, at, data, size, size, err) &&
                  boot_add_somewhere_low(b->plan, "-initrd", text, strlen(text) + 1, &string, err);
    g_free(file);
    if (!ok)
        return FALSE;
    b->end = at + size;
    st32le(entry, at);
    st32le(entry + 4, at + size);
    st32le(entry + 8, string);
    return TRUE;
}

static gboolean modules_place(Multiboot *b, GError **err)
{
    if (!b->source->initrd)
        return TRUE;
    char **modules = option_split(b->source->initrd);
    unsigned count = g_strv_length(modules);
    uint8_t *list = g_malloc0((gsize)MODULE_SIZE * (count + 1));
    uint64_t at = 0;
    gboolean ok = TRUE;
    for (unsigned i = 0; ok && i < count; i++)
        ok = module_place(b, g_strchug(modules[i]), list + MODULE_SIZE * i, err);
    ok = ok && boot_add_somewhere_low(b->plan, "-initrd", list, MODULE_SIZE * (count + 1), &at, err);
    b->mbi_flags |= MBI_MODULES;
    st32le(b->mbi + MBI_MODS_COUNT, count);
    st32le(b->mbi + MBI_MODS_AT, at);
    g_free(list);
    g_strfreev(modules);
    return ok;
}

/* ---- information ---- */

/* Memory from 1 MiB to the first hole, and the whole map (3.3, bits 0 and 6). */
static gboolean memory_describe(Multiboot *b, GError **err)
{
    const GArray *map = b->source->memory_map;
    uint8_t *list = g_malloc0((gsize)MMAP_ENTRY * map->len);
    uint64_t at;
    for (guint i = 0; i < map->len; i++) {
        const E820Entry *e = &g_array_index(map, E820Entry, i);
        uint8_t *to = list + MMAP_ENTRY * i;
        st32le(to, MMAP_ENTRY - 4);
        st64le(to + 4, e->base);
        st64le(to + 12, e->size);
        st32le(to + 20, e->type);
    }
    gboolean ok = boot_add_somewhere_low(b->plan, "-kernel", list, MMAP_ENTRY * map->len, &at, err);
    b->mbi_flags |= MBI_MEMORY | MBI_MMAP;
    st32le(b->mbi + MBI_MEM_LOWER, LOW_KIB);
    st32le(b->mbi + MBI_MEM_UPPER, b->source->ram_below_4g / KiB - 1024);
    st32le(b->mbi + MBI_MMAP_LENGTH, MMAP_ENTRY * map->len);
    st32le(b->mbi + MBI_MMAP_AT, ok ? at : 0);
    g_free(list);
    return ok;
}

static gboolean string_describe(Multiboot *b, const char *what, const char *text, uint32_t flag, unsigned offset,
                                GError **err)
{
    uint64_t at;
    if (!boot_add_somewhere_low(b->plan, what, text, strlen(text) + 1, &at, err))
        return FALSE;
    b->mbi_flags |= flag;
    st32le(b->mbi + offset, at);
    return TRUE;
}

/* The command line is the kernel's file name, then -append. */
static gboolean cmdline_describe(Multiboot *b, GError **err)
{
    const char *append = b->source->append;
    char *text = g_strconcat(b->source->kernel, append ? " " : "", append, NULL);
    gboolean ok = string_describe(b, "-append", text, MBI_CMDLINE, MBI_CMDLINE_AT, err);
    g_free(text);
    return ok;
}

static gboolean information_place(Multiboot *b, GError **err)
{
    uint64_t at;
    if (!memory_describe(b, err) || !cmdline_describe(b, err) ||
        !string_describe(b, "-kernel", "Myna", MBI_LOADER, MBI_LOADER_NAME, err))
        return FALSE;
    st32le(b->mbi, b->mbi_flags);
    if (!boot_add_somewhere_low(b->plan, "-kernel", b->mbi, sizeof b->mbi, &at, err))
        return FALSE;
    b->plan->cpu.gpr[R_AX] = BOOT_MAGIC;
    b->plan->cpu.gpr[R_BX] = at;
    return TRUE;
}

static gboolean multiboot_load(const BootSource *source, const uint8_t *image, size_t size, BootPlan *plan,
                               GError **err)
{
    Multiboot b = {.source = source, .plan = plan, .file = image, .size = size};
    header_find(image, size, &b.header);
    b.flags = ld32le(image + b.header + 4);
    return image_place(&b, err) && modules_place(&b, err) && information_place(&b, err) &&
           boot_add_gdt(plan, false, err);
}

const BootLoader boot_multiboot = {"Multiboot", multiboot_probe, multiboot_load};
