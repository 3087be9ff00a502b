/*
 * Intel's Gigabit Ethernet controllers: 82540EM, as QEMU's device `e1000` is one, and 82574L, `e1000e`. What the files
 * do: e1000_internal.h.
 */
#include "hw/net/e1000.h"

#include <stdatomic.h>
#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/net/e1000_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { REGISTER_SPACE = 0x20000, PORTS = 64, PORTS_82574 = 32, ADDRESS_VALID = 0x80000000u };

/* ---- statistics and descriptors ---- */

void e1000_count_octets(E1000 *s, unsigned at, uint64_t n)
{
    n += REG(s, at) | (uint64_t)REG(s, at + 4) << 32;
    REG(s, at) = n;
    REG(s, at + 4) = n >> 32;
}

void e1000_count_size(E1000 *s, unsigned first, size_t size)
{
    static const uint16_t last[] = { 64, 127, 255, 511, 1023 };
    unsigned n = 0;

    while (n < ARRAY_SIZE(last) && size > last[n])
        n++;
    e1000_count(s, first + 4 * n);
}

/* CPUs look at the descriptor without a lock, in other threads. */
void e1000_report(E1000 *s, uint64_t address, uint64_t v, unsigned size)
{
    if (!pci_may_master(&s->pci))
        return;
    atomic_thread_fence(memory_order_release);
    as_write(pci_memory(&s->pci), address, v, size);
}

/* ---- reset ---- */

/* The address that stands in the EEPROM goes to the first filter (317453, 13.5.3). */
static void address_load(E1000 *s)
{
    const uint16_t *w = s->eeprom.word;

    REG(s, RA) = w[0] | (uint32_t)w[1] << 16;
    REG(s, RA + 4) = w[2] | ADDRESS_VALID;
}

static void registers_reset(E1000 *s)
{
    memset(s->reg, 0, sizeof s->reg);
    REG(s, CTRL) = CTRL_SLU | CTRL_FD | 0x200; /* 1000 Mb/s */
    REG(s, STATUS) = STATUS_MASTER_ENABLE | 0x300 | STATUS_1000 | STATUS_FD;
    REG(s, VET) = 0x8100;
    REG(s, LEDCTL) = s->model->is_82574 ? 0x07061302 : 0x07068302;
    REG(s, PBA) = s->model->is_82574 ? 0x00140014 : 0x00100030;
    REG(s, EEMNGCTL) = s->model->is_82574 ? 0x00040000 : 0; /* configuration done */
    REG(s, RXCSUM) = s->model->is_82574 ? RXCSUM_IPOFL | RXCSUM_TUOFL : 0;
    REG(s, TXDCTL) = s->model->is_82574 ? 0x00400000 : 0;
    address_load(s);
}

/* CTRL.RST: all but PHY, EEPROM and configuration space. */
void e1000_mac_reset(E1000 *s)
{
    bool linked = REG(s, STATUS) & STATUS_LU;

    e1000_irq_reset(s);
    registers_reset(s);
    e1000_tx_reset(s);
    REG(s, STATUS) |= linked ? STATUS_LU : 0;
}

static void e1000_reset(Device *dev)
{
    E1000 *s = (E1000 *)dev;

    pci_device_reset(&s->pci);
    timer_cancel(s->autonegotiation);
    e1000_phy_reset(s);
    eeprom93c46_reset(&s->eeprom);
    s->io_address = 0;
    s->busy = false;
    REG(s, STATUS) = 0;
    e1000_mac_reset(s);
    e1000_link_update(s);
    REG(s, ICR) = 0;
}

/* ---- life ---- */

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    E1000 *s = (E1000 *)pci;
    (void)size;
    if (offset <= PCI_COMMAND + 1)
        net_accept(s->net);
    if (!s->busy)
        e1000_irq_update(s);
}

static void regions_new(E1000 *s)
{
    bool is_82574 = s->model->is_82574;

    s->registers = region_new_io("e1000-registers", REGISTER_SPACE, &e1000_register_ops, s);
    s->ports = region_new_io("e1000-ports", is_82574 ? PORTS_82574 : PORTS, &e1000_port_ops, s);
    pci_add_bar(&s->pci, 0, PCI_BAR_MEMORY, s->registers);
    pci_add_bar(&s->pci, is_82574 ? 2 : 1, PCI_BAR_IO, s->ports);
    if (is_82574) {
        msi_init(&s->pci, 1);
        msix_init(&s->msix, &s->pci, E1000_VECTORS, 3);
    }
}

static gboolean create(E1000 *s, const E1000Model *model, GError **err)
{
    Device *dev = &s->pci.dev;

    if (!pci_device_init(&s->pci, &model->id, err))
        return FALSE;
    if (!net_attach(s->net, dev->id, &e1000_net_user, s, err)) {
        pci_device_exit(&s->pci);
        return FALSE;
    }
    if (!memcmp(s->mac, (uint8_t[6]){ 0 }, sizeof s->mac))
        net_next_mac(dev->machine, s->mac);
    s->model = model;
    s->pci.config_written = config_written;
    regions_new(s);
    e1000_timers_new(s);
    for (unsigned q = 0; q < E1000_QUEUES; q++)
        s->tx[q].frame = g_malloc0(E1000_FRAME_MAX + 4);
    e1000_eeprom_init(s);
    return TRUE;
}

static gboolean e1000_create(Device *dev, GError **err)
{
    static const E1000Model model = {
        .id = { .vendor = 0x8086, .device = 0x100e, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                .class_code = 0x020000, .revision = 3, .interrupt_pin = 1 },
        .phy_id2 = 0x0c20, /* M88E1011 */
    };
    return create((E1000 *)dev, &model, err);
}

static gboolean e1000e_create(Device *dev, GError **err)
{
    static const E1000Model model = {
        .id = { .vendor = 0x8086, .device = 0x10d3, .subsystem_vendor = 0x8086, .subsystem = 0xa01f,
                .class_code = 0x020000, .interrupt_pin = 1 },
        .phy_id2 = 0x0cb1, /* BME1000 */
        .is_82574 = true,
    };
    return create((E1000 *)dev, &model, err);
}

static void e1000_destroy(Device *dev)
{
    E1000 *s = (E1000 *)dev;

    net_detach(s->net);
    pci_device_exit(&s->pci);
    msix_exit(&s->msix);
    e1000_timers_free(s);
    region_free(s->registers);
    region_free(s->ports);
    for (unsigned q = 0; q < E1000_QUEUES; q++)
        g_free(s->tx[q].frame);
}

/* ---- state ---- */

static gboolean e1000_post_load(Device *dev, GError **err)
{
    E1000 *s = (E1000 *)dev;

    if (!eeprom93c46_valid(&s->eeprom))
        return error_set(err, "device '%s': the EEPROM's state is out of range", dev->id);
    for (unsigned q = 0; q < E1000_QUEUES; q++)
        if (s->tx[q].size > E1000_FRAME_MAX)
            return error_set(err, "device '%s': a frame of %u bytes is on the way; at most %u can be", dev->id,
                             s->tx[q].size, (unsigned)E1000_FRAME_MAX);
    pci_device_restored(&s->pci);
    e1000_link_update(s); /* this network's link may differ from the saved one's */
    return TRUE;
}

static const StateField context_state[] = {
    STATE_U8(E1000Context, ipcss), STATE_U8(E1000Context, ipcso), STATE_U8(E1000Context, tucss),
    STATE_U8(E1000Context, tucso), STATE_U8(E1000Context, tucmd), STATE_U8(E1000Context, header_size),
    STATE_U16(E1000Context, ipcse), STATE_U16(E1000Context, tucse), STATE_U16(E1000Context, segment), STATE_END
};

static const StateField tx_state[] = {
    STATE_STRUCT_ARRAY(E1000Tx, context, context_state), STATE_BOOL(E1000Tx, begun), STATE_BOOL(E1000Tx, too_long),
    STATE_BOOL(E1000Tx, extended), STATE_BOOL(E1000Tx, segmented), STATE_BOOL(E1000Tx, tagged),
    STATE_U8(E1000Tx, options), STATE_U16(E1000Tx, tag), STATE_U32(E1000Tx, size),
    STATE_BUFFER(E1000Tx, frame, E1000_FRAME_MAX + 4), STATE_END
};

static const StateField throttle_state[] = { STATE_TIMER(E1000Throttle, timer), STATE_END };

#define COMMON_STATE                                                                                                   \
    STATE_STRUCT(E1000, pci, pci_device_state), STATE_ARRAY_U32(E1000, reg), STATE_U32(E1000, io_address),             \
        STATE_ARRAY_U16(E1000, phy), STATE_STRUCT(E1000, eeprom, eeprom93c46_state),                                   \
        STATE_STRUCT_ARRAY(E1000, tx, tx_state), STATE_BOOL(E1000, irq_asserted), STATE_U32(E1000, sent_causes),       \
        STATE_TIMER(E1000, autonegotiation), STATE_TIMER(E1000, rx_delay), STATE_TIMER(E1000, rx_absolute),            \
        STATE_TIMER(E1000, tx_delay), STATE_TIMER(E1000, tx_absolute),                                                 \
        STATE_STRUCT_ARRAY(E1000, throttle, throttle_state)

static const StateField e1000_state[] = { COMMON_STATE, STATE_END };
static const StateField e1000e_state[] = { COMMON_STATE, STATE_STRUCT(E1000, msix, msix_state), STATE_END };

static const Property e1000_properties[] = {
    PCI_ADDR_PROPERTY(E1000),
    PROPERTY(E1000, net, "netdev", PROP_NET, 0, "the -netdev it is connected to"),
    PROPERTY(E1000, mac, "mac", PROP_MAC, 0, "its address; otherwise the next of 52:54:00:12:34:56 and on"),
    PROPERTY_END
};

#define E1000_TYPE(variable, name_, description_, create_, state_)                                                     \
    const DeviceType variable = {                                                                                      \
        .name = name_, .description = description_, .bus = "pci", .size = sizeof(E1000), .user = true,                 \
        .properties = e1000_properties, .create = create_, .reset = e1000_reset, .destroy = e1000_destroy,             \
        .state = state_, .post_load = e1000_post_load,                                                                 \
    }

E1000_TYPE(e1000_type, "e1000", "Intel 82540EM Gigabit Ethernet", e1000_create, e1000_state);
E1000_TYPE(e1000e_type, "e1000e", "Intel 82574L Gigabit Ethernet", e1000e_create, e1000e_state);
