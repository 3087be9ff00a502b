/* The e1000's registers, by memory and by the ports IOADDR and IODATA (317453, chapter 13). */
#include "core/log.h"
#include "hw/net/e1000_internal.h"
#include "util/bits.h"

/* ---- registers that only hold a value: which bits ---- */

typedef struct Plain {
    uint16_t first, last;
    uint32_t mask;
} Plain;

static const Plain plain[] = {
    { FCAL, FCAL, UINT32_MAX },     { FCAH, FCT, 0xffff },          { VET, VET, 0xffff },
    { EIAC, EIAC, INT_QUEUES },     { IAM, IAM, UINT32_MAX },       { IVAR, IVAR, 0x800fffff },
    { EITR, EITR + 4 * (E1000_VECTORS - 1), 0xffff },               { FCTTV, FCTTV, 0xffff },
    { TXCW, TXCW, 0xc000ffff },     { TIPG, TIPG, 0x3fffffff },     { AIT, AIT, 0xffff },
    { LEDCTL, LEDCTL, UINT32_MAX }, { EXTCNF_CTRL, EXTCNF_CTRL, UINT32_MAX },
    { PBA, PBA, UINT32_MAX },       { FCRTL, FCRTL, 0x8000fff8 },   { FCRTH, FCRTH, 0xfff8 },
    { PSRCTL, PSRCTL, 0x3f3f3f7f }, { RSRPD, RSRPD, 0xfff },
    { RDTR, RDTR, 0xffff },         { RXDCTL, RXDCTL, UINT32_MAX }, { RADV, RADV, 0xffff },
    { TIDV, TIDV, 0xffff },         { TXDCTL, TXDCTL, UINT32_MAX }, { TADV, TADV, 0xffff },
    { TARC0, TARC0, UINT32_MAX },   { TARC1, TARC1, UINT32_MAX },
    { RXDCTL + QUEUE_STRIDE, RXDCTL + QUEUE_STRIDE, UINT32_MAX },
    { TXDCTL + QUEUE_STRIDE, TXDCTL + QUEUE_STRIDE, UINT32_MAX },
    { RXCSUM, RXCSUM, 0x3fff },     { RFCTL, RFCTL, UINT32_MAX },   { MTA, MTA_END - 4, UINT32_MAX },
    { VFTA, VFTA_END - 4, UINT32_MAX },                             { WUC, WUFC, UINT32_MAX },
    { MRQC, MRQC, UINT32_MAX },     { MANC, MANC, UINT32_MAX },     { SWSM2, SWSM2, UINT32_MAX },
    { GCR, GCR, UINT32_MAX },       { RETA, RSSRK_END - 4, UINT32_MAX },
};

static void write_plain(E1000 *s, unsigned at, uint32_t v)
{
    for (unsigned n = 0; n < ARRAY_SIZE(plain); n++)
        if (at >= plain[n].first && at <= plain[n].last) {
            REG(s, at) = v & plain[n].mask;
            return;
        }
    if (log_enabled(LOG_UNIMP))
        log_printf(LOG_UNIMP, "%s: write of 0x%x to register 0x%04x\n", s->pci.dev.id, v, at);
}

/* ---- receive addresses: the high half has 16 bits and AV (317453, 13.5.3) ---- */

static void write_address(E1000 *s, unsigned at, uint32_t v) { REG(s, at) = at & 4 ? v & 0x8003ffff : v; }

/* ---- rings ---- */

static unsigned ring_register(unsigned at) { return at & ~(unsigned)QUEUE_STRIDE; }
static unsigned ring_queue(unsigned at) { return at & QUEUE_STRIDE ? 1 : 0; }

/* Whether it is a ring's register; the second queue is the 82574's alone. */
static bool is_ring(const E1000 *s, unsigned at)
{
    unsigned r = ring_register(at);
    bool rx = r >= RDBAL && r <= RDT, tx = r >= TDBAL && r <= TDT;
    return (rx || tx) && (!ring_queue(at) || s->model->is_82574);
}

static void write_ring(E1000 *s, unsigned at, uint32_t v)
{
    switch (ring_register(at)) {
    case RDBAL:
    case TDBAL: REG(s, at) = v & ~15u; break;
    case RDBAH:
    case TDBAH: REG(s, at) = v; break;
    case RDLEN:
    case TDLEN: REG(s, at) = v & 0xfff80; break;
    case RDH:
    case TDH: REG(s, at) = v & 0xffff; break;
    case RDT:
        REG(s, at) = v & 0xffff;
        net_accept(s->net);
        break;
    case TDT:
        REG(s, at) = v & 0xffff;
        e1000_tx_run(s, ring_queue(at));
        break;
    }
}

/* ---- control ---- */

static void write_ctrl(E1000 *s, uint32_t v)
{
    if (v & CTRL_RST) {
        e1000_mac_reset(s);
        return;
    }
    if (v & CTRL_PHY_RST && !(REG(s, CTRL) & CTRL_PHY_RST)) {
        e1000_phy_reset(s);
        e1000_link_update(s);
    }
    REG(s, CTRL) = v & ~CTRL_PHY_RST;
    REG(s, STATUS) &= ~(uint32_t)STATUS_MASTER_ENABLE;
    if (!(v & CTRL_MASTER_DISABLE))
        REG(s, STATUS) |= STATUS_MASTER_ENABLE;
}

static void write_ctrl_ext(E1000 *s, uint32_t v)
{
    REG(s, CTRL_EXT) = v & ~(uint32_t)CTRL_EXT_EE_RST;
    if (v & CTRL_EXT_EE_RST)
        eeprom93c46_reset(&s->eeprom);
}

static void write_rctl(E1000 *s, uint32_t v)
{
    REG(s, RCTL) = v;
    net_accept(s->net);
}

static void write_tctl(E1000 *s, uint32_t v)
{
    REG(s, TCTL) = v;
    for (unsigned q = 0; q < E1000_QUEUES; q++)
        e1000_tx_run(s, q);
}

static void write_ims(E1000 *s, uint32_t v)
{
    REG(s, IMS) |= v & ~INT_ASSERTED;
    e1000_irq_update(s);
}

static void write_imc(E1000 *s, uint32_t v)
{
    REG(s, IMS) &= ~v;
    e1000_irq_update(s);
}

static void register_write(E1000 *s, unsigned at, uint32_t v)
{
    switch (at) {
    case CTRL:
    case CTRL_DUP: write_ctrl(s, v); return;
    case STATUS: return;
    case EECD: e1000_write_eecd(s, v); return;
    case EERD: e1000_write_eerd(s, v); return;
    case CTRL_EXT: write_ctrl_ext(s, v); return;
    case MDIC: e1000_write_mdic(s, v); return;
    case ICR: e1000_write_icr(s, v); return;
    case ITR: REG(s, ITR) = v & 0xffff; return;
    case ICS: e1000_raise(s, v & ~INT_ASSERTED); return;
    case IMS: write_ims(s, v); return;
    case IMC: write_imc(s, v); return;
    case RCTL: write_rctl(s, v); return;
    case TCTL: write_tctl(s, v); return;
    case SWSM: REG(s, SWSM) = v & 3; return;
    }
    if (is_ring(s, at))
        write_ring(s, at, v);
    else if (at >= RA && at < RA_END)
        write_address(s, at, v);
    else
        write_plain(s, at, v);
}

/* ---- reads ---- */

static uint32_t read_and_clear(E1000 *s, unsigned at)
{
    uint32_t v = REG(s, at);
    REG(s, at) = 0;
    return v;
}

/* SMBI: whoever reads it as 0 has it (317694, 10.2.8.15). */
static uint32_t read_swsm(E1000 *s)
{
    uint32_t v = REG(s, SWSM);
    REG(s, SWSM) |= 1;
    return v;
}

static uint32_t register_read(E1000 *s, unsigned at)
{
    if (at >= CRCERRS && at < STATISTICS_END)
        return read_and_clear(s, at);
    switch (at) {
    case CTRL_DUP: return REG(s, CTRL);
    case EECD: return e1000_read_eecd(s);
    case ICR: return e1000_read_icr(s);
    case ICS: return REG(s, ICR);
    case IMC: return 0;
    case SWSM: return read_swsm(s);
    default: return REG(s, at);
    }
}

/* ---- the two windows ---- */

static bool reachable(const E1000 *s, uint64_t offset)
{
    if (s->busy)
        log_guest_error("%s: DMA to the device's own registers", s->pci.dev.id);
    return !s->busy && offset < REGISTERS_END;
}

static uint64_t memory_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return reachable(opaque, offset) ? register_read(opaque, offset) : 0;
}

static void memory_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    (void)size;
    if (reachable(opaque, offset))
        register_write(opaque, offset, v);
}

const RegionOps e1000_register_ops = { memory_read, memory_write, 4, 4 };

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    E1000 *s = opaque;
    if (offset == 0)
        return s->io_address;
    return offset == 4 ? memory_read(s, s->io_address & ~UINT32_C(3), size) : 0;
}

static void port_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    E1000 *s = opaque;
    if (offset == 0 && !s->busy)
        s->io_address = v;
    else if (offset == 4)
        memory_write(s, s->io_address & ~UINT32_C(3), v, size);
}

const RegionOps e1000_port_ops = { port_read, port_write, 4, 4 };
