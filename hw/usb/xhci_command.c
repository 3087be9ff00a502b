/* The command ring (xHCI 1.1, 4.6 and 4.9.3). */
#include <string.h>

#include "core/log.h"
#include "hw/usb/xhci_internal.h"
#include "util/bits.h"

enum { COMMAND_FLAG = 1 << 9 /* BSR of Address Device, DC of Configure Endpoint */ };
enum { NEC_VERSION = 0x3025, BANDWIDTH_FREE = 90 /* percent */ };

static unsigned slot_of(const Trb *t) { return t->control >> 24; }
static unsigned endpoint_of(const Trb *t) { return t->control >> 16 & 31; }

/* ---- slots ---- */

static unsigned enable_slot(Xhci *x, unsigned *id)
{
    for (unsigned n = 1; n <= MIN(x->config & 0xff, XHCI_SLOTS); n++)
        if (!x->slot[n].enabled) {
            x->slot[n].enabled = true;
            *id = n;
            return CC_SUCCESS;
        }
    return CC_NO_SLOTS;
}

static unsigned disable_slot(Xhci *x, unsigned id)
{
    xhci_slot_disable(x, id);
    return CC_SUCCESS;
}

/* ---- endpoints ---- */

static unsigned reset_endpoint(Xhci *x, unsigned id, unsigned dci)
{
    if (x->slot[id].ep[dci].state != EP_HALTED)
        return CC_CONTEXT;
    xhci_endpoint_set(x, id, dci, EP_STOPPED);
    return CC_SUCCESS;
}

/* A transfer that has begun is told of first (4.6.9). */
static unsigned stop_endpoint(Xhci *x, unsigned id, unsigned dci)
{
    XhciEndpoint *e = &x->slot[id].ep[dci];
    if (e->state != EP_RUNNING)
        return CC_CONTEXT;
    if (e->waiting)
        xhci_endpoint_stopped_event(x, id, dci);
    xhci_endpoint_cancel(e);
    xhci_endpoint_set(x, id, dci, EP_STOPPED);
    return CC_SUCCESS;
}

static unsigned set_dequeue(Xhci *x, const Trb *t, unsigned id, unsigned dci)
{
    XhciEndpoint *e = &x->slot[id].ep[dci];
    if (e->state != EP_STOPPED && e->state != EP_ERROR)
        return CC_CONTEXT;
    e->ring = (XhciRing){ t->parameter & ~UINT64_C(15), t->parameter & 1 };
    e->due = 0;
    xhci_endpoint_set(x, id, dci, EP_STOPPED);
    return CC_SUCCESS;
}

static unsigned endpoint_command(Xhci *x, const Trb *t, unsigned id)
{
    unsigned dci = endpoint_of(t);
    if (!dci)
        return CC_TRB;
    if (x->slot[id].ep[dci].state == EP_DISABLED)
        return CC_NO_ENDPOINT;
    switch (trb_type(t)) {
    case TRB_RESET_ENDPOINT: return reset_endpoint(x, id, dci);
    case TRB_STOP_ENDPOINT: return stop_endpoint(x, id, dci);
    default: return set_dequeue(x, t, id, dci);
    }
}

/* ---- others ---- */

/* A byte for each port, behind a reserved one (6.2.6). */
static unsigned port_bandwidth(Xhci *x, const Trb *t)
{
    uint8_t b[1 + 2 * XHCI_PORTS_EACH] = { 0 };
    memset(b + 1, BANDWIDTH_FREE, xhci_ports(x));
    pci_dma_write(&x->pci, t->parameter & ~UINT64_C(15), b, 1 + xhci_ports(x));
    return CC_SUCCESS;
}

static unsigned slot_command(Xhci *x, const Trb *t, unsigned id)
{
    bool flag = t->control & COMMAND_FLAG;
    if (!id || id > XHCI_SLOTS || !x->slot[id].enabled)
        return CC_NO_SLOT;
    switch (trb_type(t)) {
    case TRB_DISABLE_SLOT: return disable_slot(x, id);
    case TRB_ADDRESS_DEVICE: return xhci_address_device(x, id, t->parameter, flag);
    case TRB_CONFIGURE_ENDPOINT: return xhci_configure_endpoint(x, id, t->parameter, flag);
    case TRB_EVALUATE_CONTEXT: return xhci_evaluate_context(x, id, t->parameter);
    case TRB_RESET_DEVICE: return xhci_reset_device(x, id);
    case TRB_NEGOTIATE_BANDWIDTH: return CC_SUCCESS;
    default: return endpoint_command(x, t, id);
    }
}

/* Returns the completion code; the slot is what the event says. */
static unsigned carry_out(Xhci *x, const Trb *t, unsigned *id)
{
    *id = slot_of(t);
    switch (trb_type(t)) {
    case TRB_ENABLE_SLOT: return enable_slot(x, id);
    case TRB_DISABLE_SLOT: case TRB_ADDRESS_DEVICE: case TRB_CONFIGURE_ENDPOINT: case TRB_EVALUATE_CONTEXT:
    case TRB_RESET_DEVICE: case TRB_NEGOTIATE_BANDWIDTH: case TRB_RESET_ENDPOINT: case TRB_STOP_ENDPOINT:
    case TRB_SET_DEQUEUE: return slot_command(x, t, *id);
    case TRB_PORT_BANDWIDTH: return port_bandwidth(x, t);
    case TRB_SET_LATENCY: case TRB_NO_OP_COMMAND: return CC_SUCCESS;
    default:
        log_guest_error("%s: there is no command of type %u", x->pci.dev.id, trb_type(t));
        return CC_TRB;
    }
}

/* NEC's firmware tells its version by an event of its own kind, which its drivers wait for. */
static bool is_nec_firmware(const Xhci *x, const Trb *t)
{
    return x->pci.dev.type == &nec_xhci_type && trb_type(t) == TRB_NEC_FIRMWARE;
}

bool xhci_command_step(Xhci *x)
{
    Trb t;
    unsigned id;
    XhciRing after = x->commands;
    /* Room for two: stopping an endpoint tells of its transfer too. */
    if (!x->command_running || !xhci_trb_fetch(x, &after, &t) || !xhci_event_room(x, 2, 0))
        return false;
    x->commands = after;
    if (is_nec_firmware(x, &t)) {
        xhci_event(x, 0, t.address, (uint32_t)CC_SUCCESS << 24 | NEC_VERSION, TRB_NEC_REPLY << 10);
        return true;
    }
    unsigned code = carry_out(x, &t, &id);
    xhci_event(x, 0, t.address, code << 24, TRB_COMMAND_EVENT << 10 | id << 24);
    return true;
}

void xhci_command_ring_stop(Xhci *x)
{
    x->command_running = false;
    xhci_event(x, 0, x->commands.dequeue, (uint32_t)CC_RING_STOPPED << 24, TRB_COMMAND_EVENT << 10);
}
