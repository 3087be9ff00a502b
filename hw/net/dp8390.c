/* The DP8390 of an NE2000 (dp8390.h). */
#include "hw/net/dp8390.h"

#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "util/endian.h"

enum { CR_STOP = 0x01, CR_TRANSMIT = 0x04, CR_READ = 0x08, CR_WRITE = 0x10, CR_SEND = 0x18,
       CR_ABORT = 0x20, CR_REMOTE = 0x38 };
enum { ISR_PRX = 0x01, ISR_PTX = 0x02, ISR_OVW = 0x10, ISR_RDC = 0x40, ISR_RST = 0x80 };
enum { DCR_WORD = 0x01 };
enum { RCR_BROADCAST = 0x04, RCR_MULTICAST = 0x08, RCR_PROMISCUOUS = 0x10, RCR_MONITOR = 0x20 };
enum { TCR_LOOPBACK = 0x06 };
enum { RSR_PRX = 0x01, RSR_MISSED = 0x10, RSR_GROUP = 0x20, TSR_PTX = 0x01 };
enum { PORT_DATA = 0x10, PORT_RESET = 0x18, PAGE = 256, RX_HEADER = 4, FRAME_LONG = 1518 };
#define LOOK_SOON_NS 20000
#define LOOK_NS (NS_PER_SECOND / 1000)

/* ---- interrupts ---- */

/* ISR's reset bit is only a state (4.3). */
static void irq_update(Dp8390 *d) { d->set_irq(d->opaque, (d->isr & d->imr & 0x7f) != 0); }

static void raise_cause(Dp8390 *d, uint8_t cause)
{
    d->isr |= cause;
    irq_update(d);
}

static void look_in(Dp8390 *d, int64_t ns)
{
    int64_t when = clock_now(d->machine->clocks, MYNA_CLOCK_VIRTUAL) + ns;

    if (!timer_armed(d->look) || timer_deadline(d->look) > when)
        timer_arm(d->look, when);
}

/* ---- memory ---- */

static uint8_t memory_read(const Dp8390 *d, uint16_t at)
{
    if (at < DP8390_PROM)
        return d->prom[at];
    return at >= DP8390_RAM_START && at < DP8390_RAM_END ? d->ram[at - DP8390_RAM_START] : 0xff;
}

static void memory_write(Dp8390 *d, uint16_t at, uint8_t v)
{
    if (at >= DP8390_RAM_START && at < DP8390_RAM_END)
        d->ram[at - DP8390_RAM_START] = v;
}

/* ---- receive ring ---- */

static bool ring_sane(const Dp8390 *d) { return d->start < d->stop && d->current >= d->start && d->current < d->stop; }

static unsigned pages_of(size_t size) { return (RX_HEADER + size + FRAME_FCS_SIZE + PAGE - 1) / PAGE; }

/*
 * Pages up to the boundary, which is not written over; when the two are the same the ring is empty.  The page before the
 * first is as good as the last: drivers write what they will read next, less one.
 */
static unsigned pages_free(const Dp8390 *d)
{
    int ring = d->stop - d->start, ahead = (d->boundary - d->current) % ring;

    return ahead > 0 ? ahead : ahead + ring;
}

/* A ring with as much in it as goes in would look empty. */
static bool has_room(const Dp8390 *d, size_t size) { return pages_of(size) < pages_free(d); }

/* Drivers keep the boundary at the next frame's page, or at the one before it. */
static bool ring_empty(const Dp8390 *d)
{
    unsigned after = d->boundary + 1 >= d->stop ? d->start : d->boundary + 1u;
    return d->current == d->boundary || d->current == after;
}

/* Returns the page behind what was written. */
static unsigned ring_write(Dp8390 *d, const uint8_t *p, size_t size)
{
    unsigned page = d->current;

    for (size_t done = 0; done < size; done++) {
        memory_write(d, page * PAGE + done % PAGE, p[done]);
        if (done % PAGE == PAGE - 1 || done == size - 1)
            page = page + 1u >= d->stop ? d->start : page + 1;
    }
    return page;
}

/* Status, next page, and the length with FCS, before the frame (4.1). */
static void frame_store(Dp8390 *d, const uint8_t *f, size_t size)
{
    uint8_t image[RX_HEADER + FRAME_LONG + FRAME_FCS_SIZE];
    size_t stored = RX_HEADER + size + FRAME_FCS_SIZE;
    unsigned next = (d->current - d->start + pages_of(size)) % (d->stop - d->start) + d->start;

    d->rsr = RSR_PRX | (net_is_multicast(f) ? RSR_GROUP : 0);
    image[0] = d->rsr;
    image[1] = next;
    st16le(image + 2, size + FRAME_FCS_SIZE);
    memcpy(image + RX_HEADER, f, size + FRAME_FCS_SIZE);
    d->current = ring_write(d, image, stored);
    raise_cause(d, ISR_PRX);
}

static bool frame_wanted(const Dp8390 *d, const uint8_t *f)
{
    unsigned hash = frame_hash(f);

    if (net_is_broadcast(f))
        return d->rcr & RCR_BROADCAST;
    if (net_is_multicast(f))
        return d->rcr & RCR_MULTICAST && d->multicast[hash / 8] >> hash % 8 & 1;
    return d->rcr & RCR_PROMISCUOUS || !memcmp(f, d->station, 6);
}

/* Drivers choose a page with neither bit: what was started goes on until it is stopped. */
static bool is_receiving(const Dp8390 *d)
{
    return !(d->command & CR_STOP) && ring_sane(d) && !(d->tcr & TCR_LOOPBACK);
}

/* A card that does not receive loses what comes, as on the wire. */
static bool can_receive(void *opaque)
{
    Dp8390 *d = opaque;

    if (!is_receiving(d) || has_room(d, FRAME_LONG - FRAME_FCS_SIZE))
        return true;
    look_in(d, LOOK_NS);
    return false;
}

static void receive(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Dp8390 *d = opaque;
    uint8_t f[FRAME_LONG + FRAME_FCS_SIZE] = { 0 };
    size_t size = net_iov_size(iov, count);
    (void)offload;

    if (!is_receiving(d) || size < FRAME_HEADER || size > FRAME_LONG)
        return;
    net_iov_copy(iov, count, 0, f, size);
    size = MAX(size, (size_t)FRAME_MIN);
    if (!frame_wanted(d, f))
        return;
    if (d->rcr & RCR_MONITOR) {
        d->rsr = RSR_PRX | RSR_MISSED;
        d->missed += d->missed < 0xc0;
        return;
    }
    if (!has_room(d, size))
        raise_cause(d, ISR_OVW);
    else
        frame_store(d, f, size);
}

static const NetUser card_ops = { can_receive, receive, NULL };

/*
 * On the wire frames keep coming, and their interrupts with them.  Here they wait for room: a driver that cleared PRX with
 * frames in the ring, because it had done its share for now, is told of them again.
 */
static void look(void *opaque)
{
    Dp8390 *d = opaque;

    net_accept(d->net);
    if (is_receiving(d) && !ring_empty(d) && !(d->isr & ISR_PRX))
        raise_cause(d, ISR_PRX);
}

/* ---- transmit ---- */

static void transmit(Dp8390 *d)
{
    uint32_t at = d->tx_page * PAGE, size = d->tx_count;
    uint8_t f[FRAME_LONG] = { 0 };

    d->command &= ~CR_TRANSMIT;
    if (size > FRAME_LONG || size < FRAME_HEADER) {
        log_guest_error("%s: a frame of %u bytes cannot be sent", d->id, size);
    } else if (!(d->tcr & TCR_LOOPBACK)) {
        for (uint32_t n = 0; n < size; n++)
            f[n] = memory_read(d, at + n);
        net_send(d->net, &(struct iovec){ f, MAX(size, (uint32_t)FRAME_MIN) }, 1, NULL);
    }
    d->tsr = TSR_PTX;
    raise_cause(d, ISR_PTX);
}

/* ---- remote DMA: bytes between data port and memory, around the ring as local DMA (5.0) ---- */

static void remote_step(Dp8390 *d)
{
    if (++d->remote == d->stop * PAGE)
        d->remote = d->start * PAGE;
    if (d->remote_count && !--d->remote_count)
        raise_cause(d, ISR_RDC);
}

/* In words a port access of any size moves at least two bytes. */
static unsigned remote_size(const Dp8390 *d, unsigned size) { return d->dcr & DCR_WORD ? MAX(size, 2u) : size; }

static uint32_t data_read(Dp8390 *d, unsigned size)
{
    uint32_t v = 0;

    for (unsigned n = 0, bytes = remote_size(d, size); n < bytes; n++) {
        v |= (uint32_t)(d->remote_count ? memory_read(d, d->remote) : 0) << 8 * n;
        if (d->remote_count)
            remote_step(d);
    }
    return v;
}

static void data_write(Dp8390 *d, uint32_t v, unsigned size)
{
    for (unsigned n = 0, bytes = remote_size(d, size); n < bytes && d->remote_count; n++) {
        memory_write(d, d->remote, v >> 8 * n);
        remote_step(d);
    }
}

/* Send Packet: reads the frame at the boundary, whose length its header says (5.2). */
static void remote_send_packet(Dp8390 *d)
{
    d->remote = d->boundary * PAGE;
    d->remote_count = memory_read(d, d->remote + 2) | memory_read(d, d->remote + 3) << 8;
}

/* ---- registers ---- */

static void write_command(Dp8390 *d, uint8_t v)
{
    d->command = v;
    if (v & CR_STOP) {
        d->isr |= ISR_RST;
        return;
    }
    d->isr &= ~ISR_RST;
    if ((v & CR_REMOTE) == CR_SEND)
        remote_send_packet(d);
    if (!(v & CR_ABORT) && v & CR_REMOTE && !d->remote_count)
        raise_cause(d, ISR_RDC);
    if (v & CR_TRANSMIT)
        transmit(d);
    net_accept(d->net);
}

static void write_isr(Dp8390 *d, uint8_t v)
{
    d->isr &= ~(v & 0x7f);
    irq_update(d);
    net_accept(d->net);
    if (!ring_empty(d) && !(d->isr & ISR_PRX))
        look_in(d, LOOK_NS);
}

/* Drivers clear PRX after this, and would miss a frame that came at once. */
static void write_boundary(Dp8390 *d, uint8_t v)
{
    d->boundary = v;
    look_in(d, LOOK_SOON_NS);
}

static void set_byte(uint16_t *word, bool high, uint8_t v) { *word = high ? (*word & 0xff) | v << 8 : (*word & 0xff00) | v; }

static void write_page0(Dp8390 *d, unsigned at, uint8_t v)
{
    switch (at) {
    case 0x1: d->start = v; break;
    case 0x2: d->stop = v; break;
    case 0x3: write_boundary(d, v); break;
    case 0x4: d->tx_page = v; break;
    case 0x5:
    case 0x6: set_byte(&d->tx_count, at == 6, v); break;
    case 0x7: write_isr(d, v); break;
    case 0x8:
    case 0x9: set_byte(&d->remote, at == 9, v); break;
    case 0xa:
    case 0xb: set_byte(&d->remote_count, at == 0xb, v); break;
    case 0xc: d->rcr = v & 0x3f; break;
    case 0xd: d->tcr = v & 0x1f; break;
    case 0xe: d->dcr = v & 0x7f; break;
    case 0xf:
        d->imr = v & 0x7f;
        irq_update(d);
        break;
    }
}

static void write_page1(Dp8390 *d, unsigned at, uint8_t v)
{
    if (at <= 6)
        d->station[at - 1] = v;
    else if (at == 7)
        d->current = v;
    else
        d->multicast[at - 8] = v;
}

static uint8_t read_page0(Dp8390 *d, unsigned at)
{
    uint8_t v;

    switch (at) {
    case 0x3: return d->boundary;
    case 0x4: return d->tsr;
    case 0x7: return d->isr;
    case 0x8: return d->remote;
    case 0x9: return d->remote >> 8;
    case 0xa: return 0x50; /* "PC": an RTL8029 */
    case 0xb: return 0x43;
    case 0xc: return d->rsr;
    case 0xf: /* missed frames: cleared by a read */
        v = d->missed;
        d->missed = 0;
        return v;
    default: return 0;
    }
}

static uint8_t read_page1(const Dp8390 *d, unsigned at)
{
    if (at <= 6)
        return d->station[at - 1];
    return at == 7 ? d->current : d->multicast[at - 8];
}

static uint8_t read_page2(const Dp8390 *d, unsigned at)
{
    switch (at) {
    case 0x1: return d->start;
    case 0x2: return d->stop;
    case 0x4: return d->tx_page;
    case 0xc: return d->rcr | 0xc0;
    case 0xd: return d->tcr | 0xe0;
    case 0xe: return d->dcr | 0x80;
    case 0xf: return d->imr | 0x80;
    default: return 0;
    }
}

/* Realtek's: CONFIG2 and CONFIG3 say full duplex, no boot ROM. */
static uint8_t read_page3(unsigned at) { return at == 5 || at == 6 ? 0x40 : 0; }

static uint8_t register_read(Dp8390 *d, unsigned at)
{
    if (at == 0)
        return d->command;
    switch (d->command >> 6) {
    case 0: return read_page0(d, at);
    case 1: return read_page1(d, at);
    case 2: return read_page2(d, at);
    default: return read_page3(at);
    }
}

static void register_write(Dp8390 *d, unsigned at, uint8_t v)
{
    if (at == 0)
        write_command(d, v);
    else if (d->command >> 6 == 0)
        write_page0(d, at, v);
    else if (d->command >> 6 == 1)
        write_page1(d, at, v);
}

/* ---- ports ---- */

/* The reset port's read resets (NE2000 manual); its write ends it. */
static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    Dp8390 *d = opaque;
    uint64_t v = 0;

    if (offset >= PORT_RESET) {
        dp8390_reset(d);
        return 0;
    }
    if (offset >= PORT_DATA)
        return data_read(d, size);
    for (unsigned n = 0; n < size && offset + n < PORT_DATA; n++)
        v |= (uint64_t)register_read(d, offset + n) << 8 * n;
    return v;
}

static void port_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Dp8390 *d = opaque;

    if (offset >= PORT_RESET)
        return;
    if (offset >= PORT_DATA)
        data_write(d, v, size);
    else
        for (unsigned n = 0; n < size && offset + n < PORT_DATA; n++)
            register_write(d, offset + n, v >> 8 * n);
}

const RegionOps dp8390_ops = { port_read, port_write, 1, 4 };

/* ---- life ---- */

static void prom_init(Dp8390 *d)
{
    uint8_t byte[DP8390_PROM / 2] = { [14] = 0x57, [15] = 0x57 }; /* "WW": 16 bits wide */

    memcpy(byte, d->mac, sizeof d->mac);
    for (unsigned n = 0; n < DP8390_PROM; n++)
        d->prom[n] = byte[n / 2];
}

gboolean dp8390_init(Dp8390 *d, Device *dev, GError **err)
{
    if (!net_attach(d->net, dev->id, &card_ops, d, err))
        return FALSE;
    d->machine = dev->machine;
    d->id = dev->id;
    if (!memcmp(d->mac, (uint8_t[6]){ 0 }, sizeof d->mac))
        net_next_mac(dev->machine, d->mac);
    d->look = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, look, d);
    prom_init(d);
    return TRUE;
}

void dp8390_exit(Dp8390 *d)
{
    net_detach(d->net);
    timer_free(d->look);
}

/* Only these are defined after a reset (4.3); registers that say where memory is used stay. */
void dp8390_reset(Dp8390 *d)
{
    d->command = CR_STOP | CR_ABORT;
    d->isr = ISR_RST;
    d->imr = d->tcr = d->rsr = d->tsr = d->missed = 0;
    d->dcr &= DCR_WORD;
    d->remote_count = 0;
    timer_cancel(d->look);
    irq_update(d);
}

const StateField dp8390_state[] = {
    STATE_U8(Dp8390, command), STATE_U8(Dp8390, isr), STATE_U8(Dp8390, imr), STATE_U8(Dp8390, dcr),
    STATE_U8(Dp8390, rcr), STATE_U8(Dp8390, tcr), STATE_U8(Dp8390, rsr), STATE_U8(Dp8390, tsr),
    STATE_U8(Dp8390, start), STATE_U8(Dp8390, stop), STATE_U8(Dp8390, boundary), STATE_U8(Dp8390, current),
    STATE_U8(Dp8390, tx_page), STATE_U16(Dp8390, tx_count), STATE_U16(Dp8390, remote), STATE_U16(Dp8390, remote_count),
    STATE_BYTES(Dp8390, station), STATE_BYTES(Dp8390, multicast), STATE_U8(Dp8390, missed), STATE_BYTES(Dp8390, prom),
    STATE_BYTES(Dp8390, ram), STATE_TIMER(Dp8390, look), STATE_END
};
