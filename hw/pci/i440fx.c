/*
 * The i440FX host bridge: configuration ports CF8h/CFCh, programmable attribute map, SMRAM (Intel 82441FX datasheet
 * sections 3.2.18 and 3.2.23).
 */
#include "hw/pci/i440fx.h"

#include "core/machine.h"
#include "util/bits.h"
#include "util/endian.h"

enum { PAM0 = 0x59, SMRAM = 0x72 };
enum { PAM_READ = 1, PAM_WRITE = 2 };
enum { SMRAM_GLOBAL = 8, SMRAM_LOCK = 0x10, SMRAM_CLOSED = 0x20, SMRAM_OPEN = 0x40 };

#define PAM_AREAS 13
#define PAM_PRIORITY 2
#define SMRAM_PRIORITY 3

/* An area of C0000h..FFFFFh, shown as RAM or not, by four aliases of which one at most is enabled. */
typedef struct PamArea {
    Region *ram, *ram_readonly, *rom_write_ram;
} PamArea;

struct I440fx {
    PciDevice pci;
    uint32_t address; /* port CF8h */
    bool in_smm;
    Region *config_address, *config_data;
    PamArea pam[PAM_AREAS];
    Region *smram;
};

static uint64_t address_read(void *opaque, uint64_t offset, unsigned size)
{
    I440fx *h = opaque;
    return h->address >> (offset * 8) & bit_mask(size * 8);
}

static void address_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    I440fx *h = opaque;
    if (offset == 0 && size == 4) /* narrower accesses are ordinary ports (section 3.1.1) */
        h->address = v & 0x80fffffc;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    I440fx *h = opaque;
    if (!(h->address & BIT(31)))
        return bit_mask(size * 8);
    return pci_bus_config_read(h->pci.bus, (h->address & 0xfffffc) + offset, size);
}

static void data_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    I440fx *h = opaque;
    if (h->address & BIT(31))
        pci_bus_config_write(h->pci.bus, (h->address & 0xfffffc) + offset, v, size);
}

static const RegionOps address_ops = { .read = address_read, .write = address_write, .min_size = 1, .max_size = 4 };
static const RegionOps data_ops = { .read = data_read, .write = data_write, .min_size = 1, .max_size = 4 };

/* Area 0 is F0000h..FFFFFh; the others are 16 KiB each from C0000h on, and E0000h likewise. */
static uint64_t area_base(unsigned n) { return n == 0 ? 0xf0000 : 0xc0000 + (n - 1) * 0x4000; }
static uint64_t area_size(unsigned n) { return n == 0 ? 0x10000 : 0x4000; }

/* Register and nibble: PAM0's high nibble is area 0; PAM1..PAM6 hold two areas each. */
static unsigned area_attributes(const I440fx *h, unsigned n)
{
    if (n == 0)
        return h->pci.config[PAM0] >> 4 & 3;
    return h->pci.config[PAM0 + 1 + (n - 1) / 2] >> ((n - 1) % 2 * 4) & 3;
}

static void update_pam(I440fx *h)
{
    for (unsigned n = 0; n < PAM_AREAS; n++) {
        PamArea *a = &h->pam[n];
        unsigned attributes = area_attributes(h, n);
        if (!a->ram)
            continue;
        /* Write-only RAM (shadowing in progress) shows RAM for both: firmware copies a page onto itself. */
        region_set_enabled(a->ram, attributes & PAM_WRITE && attributes & PAM_READ);
        region_set_enabled(a->ram_readonly, attributes == PAM_READ);
        if (a->rom_write_ram)
            region_set_enabled(a->rom_write_ram, !(attributes & PAM_READ));
    }
}

static void update_smram(I440fx *h)
{
    unsigned v = h->pci.config[SMRAM];
    if (h->smram)
        region_set_enabled(h->smram, (v & SMRAM_GLOBAL) && (h->in_smm || (v & SMRAM_OPEN)) &&
                                         !(v & SMRAM_CLOSED && !h->in_smm));
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    I440fx *h = (I440fx *)pci;
    as_batch_begin(pci->dev.machine->memory);
    if (offset < PAM0 + 7 && offset + size > PAM0)
        update_pam(h);
    if (offset <= SMRAM && offset + size > SMRAM) {
        if (pci->config[SMRAM] & SMRAM_LOCK) { /* from now on only reset opens it (section 3.2.23) */
            pci->config[SMRAM] &= ~SMRAM_OPEN;
            pci->writable[SMRAM] = 0;
        }
        update_smram(h);
    }
    as_batch_end(pci->dev.machine->memory);
}

static Region *add_area(I440fx *h, const char *name, Region *target, uint64_t offset, unsigned n)
{
    Region *r = region_new_alias(name, target, offset, area_size(n));
    region_set_enabled(r, false);
    region_add(as_root(h->pci.dev.machine->memory), area_base(n), r, PAM_PRIORITY);
    return r;
}

void i440fx_set_memory(I440fx *h, Region *ram, Region *rom)
{
    Machine *m = h->pci.dev.machine;
    as_batch_begin(m->memory);
    for (unsigned n = 0; n < PAM_AREAS; n++) {
        PamArea *a = &h->pam[n];
        a->ram = add_area(h, "pam-ram", ram, area_base(n), n);
        a->ram_readonly = add_area(h, "pam-ram-readonly", ram, area_base(n), n);
        region_set_readonly(a->ram_readonly, true);
        if (rom && area_base(n) >= 0xe0000)
            a->rom_write_ram = add_area(h, "pam-rom", rom, area_base(n) - 0xe0000, n);
    }
    h->smram = region_new_alias("smram", ram, 0xa0000, 0x20000);
    region_set_enabled(h->smram, false);
    region_add(as_root(m->memory), 0xa0000, h->smram, SMRAM_PRIORITY);
    as_batch_end(m->memory);
}

void i440fx_set_smm(I440fx *h, bool in_smm)
{
    h->in_smm = in_smm;
    update_smram(h);
}

static gboolean i440fx_create(Device *dev, GError **err)
{
    static const PciId id = { .vendor = 0x8086, .device = 0x1237, .class_code = 0x060000, .revision = 2,
                              .subsystem_vendor = 0x1af4, .subsystem = 0x1100 };
    I440fx *h = (I440fx *)dev;
    Machine *m = dev->machine;
    h->pci.devfn = 0;
    if (!pci_device_init(&h->pci, &id, err))
        return FALSE;
    for (unsigned at = PAM0; at < PAM0 + 7; at++)
        h->pci.writable[at] = 0x33;
    h->pci.config_written = config_written;
    h->config_address = region_new_io("pci-config-address", 4, &address_ops, h);
    h->config_data = region_new_io("pci-config-data", 4, &data_ops, h);
    region_add(as_root(m->ports), 0xcf8, h->config_address, 0);
    region_add(as_root(m->ports), 0xcfc, h->config_data, 0);
    return TRUE;
}

static void i440fx_reset(Device *dev)
{
    I440fx *h = (I440fx *)dev;
    pci_device_reset(&h->pci);
    h->address = 0;
    h->in_smm = false;
    st16le(h->pci.config + PCI_COMMAND, 0x0006);
    for (unsigned at = PAM0; at < PAM0 + 7; at++)
        h->pci.config[at] = 0;
    h->pci.config[SMRAM] = 0x02;
    h->pci.writable[SMRAM] = 0x78;
    update_pam(h);
    update_smram(h);
}

static void drop_region(Region *r)
{
    if (!r)
        return;
    region_remove(r);
    region_free(r);
}

static void i440fx_destroy(Device *dev)
{
    I440fx *h = (I440fx *)dev;
    for (unsigned n = 0; n < PAM_AREAS; n++) {
        drop_region(h->pam[n].ram);
        drop_region(h->pam[n].ram_readonly);
        drop_region(h->pam[n].rom_write_ram);
    }
    drop_region(h->smram);
    drop_region(h->config_address);
    drop_region(h->config_data);
    pci_device_exit(&h->pci);
}

static gboolean i440fx_post_load(Device *dev, GError **err)
{
    I440fx *h = (I440fx *)dev;
    (void)err;
    h->pci.writable[SMRAM] = h->pci.config[SMRAM] & SMRAM_LOCK ? 0 : 0x78;
    pci_device_restored(&h->pci);
    update_pam(h);
    update_smram(h);
    return TRUE;
}

static const StateField i440fx_state[] = {
    STATE_STRUCT(I440fx, pci, pci_device_state), STATE_U32(I440fx, address), STATE_BOOL(I440fx, in_smm), STATE_END
};

const DeviceType i440fx_type = {
    .name = "i440FX", .description = "Intel 82441FX host bridge", .bus = "system", .size = sizeof(I440fx),
    .create = i440fx_create, .reset = i440fx_reset, .destroy = i440fx_destroy, .state = i440fx_state,
    .post_load = i440fx_post_load,
};
