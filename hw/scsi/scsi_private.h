/* What the files of hw/scsi share: the logical unit, sense data, commands. */
#ifndef MYNA_HW_SCSI_PRIVATE_H
#define MYNA_HW_SCSI_PRIVATE_H

#include "backends/block/block.h"
#include "hw/scsi/scsi.h"

struct ScsiDevice {
    Device dev;
    ScsiBus *bus;
    bool cdrom;
    /* properties */
    BlockBackend *drive;
    char *bus_name, *serial, *vendor, *product, *version;
    uint32_t channel, id, lun;   /* UINT32_MAX: one that is free */
    uint64_t wwn;
    bool removable;
    uint32_t logical, physical;  /* block sizes */
    uint16_t rotation_rate;
    /* state */
    bool attention;              /* something is to be reported, once: */
    uint8_t attention_asc, attention_ascq;
    bool locked, tray_open, stopped;
    uint8_t media_event;         /* of GET EVENT STATUS NOTIFICATION (MMC-6 6.6.2.4), reported once */
    bool writeback;              /* of the drive, in the saved state */
    bool cache_at_reset;
};

/* A command's key, code and qualifier of failure (SPC-4 4.5.6). */
typedef struct ScsiSense {
    uint8_t key, asc, ascq;
} ScsiSense;
#define SENSE_NO_SENSE            (ScsiSense){ 0x0, 0x00, 0x00 }
#define SENSE_NO_MEDIUM           (ScsiSense){ 0x2, 0x3a, 0x01 }
#define SENSE_TRAY_OPEN           (ScsiSense){ 0x2, 0x3a, 0x02 }
#define SENSE_STOPPED             (ScsiSense){ 0x2, 0x04, 0x02 }
#define SENSE_READ_ERROR          (ScsiSense){ 0x3, 0x11, 0x00 }
#define SENSE_WRITE_ERROR         (ScsiSense){ 0x3, 0x0c, 0x00 }
#define SENSE_INVALID_OPCODE      (ScsiSense){ 0x5, 0x20, 0x00 }
#define SENSE_LBA_OUT_OF_RANGE    (ScsiSense){ 0x5, 0x21, 0x00 }
#define SENSE_INVALID_FIELD       (ScsiSense){ 0x5, 0x24, 0x00 }
#define SENSE_NO_LUN              (ScsiSense){ 0x5, 0x25, 0x00 }
#define SENSE_INVALID_PARAMETER   (ScsiSense){ 0x5, 0x26, 0x00 }
#define SENSE_PARAMETER_LENGTH    (ScsiSense){ 0x5, 0x1a, 0x00 }
#define SENSE_SAVING_UNSUPPORTED  (ScsiSense){ 0x5, 0x39, 0x00 }
#define SENSE_REMOVAL_PREVENTED   (ScsiSense){ 0x5, 0x53, 0x02 }
#define SENSE_WRITE_PROTECTED     (ScsiSense){ 0x7, 0x27, 0x00 }
#define SENSE_SPACE_FAILED        (ScsiSense){ 0x7, 0x27, 0x07 }
enum { ASC_POWER_ON = 0x29, ASC_MEDIUM_CHANGED = 0x28, ASC_PARAMETERS_CHANGED = 0x2a, ASCQ_CAPACITY_CHANGED = 0x09 };

/* ---- how a command ends (scsi_bus.c) ---- */

void scsi_end(ScsiRequest *r);
void scsi_fail(ScsiRequest *r, ScsiSense sense);
/* Answers with as much of `size` bytes as the command allows (its allocation length) and there is room for. */
void scsi_reply(ScsiRequest *r, const void *data, uint64_t size, uint64_t allowed);
void scsi_sense_fill(uint8_t *out, ScsiSense sense);
/* A block transfer's errno as sense data. */
void scsi_fail_errno(ScsiRequest *r, int status, bool write);
/* Bytes of parameters that came with the command. */
uint64_t scsi_parameters(const ScsiRequest *r, void *buf, uint64_t size);
uint64_t scsi_out_size(const ScsiRequest *r);

/* ---- the unit (scsi_device.c) ---- */

/* A free place for it on the bus that it names; *err says why not. */
gboolean scsi_bus_attach(ScsiDevice *d, GError **err);
void scsi_bus_detach(ScsiDevice *d);
void scsi_execute(ScsiRequest *r);
void scsi_device_reset(ScsiDevice *d);
void scsi_attention(ScsiDevice *d, uint8_t asc, uint8_t ascq);
bool scsi_has_medium(const ScsiDevice *d);
uint64_t scsi_blocks(const ScsiDevice *d);
void scsi_tell_event(const ScsiDevice *d, uint8_t asc, uint8_t ascq);

/* ---- commands; those of one name differ in the CDB's length, which opcode groups tell (SPC-4 4.2.5.1) ---- */

/* scsi_block.c */
void scsi_read(ScsiRequest *r);
void scsi_write(ScsiRequest *r);
void scsi_verify(ScsiRequest *r);
void scsi_synchronize(ScsiRequest *r);
void scsi_unmap(ScsiRequest *r);
void scsi_write_same(ScsiRequest *r);
void scsi_read_capacity_10(ScsiRequest *r);
void scsi_service_action_in(ScsiRequest *r);
/* scsi_pages.c */
void scsi_inquiry(ScsiRequest *r);
void scsi_mode_sense(ScsiRequest *r);
void scsi_mode_select(ScsiRequest *r);
/* scsi_mmc.c */
void scsi_prevent_removal(ScsiRequest *r);
void scsi_start_stop(ScsiRequest *r);
void scsi_read_toc(ScsiRequest *r);
void scsi_get_configuration(ScsiRequest *r);
void scsi_get_event_status(ScsiRequest *r);
void scsi_read_disc_information(ScsiRequest *r);
void scsi_mechanism_status(ScsiRequest *r);
void scsi_read_cd(ScsiRequest *r);

#endif
