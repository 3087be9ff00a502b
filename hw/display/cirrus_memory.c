/*
 * The Cirrus card's ways into its memory: two banks of 32 KiB in the VGA's window, the linear frame buffer, and write
 * modes 4 and 5, which expand a byte to eight pixels (TRM, "Extended Write Modes"; registers GR9, GRA, GRB).
 */
#include "hw/display/cirrus_state.h"

enum { WINDOW_BANKS = 0x10000, WINDOW_MMIO = 0x18000, MMIO_SIZE = 0x100, BANK_SIZE = 0x8000 };
enum { CONFIGURATION_MMIO = 4, CONFIGURATION_MMIO_LINEAR = 0x40 };

static unsigned write_mode(const Cirrus *c) { return (c->vga.gr[GR_MODE] & 3) | (c->gr[GR_MODE] & 4); }

static bool wide_pixels(const Cirrus *c)
{
    unsigned both = GR_EXTENSIONS_MODES | GR_EXTENSIONS_16_BIT;
    return (c->gr[GR_EXTENSIONS] & both) == both;
}

static bool expands(const Cirrus *c)
{
    return c->gr[GR_EXTENSIONS] & GR_EXTENSIONS_MODES && (write_mode(c) == 4 || write_mode(c) == 5);
}

/* Whether an address stands for 8 or 16 bytes. */
static unsigned address_shift(const Cirrus *c)
{
    return wide_pixels(c) ? 4 : c->gr[GR_EXTENSIONS] & GR_EXTENSIONS_BY_8 ? 3 : 0;
}

/* Where the blitter's registers are in memory: nowhere, at B8000h, or at the frame buffer's end. */
static bool mmio_low(const Cirrus *c)
{
    return (c->sr[SR_CONFIGURATION] & (CONFIGURATION_MMIO | CONFIGURATION_MMIO_LINEAR)) == CONFIGURATION_MMIO;
}

static bool mmio_linear(const Cirrus *c)
{
    unsigned both = CONFIGURATION_MMIO | CONFIGURATION_MMIO_LINEAR;
    return (c->sr[SR_CONFIGURATION] & both) == both;
}

bool cirrus_memory_plain(const Cirrus *c)
{
    return !c->fed && !address_shift(c) && !expands(c);
}

static void store(Cirrus *c, uint32_t place, uint8_t value)
{
    place &= cirrus_mask();
    c->vga.memory[place] = value;
    vga_written(&c->vga, place, 1);
}

/* Eight pixels of a byte: set bits in the foreground colour; clear ones in mode 5 in the background colour. */
static void store_expanded(Cirrus *c, uint32_t place, uint8_t bits)
{
    unsigned bytes = wide_pixels(c) ? 2 : 1;
    for (unsigned k = 0; k < 8 * bytes; k++) {
        bool set = bits >> (7 - k / bytes) & 1;
        if (set || write_mode(c) == 5)
            store(c, place + k, (set ? cirrus_foreground(c) : cirrus_background(c)) >> 8 * (k % bytes));
    }
}

static void memory_write(Cirrus *c, uint32_t place, uint8_t value)
{
    place <<= address_shift(c);
    if (expands(c))
        store_expanded(c, place, value);
    else
        store(c, place, value);
}

static uint8_t memory_read(const Cirrus *c, uint32_t place)
{
    return c->vga.memory[place << address_shift(c) & cirrus_mask()];
}

/* ---- the window ---- */

static uint32_t bank_base(const Cirrus *c, unsigned n)
{
    bool dual = c->gr[GR_EXTENSIONS] & GR_EXTENSIONS_DUAL;
    unsigned shift = c->gr[GR_EXTENSIONS] & GR_EXTENSIONS_16K ? 14 : 12;
    if (dual)
        return (uint32_t)c->gr[GR_OFFSET_0 + n] << shift;
    return ((uint32_t)c->gr[GR_OFFSET_0] << shift) + n * BANK_SIZE;
}

static uint32_t bank_place(const Cirrus *c, uint32_t offset)
{
    return bank_base(c, offset / BANK_SIZE) + offset % BANK_SIZE;
}

bool cirrus_window_own(const Vga *v) { return cirrus_extended((const Cirrus *)v); }

bool cirrus_window_direct(const Vga *v, uint64_t *offset)
{
    const Cirrus *c = (const Cirrus *)v;
    uint32_t base = bank_base(c, 0);
    *offset = base;
    return cirrus_memory_plain(c) && bank_base(c, 1) == base + BANK_SIZE && base + 2 * BANK_SIZE <= CIRRUS_MEMORY;
}

bool cirrus_window_read(Vga *v, uint32_t offset, uint8_t *value)
{
    Cirrus *c = (Cirrus *)v;
    if (!cirrus_extended(c))
        return false;
    *value = 0xff;
    if (offset < WINDOW_BANKS && bank_place(c, offset) < CIRRUS_MEMORY)
        *value = memory_read(c, bank_place(c, offset));
    else if (offset - WINDOW_MMIO < MMIO_SIZE && mmio_low(c))
        *value = cirrus_mmio_read(c, MMIO_SIZE + offset - WINDOW_MMIO, 1);
    return true;
}

bool cirrus_window_write(Vga *v, uint32_t offset, uint8_t value)
{
    Cirrus *c = (Cirrus *)v;
    if (!cirrus_extended(c))
        return false;
    if (offset < WINDOW_BANKS && cirrus_blit_takes(c))
        cirrus_blit_feed(c, value);
    else if (offset < WINDOW_BANKS && bank_place(c, offset) < CIRRUS_MEMORY)
        memory_write(c, bank_place(c, offset), value);
    else if (offset - WINDOW_MMIO < MMIO_SIZE && mmio_low(c))
        cirrus_mmio_write(c, MMIO_SIZE + offset - WINDOW_MMIO, value, 1);
    return true;
}

/* ---- the linear frame buffer ---- */

static bool linear_is_mmio(const Cirrus *c, uint32_t offset)
{
    return offset >= CIRRUS_MEMORY - MMIO_SIZE && mmio_linear(c);
}

bool cirrus_linear_plain(const Cirrus *c) { return cirrus_memory_plain(c) && !mmio_linear(c); }

uint8_t cirrus_linear_read_byte(Cirrus *c, uint32_t offset)
{
    if (linear_is_mmio(c, offset))
        return cirrus_mmio_read(c, MMIO_SIZE + offset % MMIO_SIZE, 1);
    return memory_read(c, offset);
}

void cirrus_linear_write_byte(Cirrus *c, uint32_t offset, uint8_t value)
{
    if (linear_is_mmio(c, offset))
        cirrus_mmio_write(c, MMIO_SIZE + offset % MMIO_SIZE, value, 1);
    else if (cirrus_blit_takes(c))
        cirrus_blit_feed(c, value);
    else
        memory_write(c, offset, value);
}
