/*
 * The Cirrus card's registers beyond the VGA's: in the sequencer, the graphics controller, the CRTC and the DAC, and
 * the blitter's in memory (TRM, "Extension Registers", "Memory-Mapped I/O"), and the frame buffers that they describe.
 *
 * Known to be inexact: the extensions need no key in SR6; video overlays are not there; the video clocks are not
 * heeded.
 */
#include <string.h>

#include "hw/display/cirrus_state.h"
#include "util/bits.h"

enum { UNLOCKED = 0x12, LOCKED = 0x0f, ID_5446 = 0xb8 };
enum { DDC_CLOCK = 1, DDC_DATA = 2, DDC_CLOCK_IN = 4, DDC_DATA_IN = 0x80 };
enum { POINTER_PALETTE = 2, DAC_HIDDEN_READS = 4, INTERLACED = 1, AUTOSTART = 0x80, RESET = 4, START = 2 };
enum { MMIO_BLIT = 0x100, MMIO_PORTS = 0x20, NO_REGISTER = 0xff };
enum { CR_LATCH = 0x22, CR_ATTRIBUTE_DATA = 0x24, CR_ATTRIBUTE_INDEX = 0x26, CR_MISC_CONTROL = 0x1a };

void cirrus_regs_reset(Cirrus *c)
{
    memset(c->sr, 0, sizeof c->sr);
    memset(c->gr, 0, sizeof c->gr);
    memset(c->cr, 0, sizeof c->cr);
    memset(c->pointer_palette, 0, sizeof c->pointer_palette);
    c->pointer_x = c->pointer_y = 0;
    c->dac_reads = c->dac_hidden = 0;
    c->sr[SR_UNLOCK] = LOCKED;
    c->sr[SR_DDC] = DDC_CLOCK | DDC_DATA;
    c->sr[0x0f] = 0x98;  /* DRAM: 64 bits wide, two banks */
    c->sr[0x15] = 0x04;  /* 4 MiB */
    c->sr[SR_CONFIGURATION] = 0x20; /* PCI */
    c->sr[0x1f] = 0x2d;  /* memory clock */
    c->gr[0x18] = 0x0f;  /* fastest memory */
    c->cr[CR_ID] = ID_5446;
    cirrus_blit_reset(c);
}

/* ---- sequencer ---- */

/* Of SR10 and SR11, the index's upper three bits are the position's lower ones. */
static unsigned sequencer_number(const Cirrus *c)
{
    unsigned n = c->vga.sr_index, low = n & 31;
    return low == SR_POINTER_X || low == SR_POINTER_Y ? low : n;
}

static uint8_t sequencer_read(const Cirrus *c, unsigned n)
{
    if (n == SR_DDC)
        return (c->sr[n] & ~(DDC_CLOCK_IN | DDC_DATA_IN)) | (c->vga.ddc.clock ? DDC_CLOCK_IN : 0) |
               (ddc_data(&c->vga.ddc) ? DDC_DATA_IN : 0);
    return n < CIRRUS_SR ? c->sr[n] : 0;
}

static void sequencer_write(Cirrus *c, unsigned n, uint8_t value)
{
    uint16_t position = value << 3 | c->vga.sr_index >> 5;
    if (n >= CIRRUS_SR)
        return;
    c->sr[n] = value;
    switch (n) {
    case SR_UNLOCK: c->sr[n] = (value & 0x17) == UNLOCKED ? UNLOCKED : LOCKED; break;
    case SR_DDC: ddc_drive(&c->vga.ddc, c->vga.edid, value & DDC_CLOCK, value & DDC_DATA); break;
    case SR_POINTER_X: c->pointer_x = position; break;
    case SR_POINTER_Y: c->pointer_y = position; break;
    case SR_EXTENDED: case SR_CONFIGURATION: cirrus_window_update(c); break;
    default: break;
    }
}

/* ---- graphics controller ---- */

static uint8_t graphics_mask(unsigned n)
{
    switch (n) {
    case GR_MODE: return 4; /* the VGA has the others */
    case GR_BLIT_WIDTH + 1: case GR_BLIT_TO_PITCH + 1: case GR_BLIT_FROM_PITCH + 1: return 0x1f;
    case GR_BLIT_HEIGHT + 1: return 7;
    case GR_BLIT_TO + 2: case GR_BLIT_FROM + 2: return 0x3f;
    default: return 0xff;
    }
}

static void blit_control(Cirrus *c, uint8_t before, uint8_t now)
{
    if (before & RESET && !(now & RESET))
        cirrus_blit_reset(c);
    else if (!(before & START) && now & START)
        cirrus_blit_start(c);
}

void cirrus_graphics_write(Cirrus *c, unsigned n, uint8_t value)
{
    if (n >= CIRRUS_GR)
        return;
    uint8_t before = c->gr[n];
    c->gr[n] = value & graphics_mask(n);
    if (n == GR_BLIT_STATUS)
        blit_control(c, before, value);
    else if (n == GR_BLIT_TO + 2 && c->gr[GR_BLIT_STATUS] & AUTOSTART)
        cirrus_blit_start(c);
    else if (n == GR_MODE || (n >= GR_OFFSET_0 && n <= GR_EXTENSIONS))
        cirrus_window_update(c);
}

/* ---- CRTC ---- */

static uint8_t crtc_read(const Cirrus *c, unsigned n)
{
    switch (n) {
    case CR_LATCH: return c->vga.latch >> 8 * (c->vga.gr[GR_READ_MAP] & 3);
    case CR_ATTRIBUTE_DATA: return c->vga.ar_data ? 0x80 : 0;
    case CR_ATTRIBUTE_INDEX: return c->vga.ar_index & 0x3f;
    default: return n < CIRRUS_CR ? c->cr[n] : 0;
    }
}

static void crtc_write(Cirrus *c, unsigned n, uint8_t value)
{
    if (n < CIRRUS_CR && n != CR_ID)
        c->cr[n] = value;
}

/* ---- DAC ---- */

/* The hidden register is behind four reads of the mask. */
static bool mask_read(Cirrus *c, uint8_t *value)
{
    if (c->dac_reads++ < DAC_HIDDEN_READS)
        return false;
    c->dac_reads = 0;
    *value = c->dac_hidden;
    return true;
}

static bool mask_write(Cirrus *c, uint8_t value)
{
    bool hidden = c->dac_reads == DAC_HIDDEN_READS;
    c->dac_reads = 0;
    if (hidden)
        c->dac_hidden = value;
    return hidden;
}

/* With SR12 bit 1 the palette's data port leads to the pointer's colours. */
static bool color_write(Cirrus *c, uint8_t value)
{
    Vga *v = &c->vga;
    if (!(c->sr[SR_POINTER] & POINTER_PALETTE))
        return false;
    c->pointer_palette[3 * (v->dac_write_index & 15) + v->dac_sub] = value & 63;
    if (++v->dac_sub == 3) {
        v->dac_sub = 0;
        v->dac_write_index++;
    }
    return true;
}

static bool color_read(Cirrus *c, uint8_t *value)
{
    Vga *v = &c->vga;
    if (!(c->sr[SR_POINTER] & POINTER_PALETTE))
        return false;
    *value = c->pointer_palette[3 * (v->dac_read_index & 15) + v->dac_sub];
    if (++v->dac_sub == 3) {
        v->dac_sub = 0;
        v->dac_read_index++;
    }
    return true;
}

/* ---- ports ---- */

static bool port_read(Vga *v, unsigned port, uint8_t *value)
{
    Cirrus *c = (Cirrus *)v;
    unsigned n;
    if (port != 0x3c6)
        c->dac_reads = 0;
    switch (port) {
    case 0x3c5:
        n = sequencer_number(c);
        *value = sequencer_read(c, n);
        return n >= SR_COUNT;
    case 0x3c6: return mask_read(c, value);
    case 0x3c9: return color_read(c, value);
    case 0x3cf:
        n = v->gr_index;
        *value = n < CIRRUS_GR ? c->gr[n] : 0;
        if (n == GR_MODE)
            *value = v->gr[n] | (c->gr[n] & 4);
        return n >= GR_COUNT || n <= 1 || n == GR_MODE;
    case 0x3d5:
        *value = crtc_read(c, v->cr_index);
        return v->cr_index >= CR_COUNT;
    default: return false;
    }
}

/* The VGA keeps its own, narrower, registers GR0, GR1 and GR5 as well. */
static bool graphics_port_write(Cirrus *c, uint8_t value)
{
    unsigned n = c->vga.gr_index;
    if (n >= GR_COUNT || n <= 1 || n == GR_MODE)
        cirrus_graphics_write(c, n, value);
    return n >= GR_COUNT;
}

static bool port_write(Vga *v, unsigned port, uint8_t value)
{
    Cirrus *c = (Cirrus *)v;
    unsigned n;
    if (port != 0x3c6)
        c->dac_reads = 0;
    switch (port) {
    case 0x3c4: v->sr_index = value; return true;
    case 0x3c5:
        n = sequencer_number(c);
        if (n >= SR_COUNT)
            sequencer_write(c, n, value);
        return n >= SR_COUNT;
    case 0x3c6: return mask_write(c, value);
    case 0x3c9: return color_write(c, value);
    case 0x3ce: v->gr_index = value; return true;
    case 0x3cf: return graphics_port_write(c, value);
    case 0x3d5:
        if (v->cr_index >= CR_COUNT)
            crtc_write(c, v->cr_index, value);
        return v->cr_index >= CR_COUNT;
    default: return false;
    }
}

/* ---- registers in memory ---- */

/* The blitter's, by offset; numbers of the graphics controller's registers. */
static uint8_t blit_register(uint64_t offset)
{
    static const uint8_t numbers[0x24] = {
        0x00, 0x10, 0x12, 0x14, 0x01, 0x11, 0x13, 0x15, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27,
        0x28, 0x29, 0x2a, NO_REGISTER, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, NO_REGISTER, 0x32, 0x33, 0x34, 0x35, NO_REGISTER,
        NO_REGISTER, 0x38, 0x39, NO_REGISTER, NO_REGISTER,
    };
    return offset < ARRAY_SIZE(numbers) ? numbers[offset] : offset == 0x40 ? GR_BLIT_STATUS : NO_REGISTER;
}

static uint8_t mmio_read_byte(Cirrus *c, uint64_t offset)
{
    if (offset < MMIO_PORTS)
        return vga_port_read(&c->vga, 0x3c0 + offset);
    uint8_t n = offset >= MMIO_BLIT ? blit_register(offset - MMIO_BLIT) : NO_REGISTER;
    return n == NO_REGISTER ? 0xff : c->gr[n];
}

static void mmio_write_byte(Cirrus *c, uint64_t offset, uint8_t value)
{
    uint8_t n = offset >= MMIO_BLIT ? blit_register(offset - MMIO_BLIT) : NO_REGISTER;
    if (offset < MMIO_PORTS)
        vga_port_write(&c->vga, 0x3c0 + offset, value);
    else if (n != NO_REGISTER)
        cirrus_graphics_write(c, n, value);
}

uint64_t cirrus_mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned k = 0; k < size; k++)
        value |= (uint64_t)mmio_read_byte(opaque, offset + k) << 8 * k;
    return value;
}

void cirrus_mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    for (unsigned k = 0; k < size; k++)
        mmio_write_byte(opaque, offset + k, value >> 8 * k);
}

/* ---- frame buffers ---- */

/* SR7 says how wide pixels are, the hidden register which 16 bits are meant. */
static unsigned depth(const Cirrus *c)
{
    switch (c->sr[SR_EXTENDED] & 0x0e) {
    case 0: return 8;
    case 4: return 24;
    case 8: return 32;
    default: return (c->dac_hidden & 15) == 1 ? 16 : 15;
    }
}

static bool frame(const Vga *v, VgaFrame *f)
{
    const Cirrus *c = (const Cirrus *)v;
    uint32_t more = c->cr[CR_EXTENDED_DISPLAY];
    uint32_t start = v->cr[CR_START_HIGH] << 8 | v->cr[CR_START_LOW] | (more & 1) << 16 | (more & 0x0c) << 15 |
                     (c->cr[CR_OVERLAY] & 0x80u) << 12;
    if (!cirrus_extended(c))
        return false;
    *f = (VgaFrame){ .width = (v->cr[CR_H_DISPLAY_END] + 1) * 8, .height = vga_lines_displayed(v), .bpp = depth(c),
                     .start = start * 4 & cirrus_mask(), .stride = (v->cr[CR_OFFSET] | (more & 0x10) << 4) * 8 };
    f->repeat = ((v->cr[CR_MAX_SCAN] & 31u) + 1) << (v->cr[CR_MAX_SCAN] >> 7);
    if (v->cr[CR_MODE] & CR_MODE_LINES_TIMES_2 || c->cr[CR_MISC_CONTROL] & INTERLACED)
        f->height *= 2;
    return true;
}

const VgaExtension cirrus_extension = {
    .port_read = port_read, .port_write = port_write, .window_read = cirrus_window_read,
    .window_write = cirrus_window_write, .window_own = cirrus_window_own, .window_direct = cirrus_window_direct,
    .frame = frame, .pointer_look = cirrus_pointer_look, .pointer_changed = cirrus_pointer_changed,
    .pointer_draw = cirrus_pointer_draw,
};
