/*
 * An NVMe controller with one namespace, on PCI with MSI-X (NVM Express Base Specification, revision 1.4; the sections
 * named in its files are of that text).  How the parts work together:
 *
 *   nvme.c           registers, doorbells, reset and shutdown, save and restore
 *   nvme_queue.c     queues: commands are fetched, completions are posted, interrupts
 *   nvme_prp.c       the guest memory of a command
 *   nvme_io.c        commands of the I/O queues
 *   nvme_admin.c     commands of the admin queue: queues, features, abort; nvme_event.c: asynchronous events
 *   nvme_identify.c  what IDENTIFY and GET LOG PAGE tell
 *
 * A command is fetched when there is a request for it and room for its completion; transfers are asynchronous.  What
 * the controller itself writes never reaches its own registers, so no command can make another one.
 */
#ifndef MYNA_HW_BLOCK_NVME_H
#define MYNA_HW_BLOCK_NVME_H

#include "core/device.h"

extern const DeviceType nvme_type;

#endif
