/*
 * Starting a kernel without firmware: choice of the loader, the plan, and its execution (machines/boot.h).
 */
#include "machines/boot.h"

#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "cpu/system.h"
#include "util/bits.h"
#include "util/endian.h"

/* Free low memory for what loaders pass to kernels: above the places that boot sectors and trampolines like. */
enum { LOW_START = 0x9000, LOW_END = 0x9f000 };

typedef struct BootChunk {
    uint64_t address, size, mem_size;
    const uint8_t *data;
} BootChunk;

static const BootLoader *const loaders[] = {&boot_multiboot, &boot_pvh, &boot_linux};

/* ---- the plan ---- */

static BootPlan *plan_new(void)
{
    BootPlan *plan = g_new0(BootPlan, 1);
    plan->chunks = g_array_new(FALSE, FALSE, sizeof(BootChunk));
    plan->held = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    return plan;
}

void boot_plan_free(BootPlan *plan)
{
    if (!plan)
        return;
    g_array_unref(plan->chunks);
    g_ptr_array_unref(plan->held);
    g_free(plan);
}

static const uint8_t *plan_hold(BootPlan *plan, GBytes *bytes, size_t *size)
{
    g_ptr_array_add(plan->held, bytes);
    return g_bytes_get_data(bytes, size);
}

const uint8_t *boot_read_file(BootPlan *plan, const char *what, const char *file, size_t *size, GError **err)
{
    GError *cause = NULL;
    GMappedFile *map = g_mapped_file_new(file, FALSE, &cause);
    if (!map) {
        error_set(err, "%s %s: cannot read it: %s", what, file, cause->message);
        g_error_free(cause);
        return NULL;
    }
    GBytes *bytes = g_mapped_file_get_bytes(map);
    g_mapped_file_unref(map);
    const uint8_t *data = plan_hold(plan, bytes, size);
    if (!data)
        error_set(err, "%s %s: the file is empty", what, file);
    return data;
}

bool boot_is_ram(const BootSource *source, uint64_t address, uint64_t size)
{
    for (guint i = 0; size && i < source->memory_map->len; i++) {
        const E820Entry *e = &g_array_index(source->memory_map, E820Entry, i);
        if (e->type != E820_RAM || address < e->base || address - e->base >= e->size)
            continue;
        uint64_t here = MIN(size, e->size - (address - e->base));
        address += here;
        size -= here;
    }
    return !size;
}

gboolean boot_add(BootPlan *plan, const BootSource *source, const char *what, uint64_t address, const void *data,
                  uint64_t size, uint64_t mem_size, GError **err)
{
    if (!boot_is_ram(source, address, mem_size))
        return error_set(err, "%s: 0x%" PRIx64 "..0x%" PRIx64 " is not all RAM (RAM below 4 GiB ends at 0x%" PRIx64 ")",
                         what, address, address + mem_size, source->ram_below_4g);
    BootChunk c = {.address = address, .size = size, .mem_size = mem_size, .data = data};
    g_array_append_val(plan->chunks, c);
    return TRUE;
}

void boot_add_low(BootPlan *plan, uint64_t address, const void *data, size_t size)
{
    BootChunk c = {.address = address, .mem_size = size};
    c.data = plan_hold(plan, g_bytes_new(data, size), &size);
    c.size = size;
    g_array_append_val(plan->chunks, c);
}

/* The end of the chunk that overlaps the range, or 0. */
static uint64_t overlap_end(const BootPlan *plan, uint64_t address, uint64_t size)
{
    for (guint i = 0; i < plan->chunks->len; i++) {
        const BootChunk *c = &g_array_index(plan->chunks, BootChunk, i);
        if (address < c->address + c->mem_size && c->address < address + size)
            return c->address + c->mem_size;
    }
    return 0;
}

uint64_t boot_low_place(const BootPlan *plan, uint64_t size)
{
    uint64_t address = LOW_START, align = size >= 4096 ? 4096 : 16;
    while (size <= LOW_END - LOW_START && address <= LOW_END - size) {
        uint64_t end = overlap_end(plan, address, size);
        if (!end)
            return address;
        address = align_up(end, align);
    }
    return 0;
}

gboolean boot_add_somewhere_low(BootPlan *plan, const char *what, const void *data, size_t size, uint64_t *address,
                                GError **err)
{
    *address = boot_low_place(plan, size);
    if (!*address)
        return error_set(err, "%s: no room for its %zu bytes below 640 KiB", what, size);
    boot_add_low(plan, *address, data, size);
    return TRUE;
}

gboolean boot_add_gdt(BootPlan *plan, bool long_mode, GError **err)
{
    uint8_t gdt[0x30] = {0};
    st64le(gdt + BOOT_CS, long_mode ? UINT64_C(0x00af9b000000ffff) : UINT64_C(0x00cf9b000000ffff));
    st64le(gdt + BOOT_DS, UINT64_C(0x00cf93000000ffff));
    st64le(gdt + BOOT_TSS, UINT64_C(0x00008b0000000067));
    return boot_add_somewhere_low(plan, "-kernel", gdt, sizeof gdt, &plan->cpu.gdt, err);
}

/* ---- loading ---- */

static const BootLoader *loader_find(const uint8_t *image, size_t size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(loaders); i++) {
        if (loaders[i]->probe(image, size))
            return loaders[i];
    }
    return NULL;
}

static gboolean load_into(const BootSource *source, BootPlan *plan, GError **err)
{
    size_t size;
    const uint8_t *image = boot_read_file(plan, "-kernel", source->kernel, &size, err);
    if (!image)
        return FALSE;
    const BootLoader *loader = loader_find(image, size);
    if (!loader)
        return error_set(err, "-kernel %s: unknown format; known: Linux bzImage, Multiboot, ELF with a PVH note",
                         source->kernel);
    boot_environment_add(plan, source->serial_ports);
    return loader->load(source, image, size, plan, err);
}

BootPlan *boot_load(const BootSource *source, GError **err)
{
    BootPlan *plan = plan_new();
    plan->ram_below_4g = source->ram_below_4g;
    if (load_into(source, plan, err))
        return plan;
    boot_plan_free(plan);
    return NULL;
}

/* ---- execution ---- */

static void memory_clear(AddressSpace *as, uint64_t address, uint64_t size)
{
    static const uint8_t zeros[64 << 10];
    while (size) {
        uint64_t now = MIN(size, sizeof zeros);
        as_load_bytes(as, address, zeros, now);
        address += now;
        size -= now;
    }
}

static void segment_set_flat(Cpu *cpu, unsigned n, uint16_t sel, uint16_t attr)
{
    cpu->seg[n] = (Segment){.base = 0, .limit = UINT32_MAX, .sel = sel, .attr = attr};
}

static void segments_set(Cpu *cpu, const BootCpu *start)
{
    static const uint8_t data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
    uint16_t common = SA_P | SA_S | SA_ACCESSED | SA_WRITABLE | SA_G;
    segment_set_flat(cpu, SEG_CS, BOOT_CS, common | SA_CODE | (start->page_table ? SA_L : SA_DB));
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        segment_set_flat(cpu, data[i], BOOT_DS, common | SA_DB);
    cpu->seg[SEG_TR] = (Segment){.limit = 0x67, .sel = BOOT_TSS, .attr = SA_P | 0xb /* busy TSS */};
    cpu->gdtr = (TablePtr){.base = start->gdt, .limit = 0x2f};
    cpu->idtr = (TablePtr){.base = 0, .limit = 0};
}

static void paging_set(Cpu *cpu, const BootCpu *start)
{
    cpu->cr0 = CR0_PE | CR0_ET;
    if (!start->page_table)
        return;
    cpu->cr3 = start->page_table;
    cpu->cr4 = CR4_PAE;
    cpu->cr0 |= CR0_PG;
    efer_set(cpu, EFER_LME | EFER_LMA);
}

/*
 * Memory types as firmware sets them (SDM vol. 3A 12.11): write-back by default, uncached for the legacy video window
 * and for the devices below 4 GiB, write-protected for the ROM area.
 */
static void memory_types_set(Cpu *cpu, uint64_t ram_end)
{
    enum { UNCACHED = 0, WRITE_PROTECTED = 5, WRITE_BACK = 6, ENABLE = 0xc00, VALID = 0x800 };
    const uint64_t repeat = UINT64_C(0x0101010101010101);
    MtrrState *t = &cpu->mtrr;
    for (unsigned i = 0; i < ARRAY_SIZE(t->fixed); i++)
        t->fixed[i] = repeat * (i < 2 ? WRITE_BACK : i == 2 ? UNCACHED : WRITE_PROTECTED);
    uint64_t hole = ram_end <= 3 * GiB ? 3 * GiB : 3 * GiB + 512 * MiB;
    t->base[0] = hole | UNCACHED;
    t->mask[0] = (bit_mask(cpu->physical_bits) & ~(4 * GiB - hole - 1)) | VALID;
    t->def_type = ENABLE | WRITE_BACK;
}

static void cpu_start(Cpu *cpu, const BootCpu *start)
{
    segments_set(cpu, start);
    paging_set(cpu, start);
    for (unsigned i = 0; i < ARRAY_SIZE(start->gpr); i++)
        cpu->gpr[i] = start->gpr[i];
    cpu->rip = start->entry;
    cpu_update_mode(cpu);
}

void boot_plan_apply(const BootPlan *plan, Machine *m, Cpu *cpu)
{
    for (guint i = 0; i < plan->chunks->len; i++) {
        const BootChunk *c = &g_array_index(plan->chunks, BootChunk, i);
        as_load_bytes(m->memory, c->address, c->data, c->size);
        memory_clear(m->memory, c->address + c->size, c->mem_size - c->size);
    }
    boot_environment_start(m);
    memory_types_set(cpu, plan->ram_below_4g);
    cpu_start(cpu, &plan->cpu);
}
