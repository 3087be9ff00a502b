/*
 * The Bochs VBE registers: frame buffer modes of any size (Bochs doc "VBE BIOS/display interface", version B0C5h; QEMU
 * docs/specs/standard-vga).  A mode that does not fit into video memory is made to fit, as the interface demands.
 */
#include <string.h>

#include "core/machine.h"
#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { VBE_ID_FIRST = 0xb0c0, VBE_ID_LAST = 0xb0c5, VBE_MAX_XRES = 16000, VBE_MAX_YRES = 12000, VBE_MAX_BPP = 32 };

/* Bytes of n pixels side by side; in 16-colour modes in one plane. */
static unsigned pixel_bytes(unsigned bpp, unsigned n)
{
    return bpp == 4 ? n / 8 : n * ((bpp + 7) / 8);
}

/* From a line to the next; in 16-colour modes: of one plane. */
static unsigned line_bytes(const Vga *v) { return pixel_bytes(v->vbe[VBE_BPP], v->vbe[VBE_VIRT_WIDTH]); }

VgaFrame vbe_frame(const Vga *v)
{
    const uint16_t *r = v->vbe;
    unsigned planes = r[VBE_BPP] == 4 ? 4 : 1;
    VgaFrame f = { .width = r[VBE_XRES], .height = r[VBE_YRES], .bpp = r[VBE_BPP], .stride = line_bytes(v) * planes,
                   .repeat = 1 };
    f.start = r[VBE_Y_OFFSET] * f.stride + pixel_bytes(r[VBE_BPP], r[VBE_X_OFFSET]) * planes;
    return f;
}

/* Bytes that one line of a plane may be long, all in all. */
static uint64_t room(const Vga *v) { return v->vbe[VBE_BPP] == 4 ? v->size / 4 : v->size; }

static uint16_t depth_allowed(uint16_t bpp)
{
    static const uint8_t depths[] = { 4, 8, 15, 16, 24, 32 };
    for (unsigned k = 0; k < ARRAY_SIZE(depths); k++)
        if (bpp == depths[k])
            return bpp;
    return 8;
}

/* Brings the mode's registers into their limits; without a mode they are just numbers. */
static void fit(Vga *v)
{
    uint16_t *r = v->vbe;
    if (!vga_vbe_on(v))
        return;
    r[VBE_BPP] = depth_allowed(r[VBE_BPP]);
    r[VBE_XRES] = CLAMP(r[VBE_XRES] & ~7, 8, VBE_MAX_XRES);
    r[VBE_VIRT_WIDTH] = CLAMP(r[VBE_VIRT_WIDTH] & ~7, r[VBE_XRES], VBE_MAX_XRES);
    unsigned lines = MIN(room(v) / line_bytes(v), 65535);
    r[VBE_YRES] = CLAMP(r[VBE_YRES], 1, MIN(lines, VBE_MAX_YRES));
    r[VBE_VIRT_HEIGHT] = lines;
    r[VBE_X_OFFSET] = MIN(r[VBE_X_OFFSET], r[VBE_VIRT_WIDTH] - r[VBE_XRES]);
    r[VBE_Y_OFFSET] = MIN(r[VBE_Y_OFFSET], lines - r[VBE_YRES]);
}

void vbe_restored(Vga *v)
{
    fit(v);
    v->vbe[VBE_BANK] %= MAX(room(v) >> 16, 1);
}

static void clear_screen(Vga *v)
{
    uint64_t bytes = (uint64_t)line_bytes(v) * v->vbe[VBE_YRES] * (v->vbe[VBE_BPP] == 4 ? 4 : 1);
    memset(v->memory, 0, bytes);
    ram_mark_written(v->pci.dev.machine->pool, region_pool_offset(v->vram), bytes);
}

static void enable_write(Vga *v, uint16_t value)
{
    bool before = vga_vbe_on(v), now = value & VBE_ENABLED;
    v->vbe[VBE_ENABLE] = value;
    if (!now)
        v->vbe[VBE_BANK] = 0;
    if (now && !before) {
        v->vbe[VBE_VIRT_WIDTH] = v->vbe[VBE_X_OFFSET] = v->vbe[VBE_Y_OFFSET] = 0;
        fit(v);
        if (!(value & VBE_NOCLEARMEM))
            clear_screen(v);
    }
}

static uint16_t capability(unsigned index)
{
    return index == VBE_XRES ? VBE_MAX_XRES : index == VBE_YRES ? VBE_MAX_YRES : VBE_MAX_BPP;
}

/*
 * The monitor's wires (Bochs 2.6.10): bit 7 turns the register on; the guest drives the clock by bit 0 and data by bit
 * 1, and finds both in bits 2 and 3.
 */
static uint16_t ddc_read(const Vga *v)
{
    const Ddc *d = &v->ddc;
    return v->ddc_on ? d->clock | d->data << 1 | d->clock << 2 | ddc_data(d) << 3 : 0x0f;
}

static void ddc_write(Vga *v, uint16_t value)
{
    v->ddc_on = value & 0x80;
    if (v->ddc_on)
        ddc_drive(&v->ddc, v->edid, value & 1, value & 2);
}

uint16_t vbe_read(const Vga *v, unsigned index)
{
    if (index == VBE_DDC)
        return ddc_read(v);
    if (index >= VBE_COUNT)
        return 0;
    if (index >= VBE_XRES && index <= VBE_BPP && v->vbe[VBE_ENABLE] & VBE_GETCAPS)
        return capability(index);
    return v->vbe[index];
}

void vbe_write(Vga *v, unsigned index, uint16_t value)
{
    switch (index) {
    case VBE_ID:
        if (value >= VBE_ID_FIRST && value <= VBE_ID_LAST)
            v->vbe[VBE_ID] = value;
        break;
    case VBE_XRES: case VBE_YRES: case VBE_BPP: case VBE_VIRT_WIDTH: case VBE_X_OFFSET: case VBE_Y_OFFSET:
        v->vbe[index] = value;
        fit(v);
        break;
    case VBE_ENABLE: enable_write(v, value); break;
    case VBE_DDC: ddc_write(v, value); return;
    case VBE_BANK: v->vbe[VBE_BANK] = value % MAX(room(v) >> 16, 1); break;
    default: return;
    }
    vga_window_update(v);
}
