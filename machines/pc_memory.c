/*
 * Memory of the `pc` board: RAM below and above the hole for devices, the memory map, firmware, and memory sizes in CMOS.
 *
 *   0 .. 640 KiB          RAM
 *   A0000 .. BFFFF        the "pci" container: video memory
 *   C0000 .. FFFFF        RAM; the host bridge's PAM registers show firmware's last 128 KiB over it
 *   1 MiB .. below_4g     RAM
 *   below_4g .. 4 GiB     the container: devices, firmware at its end
 *   4 GiB ..              the rest of RAM
 */
#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "hw/timer/mc146818.h"
#include "machines/pc.h"
#include "util/bits.h"

enum { EBDA_START = 0x9fc00, LOW_END = 0xa0000, ROM_SHADOW_START = 0xc0000, BIOS_START = 0xf0000, HIGH_START = 0x100000 };
enum { FIRMWARE_UNIT = 64 << 10, FIRMWARE_MAX = 16 << 20, FIRMWARE_LOW = 128 << 10, FIRMWARE_HOLE = 256 << 10 };

#ifndef MYNA_DATA_DIR
#define MYNA_DATA_DIR "/usr/local/share/myna"
#endif

#define MAX_BELOW_4G UINT64_C(0xe0000000)

static Region *keep(Pc *pc, Region *r)
{
    g_ptr_array_add(pc->regions, r);
    return r;
}

/* Memory that does not fit below E0000000h leaves a whole gigabyte below 4 GiB to devices (as on QEMU's pc). */
static uint64_t ram_split(const Pc *pc)
{
    uint64_t size = pc->o->memory.size, limit = pc->o->machine.max_ram_below_4g;
    if (!limit)
        limit = size >= MAX_BELOW_4G ? 3 * GiB : MAX_BELOW_4G;
    return MIN(size, limit);
}

/* A window of RAM at the same or another address. */
static void ram_window(Pc *pc, const char *name, uint64_t from, uint64_t to, uint64_t address)
{
    if (from >= to)
        return;
    Region *alias = keep(pc, region_new_alias(name, pc->ram, from, to - from));
    region_add(as_root(pc->m->memory), address, alias, 0);
}

static void map_add(Pc *pc, uint64_t base, uint64_t end, uint32_t type)
{
    E820Entry e = {.base = base, .size = end - base, .type = type};
    if (base < end)
        g_array_append_val(pc->memory_map, e);
}

static void memory_map_make(Pc *pc)
{
    uint64_t size = pc->o->memory.size;
    map_add(pc, 0, EBDA_START, E820_RAM);
    map_add(pc, EBDA_START, LOW_END, E820_RESERVED);
    map_add(pc, BIOS_START, HIGH_START, E820_RESERVED);
    map_add(pc, HIGH_START, pc->ram_below_4g, E820_RAM);
    map_add(pc, 4 * GiB - FIRMWARE_HOLE, 4 * GiB, E820_RESERVED);
    map_add(pc, 4 * GiB, 4 * GiB + (size - pc->ram_below_4g), E820_RAM);
}

gboolean pc_memory_create(Pc *pc, GError **err)
{
    Machine *m = pc->m;
    uint64_t size = pc->o->memory.size, limit = pc->o->machine.max_ram_below_4g;
    if (limit && (limit < MiB || limit > 4 * GiB - FIRMWARE_MAX))
        return error_set(err, "-machine max-ram-below-4g=: takes 1M to 4080M");
    pc->regions = g_ptr_array_new();
    pc->memory_map = g_array_new(FALSE, FALSE, sizeof(E820Entry));
    pc->ram = region_new_ram(m->pool, "pc.ram", size, err);
    if (!pc->ram)
        return FALSE;
    keep(pc, pc->ram);
    m->ram_size = size;
    pc->ram_below_4g = ram_split(pc);
    as_batch_begin(m->memory);
    pc->pci = keep(pc, region_new_container("pci", bit_mask(52) + 1));
    region_add(as_root(m->memory), 0, pc->pci, -1);
    ram_window(pc, "ram-low", 0, LOW_END, 0);
    ram_window(pc, "ram-below-4g", ROM_SHADOW_START, pc->ram_below_4g, ROM_SHADOW_START);
    ram_window(pc, "ram-above-4g", pc->ram_below_4g, size, 4 * GiB);
    as_batch_end(m->memory);
    memory_map_make(pc);
    return TRUE;
}

/* Aliases were made after their targets and go first. */
void pc_memory_destroy(Pc *pc)
{
    if (!pc->regions)
        return;
    while (pc->regions->len) {
        Region *r = g_ptr_array_steal_index(pc->regions, pc->regions->len - 1);
        region_remove(r);
        region_free(r);
    }
    g_ptr_array_unref(pc->regions);
    g_array_unref(pc->memory_map);
}

/* ---- firmware ---- */

static char *firmware_find_in(const char *directory, const char *name)
{
    char *path = g_build_filename(directory, name, NULL);
    if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return path;
    g_free(path);
    return NULL;
}

/* A file name as it is, then along -L and the usual directories. */
char *pc_firmware_find(const Pc *pc, const char *name)
{
    static const char *const usual[] = {MYNA_DATA_DIR, "/usr/share/seabios", "/usr/share/qemu"};
    char *path = NULL;
    for (guint i = 0; !path && i < pc->o->paths->len; i++)
        path = firmware_find_in(g_ptr_array_index(pc->o->paths, i), name);
    for (unsigned i = 0; !path && i < ARRAY_SIZE(usual); i++)
        path = firmware_find_in(usual[i], name);
    return path;
}

static char *firmware_choose(const Pc *pc, GError **err)
{
    const char *given = pc->o->bios;
    if (given && g_file_test(given, G_FILE_TEST_IS_REGULAR))
        return g_strdup(given);
    char *path = given ? pc_firmware_find(pc, given) : pc_firmware_find(pc, "bios-256k.bin");
    if (!path && !given)
        path = pc_firmware_find(pc, "bios.bin");
    if (!path && given)
        error_set(err, "-bios %s: there is no such file, nor along -L", given);
    else if (!path)
        error_set(err, "no firmware: bios-256k.bin is not along -L, nor in " MYNA_DATA_DIR ", /usr/share/seabios, "
                  "/usr/share/qemu; -kernel needs none");
    return path;
}

/* The image ends at 4 GiB, where processors start; its last 128 KiB also show below 1 MiB. */
static gboolean firmware_map(Pc *pc, const char *path, const char *image, gsize size, GError **err)
{
    if (!size || size % FIRMWARE_UNIT || size > FIRMWARE_MAX)
        return error_set(err, "-bios %s: %" G_GSIZE_FORMAT " bytes; firmware has a multiple of 64 KiB, at most 16 MiB",
                         path, size);
    Region *rom = region_new_rom(pc->m->pool, "pc.bios", size, err);
    if (!rom)
        return FALSE;
    memcpy(region_host(keep(pc, rom)), image, size);
    region_add(pc->pci, 4 * GiB - size, rom, 0);
    gsize low = MIN(size, FIRMWARE_LOW);
    pc->rom_low = keep(pc, region_new_container("isa-bios", FIRMWARE_LOW));
    region_add(pc->rom_low, FIRMWARE_LOW - low, keep(pc, region_new_alias("isa-bios-end", rom, size - low, low)), 0);
    return TRUE;
}

gboolean pc_firmware_load(Pc *pc, GError **err)
{
    gsize size;
    char *image = NULL, *path = firmware_choose(pc, err);
    gboolean ok = path && g_file_get_contents(path, &image, &size, err) && firmware_map(pc, path, image, size, err);
    g_free(image);
    g_free(path);
    return ok;
}

/* ---- CMOS ---- */

enum { EQUIPMENT = 0x06 /* coprocessor, PS/2 mouse */ };

static void cmos_write16(Device *rtc, unsigned index, uint16_t value)
{
    mc146818_set_cmos(rtc, index, value);
    mc146818_set_cmos(rtc, index + 1, value >> 8);
}

/* Three places for boot devices in CMOS 3Dh and 38h, as SeaBIOS reads them. */
static void cmos_boot_order(Pc *pc, Device *rtc)
{
    const char *order = pc->o->boot.once ? pc->o->boot.once : pc->o->boot.order ? pc->o->boot.order : "cad";
    uint8_t codes[3] = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(codes) && order[i]; i++) {
        const char *known = "acdn", *found = strchr(known, order[i]);
        codes[i] = found ? found - known + 1 : 0;
    }
    mc146818_set_cmos(rtc, 0x3d, codes[1] << 4 | codes[0]);
    mc146818_set_cmos(rtc, 0x38, codes[2] << 4);
}

/* Kinds of drives A and B, and in the equipment byte that there are some, and how many. */
void pc_cmos_floppies(Pc *pc, uint8_t a, uint8_t b)
{
    Device *rtc = machine_find(pc->m, "rtc");
    unsigned count = !!a + !!b;

    mc146818_set_cmos(rtc, 0x10, a << 4 | b);
    mc146818_set_cmos(rtc, 0x14, EQUIPMENT | (count ? 1 | (count - 1) << 6 : 0));
}

void pc_cmos_fill(Pc *pc, Device *rtc)
{
    uint64_t below = pc->ram_below_4g, above = pc->o->memory.size - below;
    uint64_t extended = below > MiB ? MIN((below - MiB) / KiB, 65535) : 0;
    uint64_t past_16m = below > 16 * MiB ? MIN((below - 16 * MiB) / (64 * KiB), 65535) : 0;
    cmos_write16(rtc, 0x15, 640);
    cmos_write16(rtc, 0x17, extended);
    cmos_write16(rtc, 0x30, extended);
    cmos_write16(rtc, 0x34, past_16m);
    cmos_write16(rtc, 0x5b, above / (64 * KiB));
    mc146818_set_cmos(rtc, 0x5d, above / (64 * KiB) >> 16);
    mc146818_set_cmos(rtc, 0x5f, pc->cpu_count - 1);
    mc146818_set_cmos(rtc, 0x14, EQUIPMENT);
    cmos_boot_order(pc, rtc);
}
