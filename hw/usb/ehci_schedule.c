/* The EHCI controller's schedules: queue heads and transfer descriptors (EHCI 1.0, 3.5, 3.6 and chapter 4). */
#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/usb/ehci_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { FRAME = 1000 * 1000 /* ns */, IDLE_AFTER = 32, IDLE_FRAMES = 8, CATCH_UP_MAX = 32, FRAMES = 1024 };
enum { LINK_END = 1, LINK_TYPE = 6, LINK_QUEUE = 2, POINTER = ~31 };
/* Words of a queue head (3.6): its own, and the overlay that is a transfer descriptor (3.5). */
enum { QH_LINK = 0, QH_CHARACTERISTICS = 4, QH_CAPABILITIES = 8, QH_CURRENT = 12, QH_OVERLAY = 16,
       QH_HEAD = 1 << 15 };
enum { TD_NEXT = 0, TD_ALTERNATE = 4, TD_TOKEN = 8, TD_PAGES = 12, TD_SIZE = 32, PAGES = 5, PAGE_BYTES = 4096 };
enum { TOKEN_BABBLE = 1 << 4, TOKEN_TRANSACTION = 1 << 3, TOKEN_HALTED = 1 << 6, TOKEN_ACTIVE = 1 << 7,
       TOKEN_INTERRUPT = 1 << 15 };
#define TOKEN_TOGGLE UINT32_C(0x80000000)
enum { QUEUES_MAX = 128 /* of a walk */, STEPS_MAX = 64 /* transfers of a queue in a walk */, LINKS_MAX = 64,
       SETUP_BYTES = 8, TRANSFER_MAX = PAGES * PAGE_BYTES };

/* ---- memory ---- */

static uint32_t read32(Ehci *s, uint32_t at)
{
    uint8_t b[4];
    pci_dma_read(&s->pci, at, b, sizeof b);
    return ld32le(b);
}

static void write32(Ehci *s, uint32_t at, uint32_t v)
{
    uint8_t b[4];
    st32le(b, v);
    pci_dma_write(&s->pci, at, b, sizeof b);
}

typedef struct Queue {
    uint32_t at, characteristics;
} Queue;

typedef struct Td {
    uint32_t at, next, alternate, token, page[PAGES];
} Td;

static Td td_read(Ehci *s, uint32_t at)
{
    uint8_t b[TD_SIZE];
    Td td = { .at = at };
    pci_dma_read(&s->pci, at, b, sizeof b);
    td.next = ld32le(b + TD_NEXT);
    td.alternate = ld32le(b + TD_ALTERNATE);
    td.token = ld32le(b + TD_TOKEN);
    for (unsigned n = 0; n < PAGES; n++)
        td.page[n] = ld32le(b + TD_PAGES + 4 * n);
    return td;
}

static unsigned td_bytes(const Td *td) { return td->token >> 16 & 0x7fff; }
static unsigned td_page(const Td *td) { return td->token >> 12 & 7; }

static UsbPid td_pid(const Td *td)
{
    static const UsbPid pids[] = { USB_OUT, USB_IN, USB_SETUP, USB_OUT };
    return pids[td->token >> 8 & 3];
}

/* ---- transfers ---- */

static UsbDevice *find_device(Ehci *s, unsigned address)
{
    for (unsigned n = 0; n < EHCI_PORTS; n++) {
        UsbDevice *d = s->portsc[n] & EHCI_PORT_ENABLED ? usb_port_find(&s->port[n], address) : NULL;
        if (d)
            return d;
    }
    return NULL;
}

/* The buffer: from an offset in the current page, over the pages that follow (3.5.4). */
static bool add_pages(UsbPacket *p, const Td *td)
{
    unsigned left = td_bytes(td), offset = td->page[0] & (PAGE_BYTES - 1);
    for (unsigned page = td_page(td); left; page++, offset = 0) {
        unsigned n = MIN(left, PAGE_BYTES - offset);
        if (page >= PAGES || !dma_add(&p->data, (td->page[page] & ~(uint32_t)(PAGE_BYTES - 1)) + offset, n))
            return false;
        left -= n;
    }
    return true;
}

static bool packet_fill(Ehci *s, UsbPacket *p, const Queue *q, const Td *td)
{
    UsbPid pid = td_pid(td);
    usb_packet_setup(p, pid, q->characteristics >> 8 & 15);
    if (pid != USB_SETUP)
        return td_bytes(td) <= TRANSFER_MAX && add_pages(p, td);
    pci_dma_read(&s->pci, td->page[0], p->setup, SETUP_BYTES);
    return td_bytes(td) == SETUP_BYTES && !td_page(td);
}

void ehci_ended(void *controller)
{
    Ehci *s = controller;
    s->quiet = 0;
    ehci_catch_up(s);
}

/* Hands the transfer to its device; USB_ASYNC: it is under way. */
static UsbStatus submit(Ehci *s, const Queue *q, const Td *td, uint32_t *actual)
{
    UsbLater *l = usb_later_find(&s->later, td->at, td->token);
    if (!l) {
        if (!(l = usb_later_new(&s->later, td->at, td->token)))
            return USB_NAK;
        if (packet_fill(s, &l->packet, q, td))
            usb_submit(find_device(s, q->characteristics & 0x7f), &l->packet);
        else
            l->packet.status = USB_ERROR;
    }
    return usb_later_result(l, actual);
}

/* ---- a descriptor comes to its end (4.10.3, 4.10.4) ---- */

/* What it did stands in the descriptor, and in the queue's overlay. */
static void td_write(Ehci *s, const Queue *q, const Td *td)
{
    write32(s, td->at + TD_TOKEN, td->token);
    write32(s, q->at + QH_CURRENT, td->at);
    write32(s, q->at + QH_OVERLAY + TD_NEXT, td->next);
    write32(s, q->at + QH_OVERLAY + TD_ALTERNATE, td->alternate);
    write32(s, q->at + QH_OVERLAY + TD_TOKEN, td->token);
    for (unsigned n = 0; n < PAGES; n++)
        write32(s, q->at + QH_OVERLAY + TD_PAGES + 4 * n, td->page[n]);
}

static void td_fail(Ehci *s, Td *td, uint32_t bits)
{
    td->token = (td->token & ~(uint32_t)TOKEN_ACTIVE) | TOKEN_HALTED | bits;
    s->usbsts |= EHCI_STS_ERROR | (td->token & TOKEN_INTERRUPT ? EHCI_STS_INTERRUPT : 0);
}

/* The data toggle counts packets; devices here do without, but drivers look at it. */
static void td_succeed(Ehci *s, const Queue *q, Td *td, uint32_t actual)
{
    unsigned bytes = td_bytes(td), packet = MAX(q->characteristics >> 16 & 0x7ff, 1);
    if (td_pid(td) != USB_IN)
        actual = bytes;
    unsigned packets = MAX((actual + packet - 1) / packet, 1);
    td->token = (td->token & ~(uint32_t)(TOKEN_ACTIVE | 0x7fff << 16)) | (bytes - actual) << 16;
    td->token ^= packets % 2 ? TOKEN_TOGGLE : 0;
    if (td->token & TOKEN_INTERRUPT || actual < bytes)
        s->usbsts |= EHCI_STS_INTERRUPT;
}

/* True when it has ended. */
static bool td_run(Ehci *s, const Queue *q, Td *td)
{
    uint32_t actual = 0;
    switch (submit(s, q, td, &actual)) {
    case USB_NAK: case USB_ASYNC: return false;
    case USB_OK: td_succeed(s, q, td, actual); break;
    case USB_STALL: td_fail(s, td, 0); break;
    case USB_BABBLE: td_fail(s, td, TOKEN_BABBLE); break;
    case USB_ERROR: td_fail(s, td, TOKEN_TRANSACTION); break;
    }
    s->quiet = 0;
    td_write(s, q, td);
    return true;
}

/* ---- a queue (4.10) ---- */

/* The descriptor that is to be worked on: the current one, or the next; 0: none (4.10.2). */
static uint32_t queue_next(Ehci *s, const Queue *q)
{
    uint32_t token = read32(s, q->at + QH_OVERLAY + TD_TOKEN), next = read32(s, q->at + QH_OVERLAY + TD_NEXT);
    uint32_t alternate = read32(s, q->at + QH_OVERLAY + TD_ALTERNATE);
    if (token & TOKEN_HALTED)
        return 0;
    if (token & TOKEN_ACTIVE)
        return read32(s, q->at + QH_CURRENT) & POINTER;
    if (token >> 16 & 0x7fff && !(alternate & LINK_END)) /* it ended short */
        next = alternate;
    return next & LINK_END ? 0 : next & POINTER;
}

static bool queue_step(Ehci *s, const Queue *q)
{
    uint32_t at = queue_next(s, q);
    if (!at)
        return false;
    Td td = td_read(s, at);
    return td.token & TOKEN_ACTIVE && !(td.token & TOKEN_HALTED) && td_run(s, q, &td);
}

static bool queue_run(Ehci *s, uint32_t at)
{
    Queue q = { .at = at, .characteristics = read32(s, at + QH_CHARACTERISTICS) };
    unsigned steps = 0;
    while (steps < STEPS_MAX && queue_step(s, &q))
        steps++;
    return steps;
}

/* ---- schedules ---- */

/*
 * Around the ring of queues until nothing moves (4.8).  The next walk begins at the head of the reclamation list, which
 * drivers leave in the ring; another queue may have been taken out by then.
 */
static void walk_async(Ehci *s)
{
    uint32_t start = s->async_list & POINTER, at = start;
    bool moved = false;
    for (unsigned n = 0; n < QUEUES_MAX; n++) {
        if (read32(s, at + QH_CHARACTERISTICS) & QH_HEAD)
            s->async_list = at;
        moved |= queue_run(s, at);
        uint32_t link = read32(s, at + QH_LINK);
        if (link & LINK_END || (link & LINK_TYPE) != LINK_QUEUE)
            break;
        at = link & POINTER;
        if (at == start && !moved)
            break;
        moved &= at != start;
    }
}

/* Elements of other types, isochronous ones, are passed by: their first word is a link too (3.3, 3.4). */
static void walk_periodic(Ehci *s)
{
    uint32_t link = read32(s, s->periodic_list + s->frindex / 8 % FRAMES * 4);
    for (unsigned n = 0; n < LINKS_MAX && !(link & LINK_END); n++) {
        if ((link & LINK_TYPE) == LINK_QUEUE)
            queue_run(s, link & POINTER);
        link = read32(s, link & POINTER);
    }
}

static void walk(Ehci *s)
{
    if (s->usbcmd & EHCI_PERIODIC)
        walk_periodic(s);
    if (s->usbcmd & EHCI_ASYNC)
        walk_async(s);
    if (s->doorbell) {
        s->doorbell = false;
        s->usbsts |= EHCI_STS_ADVANCE;
    }
    usb_laters_age(&s->later);
}

/* ---- time ---- */

static int64_t now(const Ehci *s) { return clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL); }

static void set_timer(Ehci *s)
{
    bool idle = s->quiet > IDLE_AFTER && !s->doorbell;
    if (!(s->usbcmd & EHCI_RUN))
        timer_cancel(s->timer);
    else if (!(s->usbcmd & (EHCI_PERIODIC | EHCI_ASYNC)) && !s->doorbell && !(s->usbintr & EHCI_STS_ROLLOVER))
        timer_cancel(s->timer); /* nothing to walk: FRINDEX is worked out when it is read */
    else
        timer_arm(s->timer, s->frame_at + (idle ? IDLE_FRAMES - 1 : 0) * (int64_t)FRAME);
}

static void walk_due(Ehci *s)
{
    int64_t late = (now(s) - s->frame_at) / FRAME - CATCH_UP_MAX;
    if (late > 0) { /* a machine that was held up does not make all up */
        s->frame_at += late * FRAME;
        s->frindex += 8 * (uint32_t)late;
    }
    for (; s->usbcmd & EHCI_RUN && s->frame_at <= now(s); s->frame_at += FRAME) {
        if (pci_may_master(&s->pci))
            walk(s);
        if ((s->frindex + 8) / (8 * FRAMES) != s->frindex / (8 * FRAMES))
            s->usbsts |= EHCI_STS_ROLLOVER;
        s->frindex = (s->frindex + 8) & 0x3fff;
        s->quiet++;
    }
}

void ehci_catch_up(Ehci *s)
{
    if (s->busy || !(s->usbcmd & EHCI_RUN))
        return;
    s->busy = true;
    walk_due(s);
    s->busy = false;
    set_timer(s);
    ehci_update_irq(s);
}

void ehci_start(Ehci *s)
{
    s->frame_at = now(s) + FRAME;
    s->quiet = 0;
    set_timer(s);
}
