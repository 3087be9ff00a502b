/* USB sticks and drives (Mass Storage Class, Bulk-Only Transport 1.0). */
#ifndef MYNA_HW_USB_STORAGE_H
#define MYNA_HW_USB_STORAGE_H

#include "core/device.h"

extern const DeviceType usb_storage_type;

#endif
