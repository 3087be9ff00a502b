/* The UHCI controller's schedule: frame list, queue heads, transfer descriptors (UHCI 1.1, chapter 3). */
#include <string.h>

#include "core/log.h"
#include "core/machine.h"
#include "hw/usb/uhci_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { FRAME = 1000 * 1000 /* ns */, IDLE_AFTER = 32, IDLE_FRAMES = 8, CATCH_UP_MAX = 64, FRAMES = 1024 };
enum { LINK_END = 1, LINK_QUEUE = 2, LINK_DEPTH = 4 };
enum { TD_LENGTH = 0x7ff, TD_TIMEOUT = 1 << 18, TD_NAK = 1 << 19, TD_BABBLE = 1 << 20, TD_STALLED = 1 << 22,
       TD_ACTIVE = 1 << 23, TD_INTERRUPT = 1 << 24, TD_SHORT = 1 << 29 };
enum { BYTES_MAX = 1280 /* of a packet, and of full speed in a frame */, STEPS_MAX = 512 /* of a frame */,
       QUEUES_MAX = 128, SETUP_BYTES = 8 };

/* ---- memory ---- */

typedef struct Td {
    uint32_t at, link, control, token, buffer;
} Td;

static uint32_t read32(Uhci *s, uint32_t at)
{
    uint8_t b[4];
    pci_dma_read(&s->pci, at, b, sizeof b);
    return ld32le(b);
}

static void write32(Uhci *s, uint32_t at, uint32_t v)
{
    uint8_t b[4];
    st32le(b, v);
    pci_dma_write(&s->pci, at, b, sizeof b);
}

static Td td_read(Uhci *s, uint32_t link)
{
    uint8_t b[16];
    uint32_t at = link & ~15u;
    pci_dma_read(&s->pci, at, b, sizeof b);
    return (Td){ .at = at, .link = ld32le(b), .control = ld32le(b + 4), .token = ld32le(b + 8),
                 .buffer = ld32le(b + 12) };
}

static unsigned td_bytes(const Td *td) { return ((td->token >> 21) + 1) & TD_LENGTH; }

/* ---- transfers ---- */

static UsbDevice *find_device(Uhci *s, unsigned address)
{
    for (unsigned n = 0; n < UHCI_PORTS; n++) {
        UsbDevice *d = s->portsc[n] & UHCI_PORT_ENABLED ? usb_port_find(&s->port[n], address) : NULL;
        if (d)
            return d;
    }
    return NULL;
}

static bool packet_fill(Uhci *s, UsbPacket *p, const Td *td)
{
    UsbPid pid = td->token & 0xff;
    usb_packet_setup(p, pid, td->token >> 15 & 15);
    if (pid != USB_SETUP)
        return dma_add(&p->data, td->buffer, td_bytes(td));
    pci_dma_read(&s->pci, td->buffer, p->setup, SETUP_BYTES);
    return td_bytes(td) == SETUP_BYTES;
}

void uhci_ended(void *controller)
{
    Uhci *s = controller;
    s->quiet = 0;
    uhci_catch_up(s);
}

/* Hands the transfer to its device; USB_ASYNC: it is under way. */
static UsbStatus submit(Uhci *s, const Td *td, uint32_t *actual)
{
    UsbLater *l = usb_later_find(&s->later, td->at, td->token);
    if (!l) {
        if (!(l = usb_later_new(&s->later, td->at, td->token)))
            return USB_NAK;
        if (packet_fill(s, &l->packet, td))
            usb_submit(find_device(s, td->token >> 8 & 0x7f), &l->packet);
        else
            l->packet.status = USB_ERROR;
    }
    return usb_later_result(l, actual);
}

/* ---- what becomes of a descriptor (3.2.2) ---- */

typedef enum Next { NEXT_ALONG /* to the next queue */, NEXT_DONE /* the queue goes on behind it */ } Next;

static Next td_fail(Uhci *s, Td *td, uint32_t bits)
{
    td->control = (td->control & ~(uint32_t)(TD_ACTIVE | TD_NAK)) | bits;
    s->status |= UHCI_STS_ERROR;
    s->interrupt_done |= (td->control & TD_INTERRUPT) != 0;
    s->quiet = 0;
    return NEXT_ALONG;
}

static Next td_succeed(Uhci *s, Td *td, uint32_t actual)
{
    bool is_short = (td->token & 0xff) == USB_IN && actual < td_bytes(td);
    if ((td->token & 0xff) != USB_IN)
        actual = td_bytes(td);
    td->control = (td->control & ~(uint32_t)(TD_ACTIVE | TD_NAK | TD_LENGTH)) | ((actual - 1) & TD_LENGTH);
    s->interrupt_done |= (td->control & TD_INTERRUPT) != 0;
    s->quiet = 0;
    if (!is_short || !(td->control & TD_SHORT))
        return NEXT_DONE;
    s->interrupt_short = true; /* the queue stays there, for the driver to look */
    return NEXT_ALONG;
}

static Next td_run(Uhci *s, Td *td, unsigned *bytes)
{
    UsbPid pid = td->token & 0xff;
    uint32_t actual = 0;
    if (!(td->control & TD_ACTIVE))
        return NEXT_ALONG;
    if (td_bytes(td) > BYTES_MAX || (pid != USB_SETUP && pid != USB_IN && pid != USB_OUT)) {
        log_guest_error("%s: a transfer descriptor with token %08x", s->pci.dev.id, td->token);
        s->status |= UHCI_STS_PROCESS_ERROR | UHCI_STS_HALTED;
        s->command &= ~UHCI_RUN;
        return NEXT_ALONG;
    }
    switch (submit(s, td, &actual)) {
    case USB_OK: *bytes += td_bytes(td); return td_succeed(s, td, actual);
    case USB_NAK: td->control |= TD_NAK; return NEXT_ALONG;
    case USB_ASYNC: return NEXT_ALONG;
    case USB_STALL: return td_fail(s, td, TD_STALLED);
    case USB_BABBLE: return td_fail(s, td, TD_STALLED | TD_BABBLE);
    default: return td_fail(s, td, TD_STALLED | TD_TIMEOUT);
    }
}

/* ---- a frame (3.4) ---- */

/* Queues seen since a transfer last succeeded: drivers close the list to a ring, which is left when nothing moves. */
typedef struct Walk {
    uint32_t queue;                    /* the one that is walked; 0: none */
    uint32_t queue_link;               /* what follows it */
    uint32_t seen[QUEUES_MAX];
    unsigned seen_count, steps, bytes;
} Walk;

static bool walk_seen(Walk *w, uint32_t queue)
{
    for (unsigned n = 0; n < w->seen_count; n++)
        if (w->seen[n] == queue)
            return true;
    if (w->seen_count == QUEUES_MAX)
        return true;
    w->seen[w->seen_count++] = queue;
    return false;
}

static uint32_t walk_queue(Uhci *s, Walk *w, uint32_t link)
{
    uint32_t at = link & ~15u;
    if (walk_seen(w, at))
        return LINK_END;
    uint32_t element = read32(s, at + 4);
    w->queue_link = read32(s, at);
    w->queue = element & LINK_END ? 0 : at;
    return element & LINK_END ? w->queue_link : element;
}

static uint32_t walk_td(Uhci *s, Walk *w, uint32_t link)
{
    Td td = td_read(s, link);
    uint32_t control = td.control, along = w->queue ? w->queue_link : td.link;
    Next next = td_run(s, &td, &w->bytes);
    if (td.control != control)
        write32(s, td.at + 4, td.control);
    if (next == NEXT_DONE) {
        w->seen_count = 0;
        if (w->queue) {
            write32(s, w->queue + 4, td.link & ~(uint32_t)LINK_DEPTH);
            if (td.link & LINK_DEPTH && !(td.link & LINK_END))
                return td.link; /* depth first (3.2.1) */
        }
    }
    w->queue = 0;
    return along;
}

static void walk_frame(Uhci *s)
{
    Walk w = { 0 };
    uint32_t link = read32(s, s->frame_list + s->frame % FRAMES * 4);
    while (!(link & LINK_END) && s->command & UHCI_RUN && w.steps++ < STEPS_MAX && w.bytes < BYTES_MAX)
        link = link & LINK_QUEUE ? walk_queue(s, &w, link) : walk_td(s, &w, link);
    usb_laters_age(&s->later);
    if (s->interrupt_done || s->interrupt_short)
        s->status |= UHCI_STS_INTERRUPT;
}

/* ---- time ---- */

static int64_t now(const Uhci *s) { return clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL); }

static void set_timer(Uhci *s)
{
    if (!(s->command & UHCI_RUN))
        timer_cancel(s->timer);
    else
        timer_arm(s->timer, s->frame_at + (s->quiet > IDLE_AFTER ? IDLE_FRAMES - 1 : 0) * (int64_t)FRAME);
}

/* A machine that was held up for long does not make all frames up. */
static void walk_due(Uhci *s)
{
    int64_t time = now(s);
    if (time - s->frame_at > (int64_t)CATCH_UP_MAX * FRAME)
        s->frame_at = time - (int64_t)CATCH_UP_MAX * FRAME;
    while (s->command & UHCI_RUN && s->frame_at <= time) {
        if (pci_may_master(&s->pci))
            walk_frame(s);
        s->frame = (s->frame + 1) & 0x7ff;
        s->frame_at += FRAME;
        s->quiet++;
    }
}

void uhci_catch_up(Uhci *s)
{
    if (s->busy || !(s->command & UHCI_RUN))
        return;
    s->busy = true;
    walk_due(s);
    s->busy = false;
    set_timer(s);
    uhci_update_irq(s);
}

void uhci_start(Uhci *s)
{
    s->frame_at = now(s) + FRAME;
    s->quiet = 0;
    set_timer(s);
}
