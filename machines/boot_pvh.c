/*
 * Loads ELF kernels that have a PVH entry point (Xen: docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h): a note of
 * type XEN_ELFNOTE_PHYS32_ENTRY gives a physical address to enter in 32-bit mode without paging, EBX -> start info.
 */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "machines/boot.h"
#include "machines/boot_elf.h"
#include "util/bits.h"
#include "util/endian.h"

enum { PHYS32_ENTRY = 18, START_MAGIC = 0x336ec578, START_VERSION = 1, PAGE = 4096 };
/* struct hvm_start_info, hvm_modlist_entry, hvm_memmap_table_entry. */
enum {
    SI_VERSION = 4, SI_MODULE_COUNT = 12, SI_MODULES = 16, SI_CMDLINE = 24, SI_RSDP = 32, SI_MEMMAP = 40,
    SI_MEMMAP_COUNT = 48, SI_SIZE = 56, MODULE_SIZE = 32, MEMMAP_ENTRY = 24,
};

static bool pvh_probe(const uint8_t *image, size_t size)
{
    return elf_probe(image, size);
}

static gboolean entry_find(const ElfImage *elf, const char *name, BootPlan *plan, GError **err)
{
    size_t size;
    const uint8_t *note = elf_note(elf, "Xen", PHYS32_ENTRY, &size);
    if (!note || size < 4)
        return error_set(err, "-kernel %s: an ELF file with neither a Multiboot header nor a PVH note (a Linux vmlinux "
                         "needs CONFIG_PVH=y; its bzImage works)", name);
    plan->cpu.entry = size >= 8 ? ld64le(note) : ld32le(note);
    if (plan->cpu.entry > UINT32_MAX)
        return error_set(err, "-kernel %s: the PVH entry point 0x%" PRIx64 " is not below 4 GiB", name,
                         plan->cpu.entry);
    return TRUE;
}

static gboolean image_place(const BootSource *source, const uint8_t *image, size_t size, BootPlan *plan,
                            uint64_t *end, GError **err)
{
    ElfImage elf;
    if (!elf_open(&elf, source->kernel, image, size, err))
        return FALSE;
    gboolean ok = entry_find(&elf, source->kernel, plan, err);
    for (guint i = 0; ok && i < elf.segments->len; i++) {
        const ElfSegment *s = &g_array_index(elf.segments, ElfSegment, i);
        ok = boot_add(plan, source, source->kernel, s->paddr, elf.data + s->file_offset, s->file_size, s->mem_size,
                      err);
    }
    *end = elf_memory_end(&elf);
    elf_close(&elf);
    return ok;
}

/* -initrd is the one module; at the top of the memory below 4 GiB. */
static gboolean module_place(const BootSource *source, BootPlan *plan, uint64_t kernel_end, uint8_t *info, GError **err)
{
    if (!source->initrd)
        return TRUE;
    size_t size;
    const uint8_t *data = boot_read_file(plan, "-initrd", source->initrd, &size, err);
    if (!data)
        return FALSE;
    if (size > source->ram_below_4g || align_down(source->ram_below_4g - size, PAGE) < kernel_end)
        return error_set(err, "-initrd %s: its %zu MiB do not fit behind the kernel; see -m", source->initrd,
                         size >> 20);
    uint64_t at = align_down(source->ram_below_4g - size, PAGE), list;
    uint8_t entry[MODULE_SIZE] = {0};
    st64le(entry, at);
    st64le(entry + 8, size);
    if (!boot_add(plan, source, "-initrd", at, data, size, size, err) ||
        !boot_add_somewhere_low(plan, "-initrd", entry, sizeof entry, &list, err))
        return FALSE;
    st32le(info + SI_MODULE_COUNT, 1);
    st64le(info + SI_MODULES, list);
    return TRUE;
}

static gboolean cmdline_place(const BootSource *source, BootPlan *plan, uint8_t *info, GError **err)
{
    const char *text = source->append ? source->append : "";
    uint64_t at;
    if (!boot_add_somewhere_low(plan, "-append", text, strlen(text) + 1, &at, err))
        return FALSE;
    st64le(info + SI_CMDLINE, at);
    return TRUE;
}

static gboolean memory_map_place(const BootSource *source, BootPlan *plan, uint8_t *info, GError **err)
{
    const GArray *map = source->memory_map;
    uint8_t *list = g_malloc0((gsize)MEMMAP_ENTRY * map->len);
    uint64_t at;
    for (guint i = 0; i < map->len; i++) {
        const E820Entry *e = &g_array_index(map, E820Entry, i);
        st64le(list + MEMMAP_ENTRY * i, e->base);
        st64le(list + MEMMAP_ENTRY * i + 8, e->size);
        st32le(list + MEMMAP_ENTRY * i + 16, e->type);
    }
    gboolean ok = boot_add_somewhere_low(plan, "-kernel", list, MEMMAP_ENTRY * map->len, &at, err);
    g_free(list);
    if (!ok)
        return FALSE;
    st64le(info + SI_MEMMAP, at);
    st32le(info + SI_MEMMAP_COUNT, map->len);
    return TRUE;
}

static gboolean pvh_load(const BootSource *source, const uint8_t *image, size_t size, BootPlan *plan, GError **err)
{
    uint8_t info[SI_SIZE] = {0};
    uint64_t end, at;
    st32le(info, START_MAGIC);
    st32le(info + SI_VERSION, START_VERSION);
    st64le(info + SI_RSDP, source->rsdp);
    if (!image_place(source, image, size, plan, &end, err) || !module_place(source, plan, end, info, err) ||
        !cmdline_place(source, plan, info, err) || !memory_map_place(source, plan, info, err) ||
        !boot_add_somewhere_low(plan, "-kernel", info, sizeof info, &at, err))
        return FALSE;
    plan->cpu.gpr[R_BX] = at;
    return boot_add_gdt(plan, false, err);
}

const BootLoader boot_pvh = {"PVH", pvh_probe, pvh_load};
