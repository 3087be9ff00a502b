/* The RTL8139's registers (data sheet, chapter 6): 256 bytes, by ports and by memory, in accesses of any size. */
#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/net/rtl8139_internal.h"

enum { PCI_CLOCK = 33000000 };
#define LOOK_SOON_NS 20000
enum { BMCR_RESET = 0x8000, BMCR_RESTART = 0x0200, BMSR_INITIAL = 0x7849, BMSR_UP = 0x0024, MSR_DOWN = 4 };

static int64_t now(const Rtl8139 *s) { return clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL); }

/* ---- interrupts ---- */

void rtl8139_irq_update(Rtl8139 *s)
{
    pci_set_irq(&s->pci, (ld16le(s->reg + ISR) & ld16le(s->reg + IMR)) != 0);
}

void rtl8139_raise(Rtl8139 *s, unsigned causes)
{
    st16le(s->reg + ISR, ld16le(s->reg + ISR) | causes);
    rtl8139_irq_update(s);
}

/* The driver is about to have looked at its rings: frames may find room. */
static void write_mask(Rtl8139 *s, uint32_t v)
{
    st16le(s->reg + IMR, v & INT_ALL);
    rtl8139_irq_update(s);
    net_accept(s->net);
}

static void write_status(Rtl8139 *s, uint32_t v)
{
    st16le(s->reg + ISR, ld16le(s->reg + ISR) & ~v);
    rtl8139_irq_update(s);
    net_accept(s->net);
}

/* ---- timer: counts the bus's clock from 0 and interrupts at TimerInt, if that is not 0 (6.19) ---- */

static uint32_t timer_count(const Rtl8139 *s) { return muldiv64(now(s) - s->timer_start, PCI_CLOCK, NS_PER_SECOND); }

static void timer_update(Rtl8139 *s)
{
    uint32_t at = ld32le(s->reg + TIMERINT);
    uint32_t left = at - timer_count(s);

    if (!at)
        timer_cancel(s->timer);
    else
        timer_arm(s->timer, now(s) + muldiv64(left ? left : INT64_C(1) << 32, NS_PER_SECOND, PCI_CLOCK) + 1);
}

void rtl8139_timer_expired(void *opaque)
{
    Rtl8139 *s = opaque;
    rtl8139_raise(s, INT_TIMEOUT);
    timer_update(s);
}

/* ---- control ---- */

static void write_command(Rtl8139 *s, uint8_t v)
{
    uint8_t was = s->reg[CR];

    if (v & CR_RST) {
        rtl8139_chip_reset(s);
        v = 0;
    }
    s->reg[CR] = v & (CR_TE | CR_RE);
    if (v & CR_TE && !(was & CR_TE))
        s->transmit = 0;
    rtl8139_transmit(s);
    net_accept(s->net);
}

static void write_9346(Rtl8139 *s, uint8_t v)
{
    bool program = (v & MODE_CONFIG) == MODE_PROGRAM;

    if ((v & MODE_CONFIG) == 0x40) { /* auto-load, which is over at once */
        for (unsigned n = 0; n < 3; n++)
            st16le(s->reg + IDR0 + 2 * n, s->eeprom.word[7 + n]);
        v = 0;
    }
    s->reg[CR9346] = v & (MODE_CONFIG | EEPROM_CS | EEPROM_SK | EEPROM_DI);
    eeprom93c46_drive(&s->eeprom, program && v & EEPROM_CS, v & EEPROM_SK, v & EEPROM_DI);
}

static bool config_open(const Rtl8139 *s) { return (s->reg[CR9346] & MODE_CONFIG) == MODE_CONFIG; }

/* What configuration registers let be changed, and only in their mode (6.23 and on). */
static void write_config(Rtl8139 *s, unsigned at, uint8_t v)
{
    static const struct { uint8_t at, mask; } writable[] = {
        { CONFIG1, 0xf3 }, { CONFIG3, 0x24 }, { CONFIG4, 0xff }, { CONFIG5, 0x7f },
    };
    for (unsigned n = 0; n < G_N_ELEMENTS(writable); n++)
        if (at == writable[n].at && config_open(s))
            s->reg[at] = (s->reg[at] & ~writable[n].mask) | (v & writable[n].mask);
}

static void write_bmcr(Rtl8139 *s, uint32_t v)
{
    if (v & BMCR_RESET) {
        st16le(s->reg + BMCR, 0x1000);
        st16le(s->reg + ANAR, 0x05e1);
        return;
    }
    st16le(s->reg + BMCR, v & ~BMCR_RESTART & 0x3100);
}

/* DTCCR, bit 3: the counters go to memory, 64 bytes (6.3). */
static void dump_tally(Rtl8139 *s)
{
    const Rtl8139Tally *t = &s->tally;
    uint8_t d[64] = { 0 };
    uint64_t address = ld64le(s->reg + DTCCR) & ~UINT64_C(63);

    st64le(d, t->tx_ok);
    st64le(d + 8, t->rx_ok);
    st64le(d + 16, t->tx_error);
    st32le(d + 24, t->rx_error);
    st16le(d + 28, t->missed);
    st64le(d + 40, t->rx_physical);
    st64le(d + 48, t->rx_broadcast);
    st32le(d + 56, t->rx_multicast);
    s->busy = true;
    pci_dma_write(&s->pci, address, d, sizeof d);
    s->busy = false;
    s->reg[DTCCR] &= ~8;
}

/* C+ mode has the counters' address in place of the first two. */
static void write_tsd(Rtl8139 *s, unsigned at, uint32_t v)
{
    if (rtl8139_cplus_tx(s) || rtl8139_cplus_rx(s)) {
        st32le(s->reg + at, v);
        if (at == DTCCR && v & 8)
            dump_tally(s);
        return;
    }
    st32le(s->reg + at, v & (TSD_SIZE | TSD_OWN | 0x3f0000));
    rtl8139_transmit(s);
}

/*
 * The place that the driver has read to; the register stands 16 before it (6.14). Drivers clear ROK after this, and
 * would miss a frame that came at once: so it comes a little later, or with that.
 */
static void write_capr(Rtl8139 *s, uint32_t v)
{
    s->rx_read = (v + 16) % rtl8139_ring_size(s);
    rtl8139_look_in(s, LOOK_SOON_NS);
}

static void write_rbstart(Rtl8139 *s, uint32_t v)
{
    st32le(s->reg + RBSTART, v);
    s->rx_write = s->rx_read = 0;
}

static void write_rcr(Rtl8139 *s, uint32_t v)
{
    st32le(s->reg + RCR, v);
    s->rx_write %= rtl8139_ring_size(s);
    s->rx_read %= rtl8139_ring_size(s);
    net_accept(s->net);
}

static void write_cpcr(Rtl8139 *s, uint32_t v)
{
    if (!s->cplus)
        return;
    st16le(s->reg + CPCR, v & 0x7f);
    net_accept(s->net);
}

static void write_poll(Rtl8139 *s, uint8_t v)
{
    if (v & TPPOLL_SW)
        rtl8139_raise(s, INT_SW);
    for (unsigned ring = 0; ring < RINGS; ring++)
        if (v & (ring ? TPPOLL_HIGH : TPPOLL_NORMAL))
            rtl8139_cplus_poll(s, ring);
}

/* A new ring begins at its first descriptor. */
static void write_ring(Rtl8139 *s, unsigned at, uint32_t v)
{
    st32le(s->reg + at, v);
    if (at == RDSAR || at == RDSAR + 4)
        s->rx_index = 0;
    else
        s->tx_index[at >= THPDS] = 0;
}

/* ---- writes: in each register's own size ---- */

static unsigned natural_size(unsigned at)
{
    if ((at >= TSD0 && at < ERBCR) || (at >= TCR && at < CR9346) || (at >= TIMERINT && at < MSR) ||
        (at >= RDSAR && at < RDSAR + 8))
        return 4;
    if ((at >= CAPR && at < TCR) || (at >= TSAD && at < 0x78) || at == MULINT || at == CPCR || at == CPCR + 1)
        return 2;
    return 1;
}

static void write_byte(Rtl8139 *s, unsigned at, uint8_t v)
{
    if (at < IDR0 + 6 && config_open(s))
        s->reg[at] = v;
    else if (at >= MAR0 && at < MAR0 + 8)
        s->reg[at] = v;
    else if (at == CR)
        write_command(s, v);
    else if (at == CR9346)
        write_9346(s, v);
    else if (at == TPPOLL && s->cplus)
        write_poll(s, v);
    else
        write_config(s, at, v);
}

static void write_half(Rtl8139 *s, unsigned at, uint32_t v)
{
    switch (at) {
    case CAPR: write_capr(s, v); break;
    case IMR: write_mask(s, v); break;
    case ISR: write_status(s, v); break;
    case BMCR: write_bmcr(s, v); break;
    case ANAR:
    case MULINT: st16le(s->reg + at, v); break;
    case CPCR: write_cpcr(s, v); break;
    }
}

static void write_word(Rtl8139 *s, unsigned at, uint32_t v)
{
    const uint32_t version = ld32le(s->reg + TCR) & 0x7c800000;

    switch (at) {
    case RBSTART: write_rbstart(s, v); break;
    case TCR: st32le(s->reg + TCR, (v & 0x03060770) | version); break;
    case RCR: write_rcr(s, v); break;
    case TCTR:
        s->timer_start = now(s);
        timer_update(s);
        break;
    case TIMERINT:
        st32le(s->reg + TIMERINT, v);
        timer_update(s);
        break;
    case MPC: st32le(s->reg + MPC, 0); break;
    case RDSAR:
    case RDSAR + 4: write_ring(s, at, v); break;
    default:
        if (at >= TSD0 && at < TSAD0)
            write_tsd(s, at, v);
        else if (at >= TSAD0 && at < RBSTART)
            write_ring(s, at, v);
    }
}

static void write_natural(Rtl8139 *s, unsigned at, uint32_t v, unsigned size)
{
    if (size == 1)
        write_byte(s, at, v);
    else if (size == 2)
        write_half(s, at, v);
    else
        write_word(s, at, v);
}

/* A part of a register is written with the rest as it is; what is cleared by ones, with zeros. */
static uint64_t rest_of(const Rtl8139 *s, unsigned at, unsigned size)
{
    return at == ISR ? 0 : ldle(s->reg + at, size);
}

static void register_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Rtl8139 *s = opaque;

    if (s->busy) {
        log_guest_error("%s: DMA to the device's own registers", s->pci.dev.id);
        return;
    }
    for (unsigned done = 0, part; done < size; done += part) {
        unsigned at = offset + done, whole = natural_size(at), first = at & ~(whole - 1), shift = (at - first) * 8;
        part = MIN(whole - (at - first), size - done);
        uint64_t mask = ((UINT64_C(1) << 8 * part) - 1) << shift, rest = rest_of(s, first, whole);
        write_natural(s, first, (rest & ~mask) | ((v >> 8 * done) << shift & mask), whole);
    }
}

/* ---- reads: from the bytes, after what changes by itself was brought up to date ---- */

static uint16_t transmit_summary(const Rtl8139 *s)
{
    uint16_t v = 0;

    for (unsigned n = 0; n < TRANSMITS; n++) {
        uint32_t t = ld32le(s->reg + TSD0 + 4 * n);
        v |= (t & TSD_OWN ? 1 : 0) << n | (t & TSD_ABORT ? 0x10 : 0) << n | (t & TSD_TUN ? 0x100 : 0) << n |
             (t & TSD_TOK ? 0x1000 : 0) << n;
    }
    return v;
}

static void refresh(Rtl8139 *s)
{
    bool up = rtl8139_link_up(s);

    s->reg[CR] = (s->reg[CR] & ~CR_BUFE) | (s->rx_read == s->rx_write ? CR_BUFE : 0);
    st16le(s->reg + CAPR, s->rx_read - 16);
    st16le(s->reg + CBR, s->rx_write);
    st32le(s->reg + TCTR, timer_count(s));
    s->reg[CR9346] = (s->reg[CR9346] & ~EEPROM_DO) | (s->eeprom.out ? EEPROM_DO : 0);
    s->reg[MSR] = up ? 0 : MSR_DOWN;
    st16le(s->reg + BMSR, BMSR_INITIAL | (up ? BMSR_UP : 0));
    st16le(s->reg + ANLPAR, up ? 0x45e1 : 0);
    st16le(s->reg + TSAD, transmit_summary(s));
}

static uint64_t register_read(void *opaque, uint64_t offset, unsigned size)
{
    Rtl8139 *s = opaque;

    if (s->busy)
        return 0;
    refresh(s);
    return ldle(s->reg + offset, size);
}

const RegionOps rtl8139_ops = { register_read, register_write, 1, 4 };
