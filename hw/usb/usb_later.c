/* Packets of descriptors whose transfers last (usb_later.h). */
#include "hw/usb/usb_later.h"

enum { UNSEEN_MAX = 64 };

static void packet_done(UsbPacket *p)
{
    const UsbLaters *l = p->opaque;
    l->ended(l->controller);
}

void usb_laters_init(UsbLaters *l, AddressSpace *memory, void (*ended)(void *controller), void *controller)
{
    l->ended = ended;
    l->controller = controller;
    for (unsigned n = 0; n < USB_LATER; n++)
        usb_packet_init(&l->slot[n].packet, memory, packet_done, l);
}

void usb_laters_clear(UsbLaters *l)
{
    for (unsigned n = 0; n < USB_LATER; n++)
        usb_packet_clear(&l->slot[n].packet);
}

static void drop(UsbLater *later)
{
    usb_cancel(&later->packet);
    later->td = 0;
}

void usb_laters_cancel(UsbLaters *l)
{
    for (unsigned n = 0; n < USB_LATER; n++)
        drop(&l->slot[n]);
}

void usb_laters_age(UsbLaters *l)
{
    for (unsigned n = 0; n < USB_LATER; n++)
        if (l->slot[n].td && l->slot[n].unseen++ >= UNSEEN_MAX)
            drop(&l->slot[n]);
}

static UsbLater *slot_of(UsbLaters *l, uint32_t td)
{
    for (unsigned n = 0; n < USB_LATER; n++)
        if (l->slot[n].td == td)
            return &l->slot[n];
    return NULL;
}

UsbLater *usb_later_find(UsbLaters *l, uint32_t td, uint32_t token)
{
    UsbLater *later = slot_of(l, td);
    if (!later || later->token == token)
        return later;
    drop(later);
    return NULL;
}

UsbLater *usb_later_new(UsbLaters *l, uint32_t td, uint32_t token)
{
    UsbLater *later = slot_of(l, 0);
    if (later) {
        later->td = td;
        later->token = token;
    }
    return later;
}

UsbStatus usb_later_result(UsbLater *later, uint32_t *actual)
{
    if (later->packet.status == USB_ASYNC) {
        later->unseen = 0;
        return USB_ASYNC;
    }
    *actual = later->packet.actual;
    later->td = 0;
    return later->packet.status;
}
