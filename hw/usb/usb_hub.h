/* A USB hub (Universal Serial Bus Specification 2.0, chapter 11). */
#ifndef MYNA_HW_USB_HUB_H
#define MYNA_HW_USB_HUB_H

#include "core/device.h"

extern const DeviceType usb_hub_type;

#endif
