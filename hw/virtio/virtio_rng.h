/* virtio-rng-pci: random bytes of the host's (Virtual I/O Device 1.2, 5.4). */
#ifndef MYNA_HW_VIRTIO_RNG_H
#define MYNA_HW_VIRTIO_RNG_H

#include "core/device.h"

extern const DeviceType virtio_rng_type;

#endif
