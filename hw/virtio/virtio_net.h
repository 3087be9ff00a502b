/* virtio-net-pci: a network card (Virtual I/O Device 1.2, 5.1). */
#ifndef MYNA_HW_VIRTIO_NET_H
#define MYNA_HW_VIRTIO_NET_H

#include "core/device.h"

extern const DeviceType virtio_net_type;

#endif
