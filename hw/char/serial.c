/*
 * isa-serial: a 16550A (National Semiconductor PC16550D data sheet) at one of the ports COM1 to COM4.
 *
 * What the guest sends leaves at once, so the transmitter is always empty; its interrupt still follows the rules, for
 * drivers send from within it.  What comes in waits in the back end until the FIFO has room, so nothing overruns.  The
 * interrupt does not depend on OUT2, which gates it on a PC's adapter: many a small kernel never sets it.
 */
#include "hw/char/serial.h"

#include "backends/char/char.h"
#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/isa/isa_device.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH, FCR = IIR };
enum { IER_DATA = 0x01, IER_THR = 0x02, IER_LINE = 0x04, IER_MODEM = 0x08 };
enum { IIR_NONE = 0x01, IIR_MODEM = 0x00, IIR_THR = 0x02, IIR_DATA = 0x04, IIR_LINE = 0x06, IIR_TIMEOUT = 0x0c,
       IIR_FIFO = 0xc0 };
enum { FCR_ENABLE = 0x01, FCR_CLEAR_RX = 0x02, FCR_CLEAR_TX = 0x04 };
enum { LCR_LENGTH = 0x03, LCR_STOP = 0x04, LCR_PARITY = 0x08, LCR_DLAB = 0x80 };
enum { MCR_DTR = 0x01, MCR_RTS = 0x02, MCR_OUT1 = 0x04, MCR_OUT2 = 0x08, MCR_LOOP = 0x10, MCR_WRITABLE = 0x1f };
enum { LSR_DATA = 0x01, LSR_OVERRUN = 0x02, LSR_FRAMING = 0x08, LSR_BREAK = 0x10, LSR_THR_EMPTY = 0x20,
       LSR_IDLE = 0x40, LSR_FIFO_ERROR = 0x80, LSR_ERRORS = 0x1e };
enum { MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80, MSR_DELTAS = 0x0f, MSR_RI_FELL = 0x04 };
enum { FIFO_SIZE = 16, PORTS = 4, CLOCK_HZ = 1843200, ANY_INDEX = 0xff, ANY_IRQ = 0xff };

typedef struct Serial {
    Device dev;
    IsaBus *bus;
    Region *region;
    CharBackend *chardev;
    uint8_t index, irq;        /* properties */
    uint32_t iobase;
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scratch;
    uint16_t divisor;
    uint8_t fifo[FIFO_SIZE];   /* received; without FIFO mode only the first counts */
    uint8_t error[FIFO_SIZE];  /* LSR bits that belong to each */
    uint8_t head, count;
    bool thr_pending;          /* the transmitter ran empty and nobody was told */
    bool timed_out;            /* received bytes below the trigger level lay too long */
    Timer *timeout;
} Serial;

static const struct { uint16_t iobase; uint8_t irq; } com_ports[PORTS] = {
    { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 },
};

static bool fifo_enabled(const Serial *s)
{
    return s->fcr & FCR_ENABLE;
}

static unsigned fifo_trigger(const Serial *s)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };
    return fifo_enabled(s) ? levels[s->fcr >> 6] : 1;
}

/* --- interrupts ------------------------------------------------------------------------------------------------ */

/* What IIR shows: the pending interrupt of highest priority (data sheet, table IV). */
static uint8_t serial_pending(const Serial *s)
{
    if ((s->ier & IER_LINE) && (s->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((s->ier & IER_DATA) && s->count >= fifo_trigger(s))
        return IIR_DATA;
    if ((s->ier & IER_DATA) && s->timed_out)
        return IIR_TIMEOUT;
    if ((s->ier & IER_THR) && s->thr_pending)
        return IIR_THR;
    if ((s->ier & IER_MODEM) && (s->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void serial_update_irq(Serial *s)
{
    irq_set(&s->bus->irq[s->irq], serial_pending(s) != IIR_NONE);
}

/* Four characters' time at the programmed speed (data sheet, "FIFO Interrupt Mode Operation"). */
static int64_t serial_timeout_ns(const Serial *s)
{
    unsigned bits = 1 + 5 + (s->lcr & LCR_LENGTH) + !!(s->lcr & LCR_PARITY) + (s->lcr & LCR_STOP ? 2 : 1);
    uint32_t divisor = s->divisor ? s->divisor : 0x10000;

    return muldiv64(4 * bits * NS_PER_SECOND, divisor * 16, CLOCK_HZ);
}

/* To be called when a byte came or was read: the wait starts anew. */
static void serial_restart_timeout(Serial *s)
{
    s->timed_out = false;
    if (fifo_enabled(s) && s->count && s->count < fifo_trigger(s))
        timer_arm(s->timeout, clock_now(s->dev.machine->clocks, MYNA_CLOCK_VIRTUAL) + serial_timeout_ns(s));
    else
        timer_cancel(s->timeout);
}

static void serial_timeout(void *opaque)
{
    Serial *s = opaque;

    s->timed_out = s->count != 0;
    serial_update_irq(s);
}

/* --- receiver -------------------------------------------------------------------------------------------------- */

/* Line status of the byte that is to be read next; errors of one further back show in LSR's top bit. */
static void serial_show_head(Serial *s)
{
    s->lsr = s->count ? s->lsr | LSR_DATA | s->error[s->head] : s->lsr & ~LSR_DATA;
}

static bool fifo_has_error(const Serial *s)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->error[(s->head + i) % FIFO_SIZE])
            return true;
    return false;
}

static unsigned serial_room(const Serial *s)
{
    return (fifo_enabled(s) ? FIFO_SIZE : 1) - s->count;
}

static void serial_put(Serial *s, uint8_t v, uint8_t error)
{
    if (!serial_room(s)) {
        s->lsr |= LSR_OVERRUN;
        return;
    }
    unsigned at = (s->head + s->count++) % FIFO_SIZE;
    s->fifo[at] = v;
    s->error[at] = error;
    serial_show_head(s);
}

static void serial_received(Serial *s)
{
    serial_restart_timeout(s);
    serial_update_irq(s);
}

/* In loopback the receiver is cut off from the line. */
static unsigned serial_can_receive(void *opaque)
{
    const Serial *s = opaque;
    return s->mcr & MCR_LOOP ? 0 : serial_room(s);
}

static void serial_receive(void *opaque, const uint8_t *data, unsigned size)
{
    Serial *s = opaque;

    for (unsigned i = 0; i < size; i++)
        serial_put(s, data[i], 0);
    serial_received(s);
}

static void serial_event(void *opaque, int event)
{
    Serial *s = opaque;

    if (event != CHAR_BREAK || (s->mcr & MCR_LOOP))
        return;
    serial_put(s, 0, LSR_BREAK | LSR_FRAMING);
    serial_received(s);
}

static const CharFrontend serial_frontend = {
    .can_receive = serial_can_receive, .receive = serial_receive, .event = serial_event
};

static void serial_accept_input(Serial *s)
{
    if (s->chardev && serial_can_receive(s))
        char_accept_input(s->chardev);
}

static uint8_t serial_read_data(Serial *s)
{
    uint8_t v = s->fifo[s->head];

    if (!s->count)
        return v;
    s->error[s->head] = 0;
    s->count--;
    if (s->count || fifo_enabled(s))
        s->head = (s->head + 1) % FIFO_SIZE;
    serial_show_head(s);
    serial_received(s);
    if (!s->count)
        serial_accept_input(s);
    return v;
}

static void serial_clear_receiver(Serial *s)
{
    s->head = s->count = 0;
    s->lsr &= ~(LSR_DATA | LSR_ERRORS);
    serial_restart_timeout(s);
}

/* --- modem ----------------------------------------------------------------------------------------------------- */

/* Modem inputs: a peer that is always ready, or in loopback the chip's own outputs. */
static uint8_t serial_modem_inputs(const Serial *s)
{
    if (!(s->mcr & MCR_LOOP))
        return s->chardev ? MSR_CTS | MSR_DSR | MSR_DCD : 0;
    return (s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) | (s->mcr & MCR_OUT1 ? MSR_RI : 0) |
           (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

/* The low bits tell what changed since MSR was read; of the ring indicator, only its end. */
static void serial_update_modem(Serial *s)
{
    uint8_t inputs = serial_modem_inputs(s), changed = (s->msr ^ inputs) >> 4;

    if (inputs & MSR_RI)
        changed &= ~MSR_RI_FELL;
    s->msr = inputs | (s->msr & MSR_DELTAS) | changed;
}

static uint8_t serial_read_modem(Serial *s)
{
    uint8_t v = s->msr;
    s->msr &= ~MSR_DELTAS;
    serial_update_irq(s);
    return v;
}

static void serial_write_modem(Serial *s, uint8_t v)
{
    s->mcr = v & MCR_WRITABLE;
    serial_update_modem(s);
    serial_update_irq(s);
    serial_accept_input(s);
}

/* --- the other registers --------------------------------------------------------------------------------------- */

/* A write takes the transmitter's interrupt back, and the byte's departure raises it again: a new edge. */
static void serial_transmit(Serial *s, uint8_t v)
{
    if (s->thr_pending && (s->ier & IER_THR)) {
        s->thr_pending = false;
        serial_update_irq(s);
    }
    if (!(s->mcr & MCR_LOOP)) {
        char_write(s->chardev, &v, 1);
    } else {
        serial_put(s, v, 0);
        serial_restart_timeout(s);
    }
    s->thr_pending = true;
    if (s->ier)
        serial_update_irq(s);
}

static void serial_write_ier(Serial *s, uint8_t v)
{
    uint8_t enabled = v & ~s->ier;

    s->ier = v & 0x0f;
    if (enabled & IER_THR)
        s->thr_pending = true;
    serial_update_irq(s);
}

static void serial_write_fcr(Serial *s, uint8_t v)
{
    bool toggled = (v ^ s->fcr) & FCR_ENABLE;

    s->fcr = v & FCR_ENABLE ? v & 0xc1 : 0; /* the other bits need the first */
    if (toggled || (v & FCR_CLEAR_RX))
        serial_clear_receiver(s);
    if (toggled || (v & FCR_CLEAR_TX))
        s->thr_pending = true;
    serial_received(s);
    serial_accept_input(s);
}

/* Reading takes the transmitter's interrupt back, if it is the one shown. */
static uint8_t serial_read_iir(Serial *s)
{
    uint8_t v = serial_pending(s);

    if (v == IIR_THR) {
        s->thr_pending = false;
        serial_update_irq(s);
    }
    return v | (fifo_enabled(s) ? IIR_FIFO : 0);
}

/* Polled before each byte of a console: an idle port is answered at once. */
static uint8_t serial_read_lsr(Serial *s)
{
    uint8_t v = s->lsr;

    if (!(v & (LSR_DATA | LSR_ERRORS)))
        return v;
    if (fifo_enabled(s) && fifo_has_error(s))
        v |= LSR_FIFO_ERROR;
    if (v & LSR_ERRORS) {
        s->lsr &= ~LSR_ERRORS;
        s->error[s->head] = 0;
        serial_update_irq(s);
    }
    return v;
}

static uint64_t serial_read(void *opaque, uint64_t offset, unsigned size)
{
    Serial *s = opaque;
    bool dlab = s->lcr & LCR_DLAB;
    (void)size;

    switch (offset) {
    case DATA: return dlab ? s->divisor & 0xff : serial_read_data(s);
    case IER: return dlab ? s->divisor >> 8 : s->ier;
    case IIR: return serial_read_iir(s);
    case LCR: return s->lcr;
    case MCR: return s->mcr;
    case LSR: return serial_read_lsr(s);
    case MSR: return serial_read_modem(s);
    default: return s->scratch;
    }
}

static void serial_write_low(Serial *s, unsigned reg, uint8_t v)
{
    if (s->lcr & LCR_DLAB)
        s->divisor = reg == DATA ? (s->divisor & 0xff00) | v : (s->divisor & 0xff) | v << 8;
    else if (reg == DATA)
        serial_transmit(s, v);
    else
        serial_write_ier(s, v);
}

static void serial_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Serial *s = opaque;
    (void)size;

    switch (offset) {
    case DATA: case IER: serial_write_low(s, offset, value); break;
    case FCR: serial_write_fcr(s, value); break;
    case LCR: s->lcr = value; break;
    case MCR: serial_write_modem(s, value); break;
    case LSR: case MSR: log_guest_error("%s: write to read-only register %u", s->dev.id, (unsigned)offset); break;
    default: s->scratch = value; break;
    }
}

static const RegionOps serial_ops = { serial_read, serial_write, 1, 1 };

/* --- type ------------------------------------------------------------------------------------------------------ */

/* How many serial ports were created before this one. */
static unsigned serial_ports_before(const Device *dev)
{
    const GPtrArray *devices = machine_devices(dev->machine);
    unsigned n = 0;

    for (unsigned i = 0; i < devices->len; i++) {
        const Device *other = g_ptr_array_index(devices, i);
        n += other != dev && other->type == dev->type;
    }
    return n;
}

/* Fills in what the properties left open. */
static gboolean serial_place(Serial *s, GError **err)
{
    if (s->index == ANY_INDEX && !s->iobase)
        s->index = serial_ports_before(&s->dev);
    if (s->index >= PORTS && !s->iobase)
        return error_set(err, "device '%s': there are %u serial ports already; give this one iobase and irq", s->dev.id,
                         PORTS);
    const unsigned n = s->index < PORTS ? s->index : 0;
    if (!s->iobase)
        s->iobase = com_ports[n].iobase;
    if (s->irq == ANY_IRQ)
        s->irq = com_ports[n].irq;
    return TRUE;
}

static gboolean serial_create(Device *dev, GError **err)
{
    Serial *s = (Serial *)dev;

    s->bus = isa_bus_find(dev, err);
    if (!s->bus || !serial_place(s, err))
        return FALSE;
    s->timeout = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, serial_timeout, s);
    s->region = isa_ports_add(dev, s->bus, s->iobase, 8, &serial_ops, s);
    if (s->chardev)
        char_connect(s->chardev, &serial_frontend, s);
    return TRUE;
}

static void serial_destroy(Device *dev)
{
    Serial *s = (Serial *)dev;

    if (s->chardev)
        char_connect(s->chardev, NULL, NULL);
    isa_ports_remove(dev, s->region);
    timer_free(s->timeout);
}

static void serial_reset(Device *dev)
{
    Serial *s = (Serial *)dev;

    s->ier = s->fcr = s->lcr = s->mcr = s->scratch = 0;
    s->lsr = LSR_THR_EMPTY | LSR_IDLE;
    s->msr = serial_modem_inputs(s);
    s->divisor = 12; /* 9600 baud */
    s->thr_pending = false;
    serial_clear_receiver(s);
    serial_update_irq(s);
    serial_accept_input(s);
}

static const Property serial_properties[] = {
    { .name = "index", .type = PROP_U8, .offset = offsetof(Serial, index), .initial = ANY_INDEX,
      .help = "0 to 3: COM1 to COM4; 0xff: the next one" },
    { .name = "iobase", .type = PROP_U32, .offset = offsetof(Serial, iobase), .max = 0xfff8,
      .help = "first of 8 ports; 0: as the index says" },
    { .name = "irq", .type = PROP_U8, .offset = offsetof(Serial, irq), .initial = ANY_IRQ,
      .help = "interrupt line; 0xff: as the index says" },
    PROPERTY(Serial, chardev, "chardev", PROP_CHAR, 0, "character back end"),
    PROPERTY_END
};

static const StateField serial_state[] = {
    STATE_U8(Serial, ier), STATE_U8(Serial, fcr), STATE_U8(Serial, lcr), STATE_U8(Serial, mcr), STATE_U8(Serial, lsr),
    STATE_U8(Serial, msr), STATE_U8(Serial, scratch), STATE_U16(Serial, divisor), STATE_ARRAY_U8(Serial, fifo),
    STATE_ARRAY_U8(Serial, error), STATE_U8(Serial, head), STATE_U8(Serial, count), STATE_BOOL(Serial, thr_pending),
    STATE_BOOL(Serial, timed_out), STATE_TIMER(Serial, timeout), STATE_END
};

static gboolean serial_post_load(Device *dev, GError **err)
{
    Serial *s = (Serial *)dev;

    if (s->head >= FIFO_SIZE || s->count > (fifo_enabled(s) ? FIFO_SIZE : 1))
        return error_set(err, "device '%s': the saved state is not one of a 16550A", dev->id);
    serial_accept_input(s);
    return TRUE;
}

const DeviceType serial_type = {
    .name = "isa-serial",
    .description = "16550A serial port",
    .bus = "isa",
    .size = sizeof(Serial),
    .user = true,
    .properties = serial_properties,
    .create = serial_create,
    .reset = serial_reset,
    .destroy = serial_destroy,
    .state = serial_state,
    .post_load = serial_post_load,
};
