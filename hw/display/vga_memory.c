/*
 * The window A0000h..BFFFFh onto video memory: write modes 0 to 3, read modes 0 and 1, and the three ways of
 * addressing planes (IBM PS/2 Hardware Interface Technical Reference, "Video Memory Organization", "Graphics
 * Controller").  Where a mode is plain memory, a direct window of RAM covers this one.
 */
#include <string.h>

#include "core/machine.h"
#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { MISC_RAM_ENABLE = 2, MEMORY_SEQUENTIAL = 4, MEMORY_CHAIN4 = 8, MODE_ODD_EVEN = 0x10, MODE_READ_COMPARE = 8 };
enum { OUTSIDE = UINT32_MAX };
enum { WINDOW_SIZE = 128 << 10, WINDOW_PRIORITY = 1, DIRECT_PRIORITY = 2 };

/* Bit n of a nibble in all eight bits of byte n. */
static uint32_t spread(unsigned nibble)
{
    return (nibble & 1 ? 0xff : 0) | (nibble & 2 ? 0xff00 : 0) | (nibble & 4 ? 0xff0000 : 0) |
           (nibble & 8 ? 0xff000000 : 0);
}

static uint32_t replicate(uint8_t byte) { return byte * 0x01010101u; }

/* ---- addresses ---- */

/* The address within the window that the memory map field chooses, 17 bits wide when that is all of it. */
static uint32_t window_address(const Vga *v, uint32_t offset)
{
    static const struct { uint32_t start, size; } maps[4] = {
        { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 }
    };
    unsigned map = vga_vbe_on(v) ? 1 : v->gr[GR_MISC] >> 2 & 3;
    if (!v->enabled || !(v->misc & MISC_RAM_ENABLE) || offset - maps[map].start >= maps[map].size)
        return OUTSIDE;
    return offset - maps[map].start;
}

static bool vbe_linear(const Vga *v) { return vga_vbe_on(v) && v->vbe[VBE_BPP] != 4; }

static uint64_t bank_offset(const Vga *v) { return (uint64_t)v->vbe[VBE_BANK] << 16; }

/* In odd/even addressing bit 0 chooses the plane, and bit 16 (of the 128 KiB map) takes its place. */
static uint32_t place_odd_even(uint32_t address) { return (address & 0xfffe) | (address >> 16 & 1); }

/* Place and planes that an address means; sequential addressing means all of them. */
static uint32_t place_sequential(const Vga *v, uint32_t address)
{
    uint64_t place = address & 0xffff;
    if (vga_vbe_on(v))
        place += bank_offset(v);
    return place < v->size / 4 ? place : 0;
}

/* ---- reading ---- */

static uint32_t read_place(const Vga *v, uint32_t address, unsigned *plane)
{
    *plane = v->gr[GR_READ_MAP] & 3;
    if (v->sr[SR_MEMORY] & MEMORY_CHAIN4) {
        *plane = address & 3;
        return address & 0xfffc;
    }
    if (v->gr[GR_MODE] & MODE_ODD_EVEN) {
        *plane = (*plane & 2) | (address & 1);
        return place_odd_even(address);
    }
    return place_sequential(v, address);
}

/* Read mode 1: a bit is set where all planes that are cared for have the colour's bits. */
static uint8_t compare_color(const Vga *v)
{
    uint32_t differ = (v->latch ^ spread(v->gr[GR_COMPARE])) & spread(v->gr[GR_DONT_CARE]);
    return ~(differ | differ >> 8 | differ >> 16 | differ >> 24);
}

static uint8_t read_byte(Vga *v, uint32_t offset)
{
    uint32_t address = window_address(v, offset);
    unsigned plane;
    uint8_t value;
    if (v->extension && v->extension->window_read(v, offset, &value))
        return value;
    if (address == OUTSIDE)
        return 0xff;
    if (vbe_linear(v))
        return bank_offset(v) + address < v->size ? v->memory[bank_offset(v) + address] : 0xff;
    v->latch = vga_fetch(v, read_place(v, address, &plane));
    return v->gr[GR_MODE] & MODE_READ_COMPARE ? compare_color(v) : v->latch >> 8 * plane;
}

static uint64_t window_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned k = 0; k < size; k++)
        value |= (uint64_t)read_byte(opaque, offset + k) << 8 * k;
    return value;
}

/* ---- writing ---- */

static uint32_t write_place(const Vga *v, uint32_t address, unsigned *planes)
{
    *planes = v->sr[SR_MAP_MASK];
    if (v->sr[SR_MEMORY] & MEMORY_CHAIN4) {
        *planes &= 1 << (address & 3);
        return address & 0xfffc;
    }
    if (!(v->sr[SR_MEMORY] & MEMORY_SEQUENTIAL)) {
        *planes &= address & 1 ? 0x0a : 0x05;
        return place_odd_even(address);
    }
    return place_sequential(v, address);
}

static uint8_t rotate(const Vga *v, uint8_t byte)
{
    unsigned n = v->gr[GR_ROTATE] & 7;
    return byte >> n | byte << (8 - n);
}

static uint32_t combine(const Vga *v, uint32_t data)
{
    switch (v->gr[GR_ROTATE] >> 3 & 3) {
    case 1: return data & v->latch;
    case 2: return data | v->latch;
    case 3: return data ^ v->latch;
    default: return data;
    }
}

/* What the graphics controller makes of a byte, for all planes. */
static uint32_t write_data(const Vga *v, uint8_t byte)
{
    uint8_t mask = v->gr[GR_BIT_MASK];
    uint32_t set = spread(v->gr[GR_SET_RESET]), forced = spread(v->gr[GR_ENABLE_SET_RESET]), data;
    switch (v->gr[GR_MODE] & 3) {
    case 0: data = (replicate(rotate(v, byte)) & ~forced) | (set & forced); break;
    case 1: return v->latch;
    case 2: data = spread(byte & 15); break;
    default:
        mask &= rotate(v, byte);
        data = set;
        break;
    }
    uint32_t bits = replicate(mask);
    return (combine(v, data) & bits) | (v->latch & ~bits);
}

static void store_planes(Vga *v, uint32_t place, uint32_t data, uint32_t planes)
{
    uint32_t at = vga_index(v->layout, place), upper = at + vga_upper(v->layout, place);
    uint8_t *low = v->memory + at, *high = v->memory + upper;
    uint64_t pool_offset = region_pool_offset(v->vram);
    RamPool *pool = v->pci.dev.machine->pool;
    if (planes & 0xffff) {
        st16le(low, (ld16le(low) & ~planes) | (data & planes));
        ram_mark_written(pool, pool_offset + at, 2);
    }
    if (planes >> 16) {
        st16le(high, (ld16le(high) & ~(planes >> 16)) | (data & planes) >> 16);
        ram_mark_written(pool, pool_offset + upper, 2);
    }
}

static void write_byte(Vga *v, uint32_t offset, uint8_t byte)
{
    uint32_t address = window_address(v, offset);
    unsigned planes;
    if ((v->extension && v->extension->window_write(v, offset, byte)) || address == OUTSIDE)
        return;
    if (vbe_linear(v)) {
        uint64_t at = bank_offset(v) + address;
        if (at < v->size) {
            v->memory[at] = byte;
            ram_mark_written(v->pci.dev.machine->pool, region_pool_offset(v->vram) + at, 1);
        }
        return;
    }
    uint32_t place = write_place(v, address, &planes);
    store_planes(v, place, write_data(v, byte), spread(planes));
}

static void window_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    for (unsigned k = 0; k < size; k++)
        write_byte(opaque, offset + k, value >> 8 * k);
}

static const RegionOps window_ops = { .read = window_read, .write = window_write, .min_size = 1, .max_size = 8 };

/* ---- direct windows ---- */

/* Moves every byte of the planes from where the old layout has it to where the new one has it. */
static void layout_change(Vga *v, VgaLayout layout)
{
    if (v->layout == layout)
        return;
    g_autofree uint8_t *old = g_memdup2(v->memory, VGA_PLANES_SIZE);
    for (uint32_t place = 0; place < VGA_PLACES; place++) {
        const uint8_t *from = old + vga_index(v->layout, place);
        uint8_t *to = v->memory + vga_index(layout, place);
        memcpy(to, from, 2);
        memcpy(to + vga_upper(layout, place), from + vga_upper(v->layout, place), 2);
    }
    v->layout = layout;
    ram_mark_written(v->pci.dev.machine->pool, region_pool_offset(v->vram), VGA_PLANES_SIZE);
}

/* Whether a byte written is stored as it is, and one read is the memory's. */
static bool bytes_pass_unchanged(const Vga *v)
{
    return !v->gr[GR_ENABLE_SET_RESET] && !v->gr[GR_ROTATE] && !(v->gr[GR_MODE] & (3 | MODE_READ_COMPARE)) &&
           v->gr[GR_BIT_MASK] == 0xff;
}

/* The direct window that the present mode allows, what it shows, and the layout it needs. */
static VgaDirect direct_choose(const Vga *v, VgaLayout *layout, uint64_t *offset)
{
    unsigned map = v->gr[GR_MISC] >> 2 & 3;
    *layout = v->layout;
    *offset = vga_vbe_on(v) ? bank_offset(v) : 0;
    if (!v->enabled || !(v->misc & MISC_RAM_ENABLE))
        return DIRECT_NONE;
    if (v->extension && v->extension->window_own(v))
        return v->extension->window_direct(v, offset) ? DIRECT_A0 : DIRECT_NONE;
    if (vga_vbe_on(v))
        return vbe_linear(v) && bank_offset(v) + 0x10000 <= v->size ? DIRECT_A0 : DIRECT_NONE;
    if (!bytes_pass_unchanged(v))
        return DIRECT_NONE;
    if (v->sr[SR_MEMORY] & MEMORY_CHAIN4) {
        *layout = LAYOUT_CHAINED;
        return v->sr[SR_MAP_MASK] == 15 && map == 1 ? DIRECT_A0 : DIRECT_NONE;
    }
    *layout = LAYOUT_PAIRED;
    bool pairs = !(v->sr[SR_MEMORY] & MEMORY_SEQUENTIAL) && v->gr[GR_MODE] & MODE_ODD_EVEN &&
                 v->sr[SR_MAP_MASK] == 3 && !(v->gr[GR_READ_MAP] & 2);
    return !pairs || map < 2 ? DIRECT_NONE : map == 2 ? DIRECT_B0 : DIRECT_B8;
}

void vga_window_update(Vga *v)
{
    AddressSpace *as = v->pci.dev.machine->memory;
    VgaLayout layout;
    uint64_t offset;
    if (!v->window)
        return;
    VgaDirect direct = direct_choose(v, &layout, &offset);
    as_batch_begin(as);
    if (direct != v->direct_now && v->direct_now)
        region_set_enabled(v->direct[v->direct_now], false);
    if (direct && layout != v->layout)
        layout_change(v, layout);
    if (direct)
        region_set_alias_offset(v->direct[direct], offset);
    if (direct && direct != v->direct_now)
        region_set_enabled(v->direct[direct], true);
    v->direct_now = direct;
    as_batch_end(as);
}

static void direct_create(Vga *v, VgaDirect n, uint32_t address, uint32_t size)
{
    v->direct[n] = region_new_alias("vga-direct", v->vram, 0, size);
    region_set_enabled(v->direct[n], false);
    region_add(as_root(v->pci.dev.machine->memory), address, v->direct[n], DIRECT_PRIORITY);
}

void vga_memory_create(Vga *v)
{
    v->window = region_new_io("vga-window", WINDOW_SIZE, &window_ops, v);
    region_add(as_root(v->pci.dev.machine->memory), VGA_WINDOW, v->window, WINDOW_PRIORITY);
    direct_create(v, DIRECT_A0, 0xa0000, 0x10000);
    direct_create(v, DIRECT_B0, 0xb0000, 0x8000);
    direct_create(v, DIRECT_B8, 0xb8000, 0x8000);
}

void vga_memory_destroy(Vga *v)
{
    for (unsigned n = DIRECT_A0; n < DIRECT_COUNT; n++)
        region_free(v->direct[n]);
    region_free(v->window);
}
