/* Device contexts in the guest's memory, and slots made of them (xHCI 1.1, 4.5, 4.6.5 to 4.6.7, 4.6.11, 6.2). */
#include <string.h>

#include "core/log.h"
#include "hw/usb/xhci_internal.h"
#include "util/bits.h"
#include "util/endian.h"

enum { CONTEXT_SIZE = 32, DCI_CONTROL = 1, DCI_LAST = 31 };
enum { EP_DEQUEUE_CYCLE = 1, EP_DEQUEUE_FLAGS = 15 };

/* An input context (6.2.5): what is to be dropped and added, and the device context behind that. */
typedef struct Input {
    uint32_t drop, add;
    uint8_t slot[CONTEXT_SIZE];
    uint64_t at;
} Input;

static bool read_input(Xhci *x, uint64_t at, Input *in)
{
    uint8_t control[CONTEXT_SIZE];
    in->at = at & ~UINT64_C(15);
    pci_dma_read(&x->pci, in->at, control, sizeof control);
    pci_dma_read(&x->pci, in->at + CONTEXT_SIZE, in->slot, CONTEXT_SIZE);
    in->drop = ld32le(control);
    in->add = ld32le(control + 4);
    return !(in->drop & 3);
}

static void read_endpoint(Xhci *x, const Input *in, unsigned dci, uint8_t ep[CONTEXT_SIZE])
{
    pci_dma_read(&x->pci, in->at + (1 + dci) * CONTEXT_SIZE, ep, CONTEXT_SIZE);
}

static void write_context(Xhci *x, const XhciSlot *s, unsigned dci, const uint8_t c[CONTEXT_SIZE])
{
    pci_dma_write(&x->pci, s->context + dci * CONTEXT_SIZE, c, CONTEXT_SIZE);
}

static void write_word(Xhci *x, const XhciSlot *s, unsigned dci, unsigned word, uint32_t v)
{
    uint8_t b[4];
    st32le(b, v);
    pci_dma_write(&x->pci, s->context + dci * CONTEXT_SIZE + 4 * word, b, sizeof b);
}

static uint32_t read_word(Xhci *x, const XhciSlot *s, unsigned dci, unsigned word)
{
    uint8_t b[4];
    pci_dma_read(&x->pci, s->context + dci * CONTEXT_SIZE + 4 * word, b, sizeof b);
    return ld32le(b);
}

/* ---- slots ---- */

static void slot_set_state(Xhci *x, unsigned id, unsigned state)
{
    XhciSlot *s = &x->slot[id];
    s->state = state;
    write_word(x, s, 0, 3, state << 27 | (state >= SLOT_ADDRESSED ? id : 0));
}

static void slot_set_entries(Xhci *x, const XhciSlot *s, unsigned entries)
{
    write_word(x, s, 0, 0, bits_deposit(read_word(x, s, 0, 0), 27, 5, entries));
}

/* ---- endpoints ---- */

void xhci_endpoint_cancel(XhciEndpoint *e)
{
    if (e->packet)
        usb_cancel(e->packet);
    e->waiting = e->finished = false;
}

static void endpoint_free(XhciEndpoint *e)
{
    xhci_endpoint_cancel(e);
    if (e->packet) {
        usb_packet_clear(e->packet);
        g_free(e->packet);
    }
    *e = (XhciEndpoint){ 0 };
}

void xhci_endpoint_set(Xhci *x, unsigned id, unsigned dci, unsigned state)
{
    XhciSlot *s = &x->slot[id];
    XhciEndpoint *e = &s->ep[dci];
    e->state = state;
    write_word(x, s, dci, 2, (uint32_t)e->ring.dequeue | e->ring.cycle);
    write_word(x, s, dci, 3, e->ring.dequeue >> 32);
    write_word(x, s, dci, 0, bits_deposit(read_word(x, s, dci, 0), 0, 3, state));
}

static void endpoint_disable(Xhci *x, unsigned id, unsigned dci)
{
    XhciSlot *s = &x->slot[id];
    if (s->ep[dci].state == EP_DISABLED)
        return;
    endpoint_free(&s->ep[dci]);
    s->pending &= ~(uint32_t)BIT(dci);
    xhci_endpoint_set(x, id, dci, EP_DISABLED);
}

/* An endpoint's type must fit its place: odd ones are IN (4.5.1); streams are not offered. */
static bool endpoint_acceptable(const uint8_t ep[CONTEXT_SIZE], unsigned dci)
{
    unsigned type = ep[4] >> 3 & 7, streams = ep[1] >> 2 & 31;
    if (!type || streams)
        return false;
    if (dci == DCI_CONTROL || type == EP_CONTROL)
        return type == EP_CONTROL && dci % 2;
    return (type > EP_CONTROL) == dci % 2;
}

static void endpoint_enable(Xhci *x, unsigned id, unsigned dci, uint8_t ep[CONTEXT_SIZE])
{
    XhciSlot *s = &x->slot[id];
    XhciEndpoint *e = &s->ep[dci];
    uint64_t dequeue = ld64le(ep + 8);
    endpoint_free(e);
    e->type = ep[4] >> 3 & 7;
    e->interval = MIN(ep[2], 15);
    e->ring = (XhciRing){ dequeue & ~(uint64_t)EP_DEQUEUE_FLAGS, dequeue & EP_DEQUEUE_CYCLE };
    s->pending &= ~(uint32_t)BIT(dci);
    write_context(x, s, dci, ep);
    xhci_endpoint_set(x, id, dci, EP_RUNNING);
}

void xhci_slot_disable(Xhci *x, unsigned id)
{
    XhciSlot *s = &x->slot[id];
    for (unsigned dci = DCI_CONTROL; dci <= DCI_LAST; dci++)
        endpoint_free(&s->ep[dci]);
    if (s->enabled && s->context)
        write_word(x, s, 0, 3, 0);
    memset(s, 0, sizeof *s);
}

/* ---- Address Device (4.6.5) ---- */

/* The controller itself sends SET_ADDRESS, with the slot's number. */
static unsigned send_set_address(Xhci *x, UsbDevice *d, unsigned id)
{
    UsbPacket p;
    UsbStatus status;
    usb_packet_init(&p, pci_memory(&x->pci), NULL, NULL);
    usb_packet_setup(&p, USB_SETUP, 0);
    p.setup[1] = 5;
    p.setup[2] = id;
    status = usb_submit(d, &p);
    if (status == USB_OK) {
        usb_packet_setup(&p, USB_IN, 0);
        status = usb_submit(d, &p);
    }
    usb_packet_clear(&p);
    return status == USB_OK ? CC_SUCCESS : CC_TRANSACTION;
}

static uint64_t output_context(Xhci *x, unsigned id)
{
    uint8_t b[8];
    pci_dma_read(&x->pci, x->dcbaap + 8 * id, b, sizeof b);
    return ld64le(b) & ~UINT64_C(63);
}

unsigned xhci_address_device(Xhci *x, unsigned id, uint64_t input, bool block_request)
{
    XhciSlot *s = &x->slot[id];
    uint8_t ep[CONTEXT_SIZE];
    Input in;
    if (s->state > SLOT_DEFAULT || (block_request && s->state != SLOT_ENABLED))
        return CC_CONTEXT;
    if (!read_input(x, input, &in) || (in.add & 3) != 3)
        return CC_TRB;
    read_endpoint(x, &in, DCI_CONTROL, ep);
    if (!endpoint_acceptable(ep, DCI_CONTROL))
        return CC_PARAMETER;
    s->port = in.slot[6];
    s->route = ld32le(in.slot) & 0xfffff;
    s->context = output_context(x, id);
    UsbDevice *d = xhci_slot_device(x, s);
    if (!d)
        return CC_TRANSACTION;
    unsigned code = block_request ? CC_SUCCESS : send_set_address(x, d, id);
    if (code != CC_SUCCESS)
        return code;
    write_context(x, s, 0, in.slot);
    slot_set_entries(x, s, 1);
    slot_set_state(x, id, block_request ? SLOT_DEFAULT : SLOT_ADDRESSED);
    endpoint_enable(x, id, DCI_CONTROL, ep);
    return CC_SUCCESS;
}

/* ---- Configure Endpoint (4.6.6) ---- */

static void disable_endpoints(Xhci *x, unsigned id)
{
    for (unsigned dci = DCI_CONTROL + 1; dci <= DCI_LAST; dci++)
        endpoint_disable(x, id, dci);
}

static bool all_acceptable(Xhci *x, const Input *in)
{
    uint8_t ep[CONTEXT_SIZE];
    for (unsigned dci = DCI_CONTROL + 1; dci <= DCI_LAST; dci++) {
        if (!(in->add >> dci & 1))
            continue;
        read_endpoint(x, in, dci, ep);
        if (!endpoint_acceptable(ep, dci))
            return false;
    }
    return true;
}

static void drop_and_add(Xhci *x, unsigned id, const Input *in)
{
    uint8_t ep[CONTEXT_SIZE];
    for (unsigned dci = DCI_CONTROL + 1; dci <= DCI_LAST; dci++) {
        if (in->drop >> dci & 1)
            endpoint_disable(x, id, dci);
        if (in->add >> dci & 1) {
            read_endpoint(x, in, dci, ep);
            endpoint_enable(x, id, dci, ep);
        }
    }
}

static unsigned last_endpoint(const XhciSlot *s)
{
    unsigned last = DCI_CONTROL;
    for (unsigned dci = DCI_CONTROL; dci <= DCI_LAST; dci++)
        if (s->ep[dci].state != EP_DISABLED)
            last = dci;
    return last;
}

unsigned xhci_configure_endpoint(Xhci *x, unsigned id, uint64_t input, bool deconfigure)
{
    XhciSlot *s = &x->slot[id];
    Input in;
    if (s->state < SLOT_ADDRESSED)
        return CC_CONTEXT;
    if (deconfigure) {
        disable_endpoints(x, id);
    } else {
        if (!read_input(x, input, &in) || (in.add & 3) != 1)
            return CC_TRB;
        if (!all_acceptable(x, &in))
            return CC_PARAMETER;
        drop_and_add(x, id, &in);
        /* A hub says so here, and how many ports it has (6.2.2). */
        write_word(x, s, 0, 0, ld32le(in.slot));
        write_word(x, s, 0, 1, ld32le(in.slot + 4));
        write_word(x, s, 0, 2, ld32le(in.slot + 8));
    }
    slot_set_entries(x, s, last_endpoint(s));
    slot_set_state(x, id, last_endpoint(s) > DCI_CONTROL ? SLOT_CONFIGURED : SLOT_ADDRESSED);
    return CC_SUCCESS;
}

/* ---- the rest ---- */

/* Latency and interrupter of the device, size of packets of endpoint 0: nothing here depends on them (4.6.7). */
unsigned xhci_evaluate_context(Xhci *x, unsigned id, uint64_t input)
{
    XhciSlot *s = &x->slot[id];
    uint8_t ep[CONTEXT_SIZE];
    Input in;
    if (s->state < SLOT_DEFAULT)
        return CC_CONTEXT;
    if (!read_input(x, input, &in) || in.drop || in.add & ~3u)
        return CC_TRB;
    if (in.add & 1) {
        write_word(x, s, 0, 1, bits_deposit(read_word(x, s, 0, 1), 0, 16, ld16le(in.slot + 4)));
        write_word(x, s, 0, 2, bits_deposit(read_word(x, s, 0, 2), 22, 10, ld32le(in.slot + 8) >> 22));
    }
    if (in.add & 2) {
        read_endpoint(x, &in, DCI_CONTROL, ep);
        write_word(x, s, DCI_CONTROL, 1, bits_deposit(read_word(x, s, DCI_CONTROL, 1), 16, 16, ld16le(ep + 6)));
    }
    return CC_SUCCESS;
}

/* The device was reset by its port; the slot follows (4.6.11). */
unsigned xhci_reset_device(Xhci *x, unsigned id)
{
    if (x->slot[id].state < SLOT_ADDRESSED)
        return CC_CONTEXT;
    disable_endpoints(x, id);
    slot_set_entries(x, &x->slot[id], 1);
    slot_set_state(x, id, SLOT_DEFAULT);
    return CC_SUCCESS;
}
