/*
 * Realtek's RTL8139C+ Fast Ethernet controller, and, with cplus=off, the RTL8139C before it (rtl8139_internal.h has
 * what the files do).
 */
#include "hw/net/rtl8139.h"

#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/net/rtl8139_internal.h"

enum { VERSION_C = 0x74000000, VERSION_CPLUS = 0x74800000, REVISION_C = 0x10, REVISION_CPLUS = 0x20 };

bool rtl8139_link_up(const Rtl8139 *s) { return net_link_up(s->net); }

/* ---- EEPROM (data sheet, chapter 7) ---- */

static void eeprom_init(Rtl8139 *s)
{
    uint16_t *w = s->eeprom.word;

    memset(w, 0, sizeof s->eeprom.word);
    w[0] = 0x8129; /* that it is programmed */
    w[1] = 0x10ec;
    w[2] = 0x8139;
    w[3] = 0x10ec;
    w[4] = 0x8139;
    w[5] = 0x4020; /* MinGnt, MaxLat */
    for (unsigned n = 0; n < 3; n++)
        w[7 + n] = ld16le(s->mac + 2 * n);
}

/* ---- reset ---- */

/* CR.RST: all but the address, the filter, the EEPROM and what it loads (6.10). */
void rtl8139_chip_reset(Rtl8139 *s)
{
    uint8_t kept[TSD0];

    memcpy(kept, s->reg, sizeof kept);
    memset(s->reg, 0, sizeof s->reg);
    memcpy(s->reg, kept, sizeof kept);
    for (unsigned n = 0; n < TRANSMITS; n++)
        st32le(s->reg + TSD0 + 4 * n, TSD_OWN);
    st32le(s->reg + TCR, 0x03000000 | (s->cplus ? VERSION_CPLUS : VERSION_C));
    s->reg[CONFIG1] = 0x0c; /* ports and memory are mapped */
    s->reg[CONFIG3] = 0x01;
    st16le(s->reg + BMCR, 0x1000);
    st16le(s->reg + ANAR, 0x05e1);
    s->transmit = s->rx_write = s->rx_read = s->rx_index = 0;
    memset(s->tx_index, 0, sizeof s->tx_index);
    s->tx_size = 0;
    s->tx_too_long = false;
    timer_cancel(s->timer);
    timer_cancel(s->look);
    s->timer_start = clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL);
    rtl8139_irq_update(s);
}

static void rtl8139_reset(Device *dev)
{
    Rtl8139 *s = (Rtl8139 *)dev;

    pci_device_reset(&s->pci);
    s->busy = false;
    eeprom93c46_reset(&s->eeprom);
    memset(s->reg, 0, sizeof s->reg);
    memset(&s->tally, 0, sizeof s->tally);
    for (unsigned n = 0; n < 3; n++)
        st16le(s->reg + IDR0 + 2 * n, s->eeprom.word[7 + n]);
    rtl8139_chip_reset(s);
}

/* ---- life ---- */

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    (void)size;
    if (offset <= PCI_COMMAND + 1)
        net_accept(((Rtl8139 *)pci)->net);
}

static gboolean rtl8139_create(Device *dev, GError **err)
{
    Rtl8139 *s = (Rtl8139 *)dev;
    Clocks *clocks = dev->machine->clocks;
    const PciId id = { .vendor = 0x10ec, .device = 0x8139, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
                       .class_code = 0x020000, .revision = s->cplus ? REVISION_CPLUS : REVISION_C, .interrupt_pin = 1 };

    if (!pci_device_init(&s->pci, &id, err))
        return FALSE;
    if (!net_attach(s->net, dev->id, &rtl8139_net_user, s, err)) {
        pci_device_exit(&s->pci);
        return FALSE;
    }
    if (!memcmp(s->mac, (uint8_t[6]){ 0 }, sizeof s->mac))
        net_next_mac(dev->machine, s->mac);
    s->pci.config_written = config_written;
    s->ports = region_new_io("rtl8139-ports", REGISTERS, &rtl8139_ops, s);
    s->memory = region_new_io("rtl8139-memory", REGISTERS, &rtl8139_ops, s);
    pci_add_bar(&s->pci, 0, PCI_BAR_IO, s->ports);
    pci_add_bar(&s->pci, 1, PCI_BAR_MEMORY, s->memory);
    s->timer = timer_new(clocks, MYNA_CLOCK_VIRTUAL, rtl8139_timer_expired, s);
    s->look = timer_new(clocks, MYNA_CLOCK_VIRTUAL, rtl8139_look, s);
    s->frame = g_malloc0(RTL8139_FRAME_MAX + FRAME_TAG_SIZE);
    eeprom_init(s);
    return TRUE;
}

static void rtl8139_destroy(Device *dev)
{
    Rtl8139 *s = (Rtl8139 *)dev;

    net_detach(s->net);
    pci_device_exit(&s->pci);
    region_free(s->ports);
    region_free(s->memory);
    timer_free(s->timer);
    timer_free(s->look);
    g_free(s->frame);
}

/* ---- state ---- */

static bool state_valid(const Rtl8139 *s)
{
    for (unsigned n = 0; n < RINGS; n++)
        if (s->tx_index[n] >= 64)
            return false;
    return eeprom93c46_valid(&s->eeprom) && s->transmit < TRANSMITS && s->rx_write < rtl8139_ring_size(s) &&
           s->rx_read < rtl8139_ring_size(s) && s->rx_index < 64 && s->tx_size <= RTL8139_FRAME_MAX;
}

static gboolean rtl8139_post_load(Device *dev, GError **err)
{
    Rtl8139 *s = (Rtl8139 *)dev;

    if (!state_valid(s))
        return error_set(err, "device '%s': a saved place in a ring or frame is out of range", dev->id);
    pci_device_restored(&s->pci);
    return TRUE;
}

static const StateField tally_state[] = {
    STATE_U64(Rtl8139Tally, tx_ok), STATE_U64(Rtl8139Tally, rx_ok), STATE_U64(Rtl8139Tally, tx_error),
    STATE_U64(Rtl8139Tally, rx_physical), STATE_U64(Rtl8139Tally, rx_broadcast), STATE_U32(Rtl8139Tally, rx_error),
    STATE_U32(Rtl8139Tally, rx_multicast), STATE_U16(Rtl8139Tally, missed), STATE_END
};

static const StateField rtl8139_state[] = {
    STATE_STRUCT(Rtl8139, pci, pci_device_state), STATE_BYTES(Rtl8139, reg),
    STATE_STRUCT(Rtl8139, eeprom, eeprom93c46_state), STATE_U32(Rtl8139, transmit), STATE_U32(Rtl8139, rx_write),
    STATE_U32(Rtl8139, rx_read), STATE_U32(Rtl8139, rx_index), STATE_ARRAY_U32(Rtl8139, tx_index),
    STATE_BOOL(Rtl8139, tx_too_long), STATE_U32(Rtl8139, tx_size),
    STATE_BUFFER(Rtl8139, frame, RTL8139_FRAME_MAX + FRAME_TAG_SIZE), STATE_U64(Rtl8139, timer_start),
    STATE_STRUCT(Rtl8139, tally, tally_state), STATE_TIMER(Rtl8139, timer), STATE_TIMER(Rtl8139, look), STATE_END
};

static const Property rtl8139_properties[] = {
    PCI_ADDR_PROPERTY(Rtl8139),
    PROPERTY(Rtl8139, net, "netdev", PROP_NET, 0, "the -netdev it is connected to"),
    PROPERTY(Rtl8139, mac, "mac", PROP_MAC, 0, "its address; otherwise the next of 52:54:00:12:34:56 and on"),
    PROPERTY(Rtl8139, cplus, "cplus", PROP_BOOL, 1, "off: an RTL8139C, without C+ mode"),
    PROPERTY_END
};

const DeviceType rtl8139_type = {
    .name = "rtl8139", .description = "Realtek RTL8139C+ Fast Ethernet", .bus = "pci", .size = sizeof(Rtl8139),
    .user = true, .properties = rtl8139_properties, .create = rtl8139_create, .reset = rtl8139_reset,
    .destroy = rtl8139_destroy, .state = rtl8139_state, .post_load = rtl8139_post_load,
};
