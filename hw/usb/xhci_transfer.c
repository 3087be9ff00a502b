/* Transfer rings: transfer descriptors, and what becomes of them (xHCI 1.1, 3.2, 4.9, 4.10, 6.4.1). */
#include "core/log.h"
#include "hw/usb/xhci_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { LINKS_MAX = 16 /* Link TRBs in a row that are followed */, SETUP_SIZE = 8, MICROFRAME = 125000 /* ns */ };

/* ---- rings ---- */

static Trb trb_read(Xhci *x, uint64_t address)
{
    uint8_t b[TRB_SIZE];
    pci_dma_read(&x->pci, address, b, sizeof b);
    return (Trb){ .address = address, .parameter = ld64le(b), .status = ld32le(b + 8), .control = ld32le(b + 12) };
}

/* The next block that is no Link; false: the guest has put none there yet. */
bool xhci_trb_fetch(Xhci *x, XhciRing *r, Trb *t)
{
    for (unsigned links = 0; links < LINKS_MAX; links++) {
        *t = trb_read(x, r->dequeue);
        if ((t->control & TRB_CYCLE) != r->cycle)
            return false;
        if (trb_type(t) != TRB_LINK) {
            r->dequeue += TRB_SIZE;
            return true;
        }
        r->dequeue = t->parameter & ~UINT64_C(15);
        r->cycle ^= (t->control & TRB_TOGGLE) != 0;
    }
    log_guest_error("%s: a ring of Link TRBs only, at %" G_GINT64_MODIFIER "x", x->pci.dev.id, r->dequeue);
    return false;
}

typedef struct Td {
    const Trb *trb;
    unsigned count;
    bool too_long;
} Td;

/* The blocks that are chained together; false: they are not all there yet. */
static bool td_fetch(Xhci *x, XhciRing *r, Td *td)
{
    *td = (Td){ .trb = x->td };
    do {
        if (td->count == XHCI_TD_MAX) {
            td->too_long = true;
            return true;
        }
        if (!xhci_trb_fetch(x, r, &x->td[td->count]))
            return false;
    } while (x->td[td->count++].control & TRB_CHAIN);
    return true;
}

/* ---- what a transfer descriptor asks for ---- */

static bool has_data(const Trb *t)
{
    return trb_type(t) == TRB_NORMAL || trb_type(t) == TRB_DATA || trb_type(t) == TRB_ISOCH;
}

/* IN or OUT: the place tells; of endpoint 0 the block itself. */
static UsbPid td_pid(const Td *td, const XhciEndpoint *e, unsigned dci)
{
    if (e->type != EP_CONTROL)
        return dci % 2 ? USB_IN : USB_OUT;
    if (trb_type(&td->trb[0]) == TRB_SETUP)
        return USB_SETUP;
    return td->trb[0].control & TRB_DIRECTION_IN ? USB_IN : USB_OUT;
}

/* Immediate data lies in the block itself (4.11.7). */
static bool add_data(UsbPacket *p, const Trb *t)
{
    bool immediate = t->control & TRB_IMMEDIATE;
    uint32_t size = immediate ? MIN(trb_length(t), SETUP_SIZE) : trb_length(t);
    return p->data.size + size <= USB_TRANSFER_MAX && dma_add(&p->data, immediate ? t->address : t->parameter, size);
}

static bool types_fit(const Td *td, const XhciEndpoint *e)
{
    unsigned first = trb_type(&td->trb[0]);
    for (unsigned n = 0; n < td->count; n++) {
        unsigned type = trb_type(&td->trb[n]);
        if (type < TRB_NORMAL || type > TRB_NO_OP || (n && type >= TRB_SETUP && type <= TRB_ISOCH))
            return false;
    }
    return first < TRB_SETUP || first > TRB_STATUS || e->type == EP_CONTROL;
}

/* Without anything for the device: No Ops, Event Data alone. */
static bool is_empty(const Td *td)
{
    for (unsigned n = 0; n < td->count; n++)
        if (trb_type(&td->trb[n]) != TRB_NO_OP && trb_type(&td->trb[n]) != TRB_DATA_OF_EVENT)
            return false;
    return true;
}

static bool packet_fill(UsbPacket *p, const Td *td, const XhciEndpoint *e, unsigned dci)
{
    usb_packet_setup(p, td_pid(td, e, dci), dci / 2);
    if (p->pid == USB_SETUP) {
        st64le(p->setup, td->trb[0].parameter);
        return td->trb[0].control & TRB_IMMEDIATE;
    }
    for (unsigned n = 0; n < td->count; n++)
        if (has_data(&td->trb[n]) && !add_data(p, &td->trb[n]))
            return false;
    return true;
}

/* ---- events (4.10.1, 4.11.5.2) ---- */

static void transfer_event(Xhci *x, const Trb *t, unsigned id, unsigned dci, unsigned code, uint32_t length, bool data)
{
    uint32_t control = TRB_TRANSFER_EVENT << 10 | dci << 16 | id << 24 | (t->control & TRB_BLOCK_INTERRUPT);
    xhci_event(x, trb_interrupter(t), data ? t->parameter : t->address, code << 24 | (length & 0xffffff),
               control | (data ? TRB_EVENT_DATA : 0));
}

/*
 * A short packet is told of where it happened, by ISP or IOC, and by Event Data behind that; an error where it
 * happened, and what follows is left out.
 */
static void td_report(Xhci *x, const Td *td, unsigned id, unsigned dci, unsigned code, uint32_t actual)
{
    uint32_t moved = 0;      /* since the last Event Data: EDTLA */
    bool is_short = false, told = false;
    for (unsigned n = 0; n < td->count; n++) {
        const Trb *t = &td->trb[n];
        bool data = trb_type(t) == TRB_DATA_OF_EVENT, last = n + 1 == td->count;
        uint32_t size = has_data(t) ? trb_length(t) : 0, here = MIN(size, actual);
        bool error = code != CC_SUCCESS && (here < size || last);
        actual -= here;
        moved += here;
        is_short |= code == CC_SUCCESS && here < size;
        if (error || (t->control & TRB_IOC && (data || !told)) || (is_short && !told && t->control & TRB_ISP)) {
            unsigned how = error ? code : is_short ? CC_SHORT : CC_SUCCESS;
            transfer_event(x, t, id, dci, how, data ? moved : size - here, data);
            told |= is_short;
        }
        if (error)
            return;
        moved = data ? 0 : moved;
    }
}

/* Whether there is room for all events that it may give. */
static bool td_event_room(Xhci *x, const Td *td)
{
    unsigned events = 1;
    for (unsigned n = 0; n < td->count; n++)
        events += (td->trb[n].control & TRB_IOC) != 0;
    for (unsigned n = 0; n < td->count; n++)
        if ((!n || trb_interrupter(&td->trb[n]) != trb_interrupter(&td->trb[n - 1])) &&
            !xhci_event_room(x, events, trb_interrupter(&td->trb[n])))
            return false;
    return true;
}

void xhci_endpoint_stopped_event(Xhci *x, unsigned id, unsigned dci)
{
    XhciRing r = x->slot[id].ep[dci].ring;
    Trb t;
    if (xhci_trb_fetch(x, &r, &t))
        transfer_event(x, &t, id, dci, CC_STOPPED, trb_length(&t), false);
}

/* ---- a step ---- */

static void packet_done(UsbPacket *p)
{
    Xhci *x = p->opaque;
    for (unsigned id = 1; id <= XHCI_SLOTS; id++)
        for (unsigned dci = 1; dci < XHCI_ENDPOINTS; dci++) {
            XhciEndpoint *e = &x->slot[id].ep[dci];
            if (e->packet != p)
                continue;
            e->finished = true;
            e->status = p->status;
            e->actual = p->actual;
            x->slot[id].pending |= BIT(dci);
        }
    xhci_work(x);
}

static UsbPacket *packet_of(Xhci *x, XhciEndpoint *e)
{
    if (!e->packet) {
        e->packet = g_new0(UsbPacket, 1);
        usb_packet_init(e->packet, pci_memory(&x->pci), packet_done, x);
    }
    return e->packet;
}

/* Hands it to the device; true when that has come to an end, in e->status and e->actual. */
static bool td_submit(Xhci *x, const Td *td, unsigned id, unsigned dci)
{
    XhciSlot *s = &x->slot[id];
    XhciEndpoint *e = &s->ep[dci];
    UsbPacket *p = packet_of(x, e);
    if (!packet_fill(p, td, e, dci)) {
        e->status = USB_ERROR;
        e->actual = 0;
        return true;
    }
    e->waiting = true; /* before: the device may say that it is ready while it answers NAK */
    e->status = usb_submit(xhci_slot_device(x, s), p);
    e->actual = p->actual;
    e->waiting = e->status == USB_NAK || e->status == USB_ASYNC;
    return !e->waiting;
}

static unsigned code_of(UsbStatus status)
{
    switch (status) {
    case USB_OK: case USB_NAK: return CC_SUCCESS;
    case USB_STALL: return CC_STALL;
    case USB_BABBLE: return CC_BABBLE;
    default: return CC_TRANSACTION;
    }
}

static bool is_isochronous(const XhciEndpoint *e) { return e->type == EP_ISOCH_IN || e->type == EP_ISOCH_OUT; }

static bool is_periodic(const XhciEndpoint *e)
{
    return is_isochronous(e) || e->type == EP_INTERRUPT_IN || e->type == EP_INTERRUPT_OUT;
}

/*
 * Periodic endpoints move one packet an interval (4.14.2), or a device with much to say would swamp its driver.
 * Isochronous ones catch up with what they missed, within bounds.
 */
static bool interval_waits(Xhci *x, const XhciEndpoint *e)
{
    if (!is_periodic(e) || xhci_now(x) >= e->due)
        return false;
    xhci_continue_at(x, e->due);
    return true;
}

static void interval_begin(Xhci *x, XhciEndpoint *e)
{
    int64_t now = xhci_now(x), interval = (int64_t)MICROFRAME << e->interval;
    if (is_isochronous(e))
        e->due = MAX(e->due, now - 8 * interval) + interval;
    else if (is_periodic(e))
        e->due = now + interval;
}

static void td_end(Xhci *x, const Td *td, unsigned id, unsigned dci, unsigned code, const XhciRing *after)
{
    XhciEndpoint *e = &x->slot[id].ep[dci];
    td_report(x, td, id, dci, code, e->actual);
    e->finished = e->waiting = false;
    e->actual = 0;
    if (code == CC_SUCCESS || (is_isochronous(e) && code != CC_TRB))
        e->ring = *after;
    else
        xhci_endpoint_set(x, id, dci, code == CC_TRB ? EP_ERROR : EP_HALTED);
}

/* True when the transfer has come to its end: of an isochronous one NAK is an interval without data. */
static bool td_run(Xhci *x, const Td *td, unsigned id, unsigned dci)
{
    XhciEndpoint *e = &x->slot[id].ep[dci];
    if (e->finished)
        return true;
    if (interval_waits(x, e) || !(td_submit(x, td, id, dci) || (is_isochronous(e) && e->status == USB_NAK)))
        return false;
    interval_begin(x, e);
    return true;
}

XhciStep xhci_endpoint_step(Xhci *x, unsigned id, unsigned dci)
{
    XhciEndpoint *e = &x->slot[id].ep[dci];
    XhciRing after = e->ring;
    Td td;
    if (e->state != EP_RUNNING || (e->packet && e->packet->status == USB_ASYNC) || !td_fetch(x, &after, &td))
        return XHCI_IDLE;
    if (!td_event_room(x, &td))
        return XHCI_BLOCKED;
    if (td.too_long || !types_fit(&td, e)) {
        log_guest_error("%s: slot %u, endpoint %u: a transfer descriptor that cannot be", x->pci.dev.id, id, dci);
        td_end(x, &td, id, dci, CC_TRB, &after);
    } else if (is_empty(&td)) {
        td_end(x, &td, id, dci, CC_SUCCESS, &after);
    } else if (td_run(x, &td, id, dci)) {
        td_end(x, &td, id, dci, code_of(e->status), &after);
    } else {
        return XHCI_IDLE;
    }
    return XHCI_DONE;
}
