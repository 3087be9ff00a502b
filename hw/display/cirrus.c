/*
 * The Cirrus card as a device (cirrus.h): PCI function 1013h:00B8h.  BAR 0 has the linear frame buffer, and 16 MiB
 * behind it a window whose only purpose is to take the bytes of blits; BAR 1 the VGA's ports and the blitter's
 * registers.
 */
#include "hw/display/cirrus.h"

#include "core/error.h"
#include "hw/display/cirrus_state.h"
#include "util/bits.h"

enum { BAR_SIZE = 32 << 20, FEED_AT = 16 << 20, FEED_SIZE = 4 << 20, MMIO_SIZE = 0x1000, PLAIN_PRIORITY = 1,
       FED_NS = 50000000 };

/* ---- memory ---- */

void cirrus_window_update(Cirrus *c)
{
    bool plain = cirrus_linear_plain(c);
    vga_window_update(&c->vga);
    if (plain != c->linear_plain)
        region_set_enabled(c->vga.vram, plain);
    c->linear_plain = plain;
}

/*
 * While a blit waits for bytes, the windows are registers.  Drivers draw text by thousands of such blits a second, and
 * each change of the memory's map costs processors their caches of it; so the windows become RAM again only when there
 * was none for a while.
 */
void cirrus_window_fed(Cirrus *c)
{
    c->fed_again = true;
    if (c->fed)
        return;
    c->fed = true;
    cirrus_window_update(c);
    timer_arm(c->fed_timer, clock_now(c->vga.pci.dev.machine->clocks, MYNA_CLOCK_REALTIME) + FED_NS);
}

static void fed_timer_fired(void *opaque)
{
    Cirrus *c = opaque;
    if (c->fed_again || cirrus_blit_takes(c)) {
        c->fed_again = false;
        timer_arm(c->fed_timer, clock_now(c->vga.pci.dev.machine->clocks, MYNA_CLOCK_REALTIME) + FED_NS);
        return;
    }
    c->fed = false;
    cirrus_window_update(c);
}

static uint64_t linear_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned k = 0; k < size; k++)
        value |= (uint64_t)cirrus_linear_read_byte(opaque, offset + k) << 8 * k;
    return value;
}

static void linear_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    for (unsigned k = 0; k < size; k++)
        cirrus_linear_write_byte(opaque, offset + k, value >> 8 * k);
}

static uint64_t feed_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return ~UINT64_C(0);
}

static void feed_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Cirrus *c = opaque;
    (void)offset;
    for (unsigned k = 0; k < size && cirrus_blit_takes(c); k++)
        cirrus_blit_feed(c, value >> 8 * k);
}

static const RegionOps linear_ops = { .read = linear_read, .write = linear_write, .min_size = 1, .max_size = 8 };
static const RegionOps feed_ops = { .read = feed_read, .write = feed_write, .min_size = 1, .max_size = 8 };
static const RegionOps mmio_ops = { .read = cirrus_mmio_read, .write = cirrus_mmio_write, .min_size = 1,
                                    .max_size = 4 };

static void bars_add(Cirrus *c)
{
    c->bar = region_new_container("cirrus-bar", BAR_SIZE);
    c->linear = region_new_io("cirrus-linear", CIRRUS_MEMORY, &linear_ops, c);
    c->feed_window = region_new_io("cirrus-feed", FEED_SIZE, &feed_ops, c);
    c->mmio = region_new_io("cirrus-mmio", MMIO_SIZE, &mmio_ops, c);
    region_add(c->bar, 0, c->linear, 0);
    region_add(c->bar, 0, c->vga.vram, PLAIN_PRIORITY);
    region_add(c->bar, FEED_AT, c->feed_window, 0);
    c->linear_plain = true;
    pci_add_bar(&c->vga.pci, 0, PCI_BAR_PREFETCH, c->bar);
    pci_add_bar(&c->vga.pci, 1, PCI_BAR_MEMORY, c->mmio);
    if (c->vga.rom)
        pci_add_bar(&c->vga.pci, 6, PCI_BAR_MEMORY, c->vga.rom);
}

/* ---- the device ---- */

static gboolean cirrus_create(Device *dev, GError **err)
{
    static const PciId id = { .vendor = 0x1013, .device = 0x00b8, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                              .class_code = 0x030000 };
    Cirrus *c = (Cirrus *)dev;
    c->vga.size = CIRRUS_MEMORY;
    c->vga.extension = &cirrus_extension;
    if (!vga_card_create(&c->vga, &id, VGA_LEGACY, err))
        return FALSE;
    bars_add(c);
    c->fed_timer = timer_new(dev->machine->clocks, MYNA_CLOCK_REALTIME, fed_timer_fired, c);
    return TRUE;
}

static void cirrus_destroy(Device *dev)
{
    Cirrus *c = (Cirrus *)dev;
    timer_free(c->fed_timer);
    region_remove(c->vga.vram);
    region_remove(c->linear);
    region_remove(c->feed_window);
    vga_card_destroy(&c->vga);
    region_free(c->linear);
    region_free(c->feed_window);
    region_free(c->bar);
    region_free(c->mmio);
}

static void cirrus_reset(Device *dev)
{
    Cirrus *c = (Cirrus *)dev;
    cirrus_regs_reset(c);
    vga_card_reset(&c->vga);
    cirrus_window_update(c);
}

static gboolean cirrus_post_load(Device *dev, GError **err)
{
    Cirrus *c = (Cirrus *)dev;
    if (!cirrus_blit_restored(c))
        return error_set(err, "%s: the saved state has no such blit", dev->id);
    if (!vga_card_post_load(&c->vga, err))
        return FALSE;
    if (cirrus_blit_takes(c))
        cirrus_window_fed(c);
    cirrus_window_update(c);
    return TRUE;
}

static const StateField feed_state[] = {
    STATE_U32(CirrusFeed, need), STATE_U32(CirrusFeed, have), STATE_U32(CirrusFeed, lines),
    STATE_U32(CirrusFeed, line), STATE_U32(CirrusFeed, total), STATE_U8(CirrusFeed, drop),
    STATE_BYTES(CirrusFeed, bytes), STATE_END
};

static const StateField cirrus_state[] = {
    STATE_STRUCT(Cirrus, vga, vga_card_state), STATE_BYTES(Cirrus, sr), STATE_BYTES(Cirrus, gr),
    STATE_BYTES(Cirrus, cr), STATE_U8(Cirrus, dac_reads), STATE_U8(Cirrus, dac_hidden),
    STATE_BYTES(Cirrus, pointer_palette), STATE_U16(Cirrus, pointer_x), STATE_U16(Cirrus, pointer_y),
    STATE_STRUCT(Cirrus, feed, feed_state), STATE_END
};

static const Property cirrus_properties[] = {
    PCI_ADDR_PROPERTY(Vga), VGA_PROPERTIES(Cirrus, vga.), PROPERTY_END
};

const DeviceType cirrus_vga_type = {
    .name = "cirrus-vga", .description = "Cirrus Logic CL-GD5446", .bus = "pci", .size = sizeof(Cirrus), .user = true,
    .properties = cirrus_properties, .create = cirrus_create, .reset = cirrus_reset, .destroy = cirrus_destroy,
    .state = cirrus_state, .post_load = cirrus_post_load,
};
