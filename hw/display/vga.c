/*
 * The cards of the Bochs VBE interface (vga.h): "VGA"; "secondary-vga", which leaves the legacy ports and addresses to
 * another card; "bochs-display", which has a frame buffer and no VGA at all (QEMU docs/specs/standard-vga and
 * docs/system/devices: the registers in BAR 2).
 *
 * Known to be inexact: a direct window (vga_state.h) does not load the latches; there is no vertical interrupt; the
 * border is not shown; the video DAC is not slower than the processor.
 */
#include "hw/display/vga.h"

#include "core/error.h"
#include "core/machine.h"
#include "hw/display/vga_state.h"
#include "util/bits.h"

enum { MMIO_SIZE = 0x1000, MMIO_PORTS = 0x400, MMIO_PORTS_SIZE = 0x20, MMIO_VBE = 0x500 };
enum { CLASS_VGA = 0x030000, CLASS_DISPLAY = 0x038000 };

/* ---- registers in memory ---- */

static uint8_t mmio_read_byte(Vga *v, uint64_t offset)
{
    if (offset < EDID_SIZE)
        return v->edid[offset];
    if (!v->legacy_free && offset - MMIO_PORTS < MMIO_PORTS_SIZE)
        return vga_port_read(v, 0x3c0 + offset - MMIO_PORTS);
    return 0xff;
}

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    if (size == 2 && offset - MMIO_VBE <= 2 * VBE_DDC)
        return vbe_read(opaque, (offset - MMIO_VBE) / 2);
    for (unsigned k = 0; k < size; k++)
        value |= (uint64_t)mmio_read_byte(opaque, offset + k) << 8 * k;
    return value;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    const Vga *v = opaque;
    if (size == 2 && offset - MMIO_VBE <= 2 * VBE_DDC) {
        vbe_write(opaque, (offset - MMIO_VBE) / 2, value);
        return;
    }
    for (unsigned k = 0; k < size && !v->legacy_free; k++)
        if (offset + k - MMIO_PORTS < MMIO_PORTS_SIZE)
            vga_port_write(opaque, 0x3c0 + offset + k - MMIO_PORTS, value >> 8 * k);
}

static const RegionOps mmio_ops = { .read = mmio_read, .write = mmio_write, .min_size = 1, .max_size = 2 };

/* ---- the device ---- */

void vga_bars_add(Vga *v, PciDevice *pci)
{
    v->mmio = region_new_io("vga-mmio", MMIO_SIZE, &mmio_ops, v);
    pci_add_bar(pci, 0, PCI_BAR_PREFETCH, v->vram);
    pci_add_bar(pci, 2, PCI_BAR_MEMORY, v->mmio);
    if (v->rom)
        pci_add_bar(pci, 6, PCI_BAR_MEMORY, v->rom);
}

static gboolean card_create(Vga *v, uint32_t class_code, unsigned parts, GError **err)
{
    PciId id = { .vendor = 0x1234, .device = 0x1111, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                 .class_code = class_code, .revision = 2 };
    if (!vga_card_create(v, &id, parts, err))
        return FALSE;
    vga_bars_add(v, &v->pci);
    return TRUE;
}

static gboolean vga_create(Device *dev, GError **err)
{
    return card_create((Vga *)dev, CLASS_VGA, VGA_LEGACY | VGA_VBE_PORTS, err);
}

static gboolean secondary_create(Device *dev, GError **err) { return card_create((Vga *)dev, CLASS_DISPLAY, 0, err); }

static gboolean bochs_create(Device *dev, GError **err)
{
    ((Vga *)dev)->legacy_free = true;
    return card_create((Vga *)dev, CLASS_DISPLAY, 0, err);
}

static void vga_destroy(Device *dev) { vga_card_destroy((Vga *)dev); }
static void vga_reset(Device *dev) { vga_card_reset((Vga *)dev); }
static gboolean vga_post_load(Device *dev, GError **err) { return vga_card_post_load((Vga *)dev, err); }

static const Property vga_properties[] = {
    PCI_ADDR_PROPERTY(Vga),
    { .name = "vgamem_mb", .type = PROP_U32, .offset = offsetof(Vga, vgamem_mb), .initial = 16, .min = 1, .max = 256,
      .help = "video memory in MiB, a power of 2" },
    VGA_PROPERTIES(Vga, ),
    PROPERTY_END
};

const DeviceType vga_type = {
    .name = "VGA", .description = "standard VGA with Bochs VBE", .bus = "pci", .size = sizeof(Vga), .user = true,
    .properties = vga_properties, .create = vga_create, .reset = vga_reset, .destroy = vga_destroy,
    .state = vga_card_state, .post_load = vga_post_load,
};

const DeviceType secondary_vga_type = {
    .name = "secondary-vga", .description = "standard VGA beside another card, without legacy addresses", .bus = "pci",
    .size = sizeof(Vga), .user = true, .properties = vga_properties, .create = secondary_create, .reset = vga_reset,
    .destroy = vga_destroy, .state = vga_card_state, .post_load = vga_post_load,
};

const DeviceType bochs_display_type = {
    .name = "bochs-display", .description = "frame buffer with Bochs VBE registers, without a VGA", .bus = "pci",
    .size = sizeof(Vga), .user = true, .properties = vga_properties, .create = bochs_create, .reset = vga_reset,
    .destroy = vga_destroy, .state = vga_card_state, .post_load = vga_post_load,
};
