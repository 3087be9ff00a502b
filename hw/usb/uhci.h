/* USB 1 host controllers of Intel's chip sets (Universal Host Controller Interface 1.1). */
#ifndef MYNA_HW_USB_UHCI_H
#define MYNA_HW_USB_UHCI_H

#include "core/device.h"

extern const DeviceType piix3_uhci_type, piix4_uhci_type;

#endif
