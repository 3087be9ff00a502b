/*
 * SCSI: what host adapters and logical units are to each other (SAM-5).  A host adapter makes a bus; a device
 * ("scsi-hd", "scsi-cd") finds it by name and is a logical unit of one of its targets.
 *
 * A command is a ScsiRequest, which the adapter fills and owns.  It ends by `done`, once, perhaps before
 * scsi_submit() returned.  Under the machine lock.
 */
#ifndef MYNA_HW_SCSI_H
#define MYNA_HW_SCSI_H

#include "core/device.h"
#include "core/dma.h"

enum { SCSI_CDB_MAX = 32, SCSI_SENSE_SIZE = 18, SCSI_TARGETS_MAX = 256, SCSI_LUNS_MAX = 16384 };
/* Status codes (SAM-5 5.3.1). */
enum { SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02, SCSI_TASK_ABORTED = 0x40 };

typedef struct ScsiBus ScsiBus;
typedef struct ScsiDevice ScsiDevice;
typedef struct ScsiRequest ScsiRequest;

struct ScsiRequest {
    /* by the adapter */
    uint8_t cdb[SCSI_CDB_MAX];
    const DmaList *out;      /* data for the device, from out_offset on */
    DmaList *in;             /* room for its answer, from in_offset on; the adapter calls dma_written() */
    uint64_t out_offset, in_offset;
    void (*done)(ScsiRequest *r);
    /* the outcome */
    uint8_t status;
    uint8_t sense[SCSI_SENSE_SIZE]; /* fixed format, with CHECK CONDITION */
    bool overrun;            /* less data, or room for it, than the command moves: nothing was done */
    uint64_t transferred;    /* bytes of data, one way or the other */
    /* private to hw/scsi */
    ScsiDevice *device;      /* NULL: the target itself answers */
    unsigned lun;
    DmaSlice slice;
    uint8_t *scratch;
    uint64_t offset, left;   /* bytes of the medium, of commands that go step by step */
    unsigned step, steps, piece;
};

/* Something that the adapter may want to tell the driver about: additional sense code and qualifier. */
typedef void ScsiEventFn(void *opaque, unsigned target, unsigned lun, uint8_t asc, uint8_t ascq);

/* "ID.0" of the adapter's id, as bus= names it; the first one of a machine is used without bus=. */
ScsiBus *scsi_bus_new(Device *adapter, ScsiEventFn *event, void *opaque);
void scsi_bus_free(ScsiBus *bus);
/* Devices without bus= do not go there: for adapters that come with their devices. */
void scsi_bus_hide(ScsiBus *bus);
bool scsi_bus_has_target(const ScsiBus *bus, unsigned target);
bool scsi_bus_has_lun(const ScsiBus *bus, unsigned target, unsigned lun);
/* Waits for all transfers of its devices. */
void scsi_bus_drain(ScsiBus *bus);
/*
 * As at power-on, of all logical units, or those of a target, or one (UINT_MAX: any): they report that they were
 * reset.
 */
void scsi_bus_reset(ScsiBus *bus, unsigned target, unsigned lun);

/* The target must exist. */
void scsi_submit(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *r);
/* For an adapter's own memory of requests: frees what commands left in it, not itself. */
void scsi_request_clear(ScsiRequest *r);

extern const DeviceType scsi_hd_type, scsi_cd_type;

#endif
