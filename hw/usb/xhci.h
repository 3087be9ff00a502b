/* USB 3 host controllers (eXtensible Host Controller Interface 1.1): "qemu-xhci" and "nec-usb-xhci". */
#ifndef MYNA_HW_USB_XHCI_H
#define MYNA_HW_USB_XHCI_H

#include "core/device.h"

extern const DeviceType qemu_xhci_type, nec_xhci_type;

#endif
