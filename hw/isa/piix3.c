/*
 * The PIIX3 ISA bridge, function 0 of its slot: PIRQ routing and the reset control register (Intel 82371SB datasheet,
 * sections 2.2 and 2.5.8.5).
 */
#include "hw/isa/piix3.h"

#include <string.h>

#include "core/machine.h"
#include "util/endian.h"

enum { PIRQRC = 0x60 };
#define PIRQ_OFF 0x80

struct Piix3 {
    PciDevice pci;
    IrqLine isa[16];
    bool level[4];       /* PIRQA..D */
    uint8_t reset_control;
    Region *reset_port;
};

void piix3_set_isa_lines(Piix3 *p, const IrqLine isa[16]) { memcpy(p->isa, isa, sizeof p->isa); }

/* An ISA line that PIRQs feed is up while any of them is. */
static void update_isa_line(Piix3 *p, unsigned irq)
{
    bool up = false, routed = false;
    for (unsigned k = 0; k < 4; k++)
        if (p->pci.config[PIRQRC + k] == irq) {
            routed = true;
            up |= p->level[k];
        }
    if (routed)
        irq_set(&p->isa[irq], up);
}

static void pirq_set(void *opaque, int n, int level)
{
    Piix3 *p = opaque;
    p->level[n] = level;
    if (!(p->pci.config[PIRQRC + n] & PIRQ_OFF))
        update_isa_line(p, p->pci.config[PIRQRC + n] & 15);
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if (offset + size <= PIRQRC || offset >= PIRQRC + 4)
        return;
    Piix3 *p = (Piix3 *)pci;
    for (unsigned irq = 3; irq < 16; irq++)
        update_isa_line(p, irq);
}

static uint64_t reset_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset;
    (void)size;
    return ((Piix3 *)opaque)->reset_control;
}

static void reset_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Piix3 *p = opaque;
    (void)offset;
    (void)size;
    if ((v & 4) && !(p->reset_control & 4)) {
        machine_request_reset(p->pci.dev.machine, "port 0xcf9");
        return;
    }
    p->reset_control = v & 2;
}

static const RegionOps reset_ops = { .read = reset_read, .write = reset_write, .min_size = 1, .max_size = 1 };

static gboolean piix3_create(Device *dev, GError **err)
{
    static const PciId id = { .vendor = 0x8086, .device = 0x7000, .class_code = 0x060100,
                              .subsystem_vendor = 0x1af4, .subsystem = 0x1100 };
    Piix3 *p = (Piix3 *)dev;
    IrqLine lines[4];
    if (p->pci.devfn < 0)
        p->pci.devfn = 1 << 3;
    if (!pci_device_init(&p->pci, &id, err))
        return FALSE;
    p->pci.config[PCI_HEADER_TYPE] = 0x80;
    memset(p->pci.writable + PIRQRC, 0x8f, 4);
    p->pci.config_written = config_written;
    for (int n = 0; n < 4; n++)
        lines[n] = (IrqLine){ pirq_set, p, n };
    pci_bus_set_lines(p->pci.bus, lines);
    p->reset_port = region_new_io("piix3-reset", 1, &reset_ops, p);
    region_add(as_root(dev->machine->ports), 0xcf9, p->reset_port, 1);
    return TRUE;
}

static void piix3_reset(Device *dev)
{
    Piix3 *p = (Piix3 *)dev;
    pci_device_reset(&p->pci);
    st16le(p->pci.config + PCI_COMMAND, 0x0007);
    st16le(p->pci.config + PCI_STATUS, 0x0200);
    memset(p->pci.config + PIRQRC, PIRQ_OFF, 4);
    memset(p->level, 0, sizeof p->level);
    p->reset_control = 0;
}

static void piix3_destroy(Device *dev)
{
    Piix3 *p = (Piix3 *)dev;
    region_remove(p->reset_port);
    region_free(p->reset_port);
    pci_device_exit(&p->pci);
}

static gboolean piix3_post_load(Device *dev, GError **err)
{
    (void)err;
    pci_device_restored(&((Piix3 *)dev)->pci);
    return TRUE;
}

static const StateField piix3_state[] = {
    STATE_STRUCT(Piix3, pci, pci_device_state), STATE_ARRAY_BOOL(Piix3, level), STATE_U8(Piix3, reset_control), STATE_END
};

static const Property piix3_properties[] = { PCI_ADDR_PROPERTY(Piix3), PROPERTY_END };

const DeviceType piix3_type = {
    .name = "PIIX3", .description = "Intel 82371SB ISA bridge", .bus = "system", .size = sizeof(Piix3),
    .properties = piix3_properties, .create = piix3_create, .reset = piix3_reset, .destroy = piix3_destroy,
    .state = piix3_state, .post_load = piix3_post_load,
};
