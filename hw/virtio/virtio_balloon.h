/* virtio-balloon-pci: memory that the guest lends back to the host (Virtual I/O Device 1.2, 5.5). */
#ifndef MYNA_HW_VIRTIO_BALLOON_H
#define MYNA_HW_VIRTIO_BALLOON_H

#include "core/device.h"

extern const DeviceType virtio_balloon_type;

/* What a guest says of its memory, by the tags of 5.5.6.4; UINT64_MAX: has not been said. */
enum {
    BALLOON_SWAP_IN, BALLOON_SWAP_OUT, BALLOON_MAJOR_FAULTS, BALLOON_MINOR_FAULTS, BALLOON_FREE, BALLOON_TOTAL,
    BALLOON_AVAILABLE, BALLOON_CACHES, BALLOON_HUGE_ALLOCATED, BALLOON_HUGE_FAILED, BALLOON_STATS
};
typedef struct BalloonInfo {
    uint64_t actual, target;          /* bytes that the guest has and is to have */
    uint64_t stats[BALLOON_STATS];
} BalloonInfo;

/* The guest is to make do with so many bytes of RAM; a driver does so in its own time. */
void virtio_balloon_set(Device *balloon, uint64_t bytes);
/* What is known now; asks the guest for newer statistics. */
void virtio_balloon_query(Device *balloon, BalloonInfo *info);

#endif
