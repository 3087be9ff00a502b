/* virtio-scsi-pci: a SCSI adapter (Virtual I/O Device 1.2, 5.6); its devices are hw/scsi's. */
#ifndef MYNA_HW_VIRTIO_SCSI_H
#define MYNA_HW_VIRTIO_SCSI_H

#include "core/device.h"

extern const DeviceType virtio_scsi_type;

#endif
