/* Transfers, and the control transfers of endpoint 0 (Universal Serial Bus Specification 2.0, 8.5.3, 9.2.6). */
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/endian.h"

enum { DIRECTION_IN = 0x80 };

void usb_packet_init(UsbPacket *p, AddressSpace *memory, void (*done)(UsbPacket *p), void *opaque)
{
    *p = (UsbPacket){ .done = done, .opaque = opaque, .link.data = p };
    dma_init(&p->data, memory, false);
}

void usb_packet_setup(UsbPacket *p, UsbPid pid, unsigned endpoint)
{
    dma_reset(&p->data);
    p->data.to_memory = pid == USB_IN;
    p->pid = pid;
    p->endpoint = endpoint;
    p->stream = 0;
    p->actual = 0;
    p->status = USB_OK;
    p->device = NULL;
}

void usb_packet_clear(UsbPacket *p) { dma_clear(&p->data); }

unsigned usb_packet_put(UsbPacket *p, const void *buf, unsigned size)
{
    unsigned n = dma_from_buffer(&p->data, p->actual, buf, size);
    p->actual += n;
    return n;
}

unsigned usb_packet_get(UsbPacket *p, void *buf, unsigned size)
{
    unsigned n = dma_to_buffer(&p->data, p->actual, buf, size);
    p->actual += n;
    return n;
}

/* ---- control transfers ---- */

static UsbRequest request_of(const UsbDevice *d)
{
    const uint8_t *s = d->setup;
    return (UsbRequest){ .type = s[0], .request = s[1], .value = ld16le(s + 2), .index = ld16le(s + 4),
                         .length = ld16le(s + 6) };
}

static bool is_in(const UsbDevice *d) { return d->setup[0] & DIRECTION_IN; }

/* Carries the request out; an IN request's answer is what its data stage has, perhaps less than was asked for. */
static bool carry_out(UsbDevice *d)
{
    UsbRequest r = request_of(d);
    int n = usb_request(d, &r, d->data);
    if (n < 0) {
        d->stage = USB_STAGE_STALL; /* until the next SETUP (8.5.3.4) */
        return false;
    }
    if (is_in(d))
        d->length = MIN((unsigned)n, MIN(r.length, USB_CONTROL_MAX));
    return true;
}

/* A SETUP ends what was before, and is never refused (8.5.3, 8.4.6.4). */
static void setup_stage(UsbDevice *d, const UsbPacket *p)
{
    memcpy(d->setup, p->setup, USB_SETUP_SIZE);
    d->length = ld16le(d->setup + 6);
    d->at = 0;
    if (is_in(d)) {
        d->stage = d->length ? USB_STAGE_IN : USB_STAGE_STATUS;
        carry_out(d);
    } else if (d->length > USB_CONTROL_MAX) {
        log_guest_error("%s: a control transfer with %u bytes of data; at most %u are taken", d->dev.id, d->length,
                        USB_CONTROL_MAX);
        d->stage = USB_STAGE_STALL;
    } else {
        d->stage = d->length ? USB_STAGE_OUT : USB_STAGE_STATUS;
    }
}

static void data_in(UsbDevice *d, UsbPacket *p)
{
    d->at += usb_packet_put(p, d->data + d->at, d->length - d->at);
}

/* More than the SETUP announced is a protocol error (8.5.3.2). */
static void data_out(UsbDevice *d, UsbPacket *p)
{
    if (p->data.size > d->length - d->at) {
        d->stage = USB_STAGE_STALL;
        p->status = USB_STALL;
        return;
    }
    d->at += usb_packet_get(p, d->data + d->at, d->length - d->at);
    if (d->at == d->length)
        d->stage = USB_STAGE_STATUS;
}

/* The status stage goes the other way than the data; a request without IN data is carried out now. */
static void status_stage(UsbDevice *d, UsbPacket *p)
{
    d->stage = USB_STAGE_IDLE;
    if (!is_in(d) && !carry_out(d))
        p->status = USB_STALL;
}

static void control_packet(UsbDevice *d, UsbPacket *p)
{
    if (p->pid == USB_SETUP)
        setup_stage(d, p);
    else if (d->stage == USB_STAGE_IN && p->pid == USB_IN)
        data_in(d, p);
    else if (d->stage == USB_STAGE_IN && p->pid == USB_OUT)
        status_stage(d, p);
    else if (d->stage == USB_STAGE_OUT && p->pid == USB_OUT)
        data_out(d, p);
    else if (d->stage == USB_STAGE_STATUS)
        status_stage(d, p);
    else
        p->status = USB_STALL;
}

/* ---- other endpoints ---- */

static uint8_t address_of(const UsbPacket *p) { return p->endpoint | (p->pid == USB_IN ? DIRECTION_IN : 0); }

static void endpoint_packet(UsbDevice *d, UsbPacket *p)
{
    uint8_t address = address_of(p);
    if (p->pid == USB_SETUP || !usb_endpoint(d, address))
        p->status = USB_ERROR;
    else if (d->halted & usb_halt_mask(address))
        p->status = USB_STALL;
    else
        d->type->transfer(d, p);
    if (p->status == USB_STALL)
        d->halted |= usb_halt_mask(address);
}

UsbStatus usb_submit(UsbDevice *d, UsbPacket *p)
{
    p->actual = 0;
    p->status = USB_OK;
    p->device = d;
    if (!d || !d->port)
        p->status = USB_ERROR;
    else if (!p->endpoint)
        control_packet(d, p);
    else
        endpoint_packet(d, p);
    if (p->status == USB_ASYNC) {
        p->taken = true;
        g_queue_push_tail_link(&d->packets, &p->link);
    } else if (p->actual && p->pid == USB_IN) {
        dma_written(&p->data, p->actual);
    }
    return p->status;
}

static void give_back(UsbPacket *p)
{
    g_queue_unlink(&p->device->packets, &p->link);
    p->taken = false;
}

/* From within transfer() it only says how that ended. */
void usb_complete(UsbPacket *p)
{
    if (!p->taken)
        return;
    give_back(p);
    if (p->status == USB_STALL)
        p->device->halted |= usb_halt_mask(address_of(p));
    if (p->actual && p->pid == USB_IN)
        dma_written(&p->data, p->actual);
    p->done(p);
}

void usb_cancel(UsbPacket *p)
{
    if (!p->taken)
        return;
    give_back(p);
    p->device->type->cancel(p->device, p);
    p->status = USB_ERROR;
}

/* ---- life ---- */

/* Packets that the device has are taken from it, and end without an answer; those that follow at once are new ones. */
static void end_packets(UsbDevice *d)
{
    GList *link;
    for (unsigned n = d->packets.length; n && (link = g_queue_peek_head_link(&d->packets)); n--) {
        UsbPacket *p = link->data;
        usb_cancel(p);
        p->actual = 0;
        p->done(p);
    }
}

void usb_device_reset(UsbDevice *d)
{
    end_packets(d);
    d->address = 0;
    d->wakeup_allowed = d->suspended = false;
    d->stage = USB_STAGE_IDLE;
    d->length = d->at = 0;
    memset(d->setup, 0, sizeof d->setup);
    memset(d->data, 0, sizeof d->data);
    usb_set_configuration(d, 0);
    if (d->type->reset)
        d->type->reset(d);
}

gboolean usb_device_post_load(UsbDevice *d, GError **err)
{
    bool data = d->stage == USB_STAGE_IN || d->stage == USB_STAGE_OUT;
    if (d->address > 127 || d->stage > USB_STAGE_STALL ||
        (data && (d->length > USB_CONTROL_MAX || d->at > d->length)))
        return error_set(err, "%s: the saved state has an address or control transfer that cannot be", d->dev.id);
    return usb_check_configuration(d, err);
}

const StateField usb_device_state[] = {
    STATE_U8(UsbDevice, address), STATE_U8(UsbDevice, configuration), STATE_ARRAY_U8(UsbDevice, alternate),
    STATE_U32(UsbDevice, halted), STATE_BOOL(UsbDevice, wakeup_allowed), STATE_BOOL(UsbDevice, suspended),
    STATE_U8(UsbDevice, stage), STATE_BYTES(UsbDevice, setup), STATE_U32(UsbDevice, length), STATE_U32(UsbDevice, at),
    STATE_BYTES(UsbDevice, data), STATE_END
};
