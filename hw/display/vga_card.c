/*
 * What graphics cards with a VGA in them have in common: memory, ROM, ports, monitor, console, and their state.
 */
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { VBE_PORT = 0x1ce, VBE_VERSION = 0xb0c5, ROM_MIN = 2048, ROM_MAX = 16 << 20 };
enum { START_WIDTH = 640, START_HEIGHT = 480, LINE_DOTS = 260 * 16 };

/* ---- ports ---- */

static uint64_t mono_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return vga_port_read(opaque, 0x3b0 + offset);
}

static void mono_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    vga_port_write(opaque, 0x3b0 + offset, value);
}

static uint64_t color_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return vga_port_read(opaque, 0x3c0 + offset);
}

static void color_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    vga_port_write(opaque, 0x3c0 + offset, value);
}

/* Index at 1CEh, data at 1CFh and, for processors that need it aligned, at 1D0h; words only. */
static uint64_t vbe_port_read(void *opaque, uint64_t offset, unsigned size)
{
    const Vga *v = opaque;
    if (size != 2)
        return ~UINT64_C(0);
    return offset == 0 ? v->vbe_index : vbe_read(v, v->vbe_index);
}

static void vbe_port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Vga *v = opaque;
    if (size != 2)
        log_guest_error("VGA: write of a byte to VBE port 0x%x dropped: it takes words", (unsigned)(VBE_PORT + offset));
    else if (offset == 0)
        v->vbe_index = value;
    else
        vbe_write(v, v->vbe_index, value);
}

static const RegionOps mono_ops = { .read = mono_read, .write = mono_write, .min_size = 1, .max_size = 1 };
static const RegionOps color_ops = { .read = color_read, .write = color_write, .min_size = 1, .max_size = 1 };
static const RegionOps vbe_ops = { .read = vbe_port_read, .write = vbe_port_write, .min_size = 1, .max_size = 2 };

/* ---- the monitor ---- */

void vga_prefer(Vga *v, unsigned width, unsigned height)
{
    v->prefer_x = width;
    v->prefer_y = height;
    edid_make(v->edid, width, height, v->size);
}

/* ---- making ---- */

static gboolean memory_make(Vga *v, GError **err)
{
    if (v->vgamem_mb && !is_power_of_2(v->vgamem_mb))
        return error_set(err, "device '%s': property 'vgamem_mb' takes a power of 2, not %u", v->pci.dev.id,
                         v->vgamem_mb);
    if (v->vgamem_mb)
        v->size = v->vgamem_mb * MiB;
    v->vram = region_new_ram(v->pci.dev.machine->pool, "vga.vram", v->size, err);
    if (!v->vram)
        return FALSE;
    v->memory = region_host(v->vram);
    return TRUE;
}

/* The ROM BAR's size is a power of two, what the file leaves is 0. */
static gboolean rom_make(Vga *v, GError **err)
{
    g_autofree char *image = NULL;
    gsize size;
    if (!v->romfile || !*v->romfile)
        return TRUE;
    if (!g_file_get_contents(v->romfile, &image, &size, err)) {
        g_prefix_error(err, "device '%s': property 'romfile': ", v->pci.dev.id);
        return FALSE;
    }
    if (!size || size > ROM_MAX)
        return error_set(err, "device '%s': property 'romfile': '%s' has %" G_GSIZE_FORMAT
                         " bytes; a ROM has 1 byte to 16 MiB", v->pci.dev.id, v->romfile, size);
    v->rom = region_new_rom(v->pci.dev.machine->pool, "vga.rom",
                            MAX(BIT(bit_highest(size) + !is_power_of_2(size)), ROM_MIN), err);
    if (!v->rom)
        return FALSE;
    memcpy(region_host(v->rom), image, size);
    return TRUE;
}

static void ports_add(Vga *v, unsigned count)
{
    static const struct { uint16_t port, size; const RegionOps *ops; const char *name; } places[] = {
        { 0x3b0, 12, &mono_ops, "vga-mono" }, { 0x3c0, 32, &color_ops, "vga-color" }, { VBE_PORT, 4, &vbe_ops, "vbe" },
    };
    for (unsigned n = 0; n < count; n++) {
        v->ports[n] = region_new_io(places[n].name, places[n].size, places[n].ops, v);
        region_add(as_root(v->pci.dev.machine->ports), places[n].port, v->ports[n], 0);
    }
}

static void picture_create(Vga *v)
{
    v->console.ops = &vga_console_ops;
    v->console.opaque = v;
    console_resize(&v->console, START_WIDTH, START_HEIGHT);
    console_announce(&v->console, v->pci.dev.machine);
}

void vga_parts_free(Vga *v)
{
    vga_memory_destroy(v);
    for (unsigned n = 0; n < ARRAY_SIZE(v->ports); n++)
        region_free(v->ports[n]);
    region_free(v->mmio);
    region_free(v->rom);
    region_free(v->vram);
    g_free(v->page_changed);
    g_free(v->page_again);
    g_free(v->cells);
    g_free(v->line);
}

gboolean vga_parts_create(Vga *v, unsigned parts, GError **err)
{
    if (!memory_make(v, err) || !rom_make(v, err)) {
        vga_parts_free(v);
        return FALSE;
    }
    v->page_changed = g_new0(uint8_t, v->size >> RAM_PAGE_BITS);
    v->page_again = g_new0(uint8_t, v->size >> RAM_PAGE_BITS);
    v->line = g_new0(uint32_t, LINE_DOTS);
    vga_prefer(v, v->xres, v->yres);
    if (parts & VGA_LEGACY) {
        ports_add(v, parts & VGA_VBE_PORTS ? 3 : 2);
        vga_memory_create(v);
    }
    return TRUE;
}

gboolean vga_card_create(Vga *v, const PciId *id, unsigned parts, GError **err)
{
    if (!pci_device_init(&v->pci, id, err))
        return FALSE;
    if (!vga_parts_create(v, parts, err)) {
        pci_device_exit(&v->pci);
        return FALSE;
    }
    picture_create(v);
    return TRUE;
}

void vga_card_destroy(Vga *v)
{
    pci_device_exit(&v->pci);
    console_withdraw(&v->console, v->pci.dev.machine);
    vga_parts_free(v);
}

/* Memory keeps its contents, as a reset does not stop its refresh. */
void vga_registers_reset(Vga *v)
{
    v->misc = v->feature = v->sr_index = v->gr_index = v->cr_index = v->ar_index = 0;
    v->enabled = 1;
    memset(v->sr, 0, sizeof v->sr);
    memset(v->gr, 0, sizeof v->gr);
    memset(v->cr, 0, sizeof v->cr);
    memset(v->ar, 0, sizeof v->ar);
    memset(v->palette, 0, sizeof v->palette);
    memset(v->dac_latch, 0, sizeof v->dac_latch);
    memset(v->vbe, 0, sizeof v->vbe);
    v->ar_data = false;
    v->dac_read_index = v->dac_write_index = v->dac_sub = v->dac_state = 0;
    v->pel_mask = 0xff;
    v->latch = 0;
    v->vbe_index = 0;
    ddc_reset(&v->ddc);
    v->ddc_on = false;
    v->vbe[VBE_ID] = VBE_VERSION;
    v->vbe[VBE_MEMORY_64K] = MIN(v->size >> 16, UINT16_MAX);
    vga_window_update(v);
    vga_draw_forget(v);
}

void vga_card_reset(Vga *v)
{
    pci_device_reset(&v->pci);
    vga_registers_reset(v);
}

/* ---- state ---- */

/* Numbers that index something are within it, whatever the saved state says. */
gboolean vga_registers_loaded(Vga *v, GError **err)
{
    const char *id = v->pci.dev.id;
    if (v->layout >= LAYOUT_COUNT || v->dac_sub > 2)
        return error_set(err, "%s: the saved state has no such layout or DAC state", id);
    if (v->prefer_x < EDID_WIDTH_MIN || v->prefer_x > EDID_MAX || v->prefer_y < EDID_HEIGHT_MIN ||
        v->prefer_y > EDID_MAX)
        return error_set(err, "%s: the saved state's monitor prefers %u x %u", id, v->prefer_x, v->prefer_y);
    vga_prefer(v, v->prefer_x, v->prefer_y);
    ddc_restored(&v->ddc);
    vbe_restored(v);
    vga_window_update(v);
    vga_draw_forget(v);
    return TRUE;
}

gboolean vga_card_post_load(Vga *v, GError **err)
{
    pci_device_restored(&v->pci);
    return vga_registers_loaded(v, err);
}

const StateField vga_registers_state[] = {
    STATE_U8(Vga, misc), STATE_U8(Vga, feature), STATE_U8(Vga, enabled),
    STATE_U8(Vga, sr_index), STATE_BYTES(Vga, sr), STATE_U8(Vga, gr_index), STATE_BYTES(Vga, gr),
    STATE_U8(Vga, cr_index), STATE_BYTES(Vga, cr), STATE_U8(Vga, ar_index), STATE_BYTES(Vga, ar),
    STATE_BOOL(Vga, ar_data), STATE_BYTES(Vga, palette), STATE_U8(Vga, dac_read_index),
    STATE_U8(Vga, dac_write_index), STATE_U8(Vga, dac_sub), STATE_U8(Vga, dac_state), STATE_BYTES(Vga, dac_latch),
    STATE_U8(Vga, pel_mask), STATE_U32(Vga, latch), STATE_U16(Vga, vbe_index), STATE_ARRAY_U16(Vga, vbe),
    STATE_U8(Vga, layout), STATE_STRUCT(Vga, ddc, ddc_state), STATE_BOOL(Vga, ddc_on), STATE_U32(Vga, prefer_x),
    STATE_U32(Vga, prefer_y), STATE_END
};

const StateField vga_card_state[] = {
    STATE_STRUCT(Vga, pci, pci_device_state),
    { .name = "registers", .type = STATE_TYPE_STRUCT, .size = sizeof(Vga), .count = 1, .fields = vga_registers_state },
    STATE_END
};
