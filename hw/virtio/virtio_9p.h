/* virtio-9p-pci: a folder of the host for the guest. */
#ifndef MYNA_HW_VIRTIO_9P_H
#define MYNA_HW_VIRTIO_9P_H

#include "core/device.h"

extern const DeviceType virtio_9p_type;

#endif
