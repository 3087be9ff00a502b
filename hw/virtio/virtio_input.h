/* virtio-keyboard-pci, virtio-mouse-pci, virtio-tablet-pci: input devices (Virtual I/O Device 1.2, 5.8). */
#ifndef MYNA_HW_VIRTIO_INPUT_H
#define MYNA_HW_VIRTIO_INPUT_H

#include <stdint.h>

#include "core/device.h"

extern const DeviceType virtio_keyboard_type;
extern const DeviceType virtio_mouse_type;
extern const DeviceType virtio_tablet_type;

/* Linux's code (input-event-codes.h) of a usage of page 7 of the USB HID Usage Tables; 0: none. */
uint8_t evdev_of_usage(unsigned usage);

#endif
