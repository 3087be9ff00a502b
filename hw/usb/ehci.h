/* USB 2 host controllers (Enhanced Host Controller Interface 1.0): "usb-ehci" and "ich9-usb-ehci1". */
#ifndef MYNA_HW_USB_EHCI_H
#define MYNA_HW_USB_EHCI_H

#include "core/device.h"

extern const DeviceType usb_ehci_type, ich9_ehci_type;

#endif
