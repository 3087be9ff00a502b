/* virtio-blk-pci: a disk (Virtual I/O Device 1.2, 5.2). */
#ifndef MYNA_HW_VIRTIO_BLK_H
#define MYNA_HW_VIRTIO_BLK_H

#include "core/device.h"

extern const DeviceType virtio_blk_type;

#endif
