/*
 * ATA drives, and IDE channels: two drives behind one set of registers (ATA/ATAPI-6, INCITS 361-2002; the sections
 * named below are of that text).  How the parts work together:
 *
 *   ide_transfer.c  a drive's transfers to and from the image, ends of commands, reset
 *   ata.c           commands of disks, and those that disks and CD-ROMs share
 *   ata_identify.c  what IDENTIFY tells; ata_smart.c: SMART and logs; ata_trim.c: discard
 *   atapi.c         packet commands of CD-ROMs; atapi_pages.c: the tables they answer with
 *   ide_drive.c     drives' places: the buses that -device finds
 *   ide.c           registers of a channel, selection, interrupt, the data port
 *   ide_dma.c       the bus master that moves data between a drive and guest memory
 *   ahci*.c         SATA: a drive behind each port (ahci.h)
 *
 * A transfer fills the drive's buffer from the image (or the other way round) by one asynchronous request, and hands
 * the buffer to the guest in blocks.  How these go, the drive's transport knows: by the data port, by bus master, by a
 * port of an AHCI.  Whoever moves the last byte of a block calls ide_block_done().  All of it runs under the machine
 * lock.
 */
#ifndef MYNA_HW_BLOCK_IDE_H
#define MYNA_HW_BLOCK_IDE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/block/block.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/state.h"
#include "hw/block/ide_dma.h"

enum { CD_FRAMES = 75, CD_PREGAP = 150, ATAPI_MAX_PARAMETERS = 256 };
enum { ATA_SECTOR = 512, CD_SECTOR = 2048, IDE_BUFFER = 128 * 1024, IDE_MAX_MULTIPLE = 16, ATA_TRIM_BLOCKS = 8 };

/* Status and error registers (sections 7.12 and 7.9), device control (7.6), device (7.7). */
enum { ST_ERR = 0x01, ST_DRQ = 0x08, ST_DSC = 0x10, ST_DF = 0x20, ST_DRDY = 0x40, ST_BSY = 0x80 };
enum { ER_ABRT = 0x04, ER_IDNF = 0x10, ER_UNC = 0x40 };
enum { CTL_NIEN = 0x02, CTL_SRST = 0x04, CTL_HOB = 0x80 };
enum { DEV_HEAD = 0x0f, DEV_DEV = 0x10, DEV_LBA = 0x40, DEV_OBSOLETE = 0xa0 };

typedef enum IdeKind { IDE_NONE, IDE_DISK, IDE_CDROM } IdeKind;

typedef enum IdePhase {
    IDE_IDLE,
    IDE_BUSY,      /* the image is being read or written */
    IDE_PIO_IN,    /* the guest reads buffer bytes pos..end from the data port */
    IDE_PIO_OUT,   /* the guest writes them */
    IDE_DMA_IN,    /* the bus master takes bytes pos..end when it runs */
    IDE_DMA_OUT,
    IDE_PHASES
} IdePhase;

typedef enum IdePacket { PACKET_NONE, PACKET_CDB, PACKET_DATA, IDE_PACKETS } IdePacket;

/* The registers that a command takes its parameters from, and gives results in. */
typedef struct IdeTaskFile {
    uint8_t feature, count, low, mid, high; /* LBA bits 0-7, 8-15, 16-23, or sector, cylinder low, cylinder high */
} IdeTaskFile;

typedef struct IdeChannel IdeChannel;
typedef struct IdeDrive IdeDrive;

/* What a drive tells the controller that it hangs on. */
typedef struct IdeTransport {
    void (*interrupt)(IdeDrive *d);      /* d->intrq is another */
    void (*offered)(IdeDrive *d);        /* bytes pos..end of the buffer wait to be moved; they may be at once */
    void (*ended)(IdeDrive *d, bool irq); /* the command has ended */
    void (*was_reset)(IdeDrive *d);
} IdeTransport;

struct IdeDrive {
    const IdeTransport *transport;
    void *owner;                 /* the controller's: the IdeChannel */
    unsigned unit;               /* 0, 1; the number of a port */
    bool sata;
    bool cache_at_start;         /* the image's write cache, as the user has it */
    IdeKind kind;
    BlockBackend *block;
    char model[41], serial[21];
    uint64_t sectors;            /* of the medium: 512 bytes on disks, 2048 on CD-ROMs */
    uint32_t cylinders;          /* of a disk's default translation; 16 heads, 63 sectors */

    /* Registers. */
    IdeTaskFile now, before;     /* before: what was in the registers earlier (48-bit commands) */
    uint8_t device, status, error, command;
    bool intrq;

    /* Settings. */
    uint8_t heads, track;        /* current translation: heads, sectors in a track */
    uint8_t multiple;            /* sectors in a block of READ MULTIPLE; 0: not allowed */
    uint8_t mode;                /* transfer mode of SET FEATURES 03h: 20h + n multiword DMA, 40h + n Ultra DMA */
    bool write_cache, look_ahead, smart, standby;
    bool held;                   /* a reset lasts, which the controller will end */

    /* The command under way. */
    uint8_t phase;               /* IdePhase */
    uint8_t packet;              /* IdePacket */
    bool in_flight, stale;       /* the image is being accessed; and what comes of it is not wanted any more (reset) */
    bool writing, dma, lba48;
    uint64_t lba;                /* next sector to be moved between image and buffer */
    uint32_t left;               /* sectors that are still to be moved */
    uint32_t pos, end, length;   /* in the buffer: next byte, end of this block, end of what is valid */
    uint32_t block_size;         /* bytes after which the guest is interrupted */
    bool trimming;               /* what is written are ranges to be discarded */
    uint8_t queue_error[14];     /* of log page 10h: the queued command that failed */
    uint8_t *buffer;             /* of IDE_BUFFER bytes */

    /* CD-ROMs. */
    uint8_t cdb[12];
    uint32_t byte_limit;         /* of the packet command's PIO blocks */
    uint8_t sense_key, asc, ascq;
    bool tray_open, tray_locked, attention;
    uint8_t media_event;         /* for GET EVENT STATUS NOTIFICATION */
    uint8_t recovery[2];         /* what MODE SELECT set: recovery, retries; channels and volumes */
    uint8_t volume[8];
};

struct IdeChannel {
    IdeDrive drive[2];
    uint8_t selected;
    uint8_t control;             /* device control register */
    bool line;                   /* level of the interrupt output */
    IrqLine irq;
    IdeDma dma;
};

/* ---- drives, for the controller ---- */

void ide_drive_init(IdeDrive *d, const IdeTransport *transport, void *owner, unsigned unit);
void ide_drive_exit(IdeDrive *d); /* waits for transfers, and gives the image back */

/* Puts a drive into its place; model NULL: the usual one.  `device`: whose the image is then. */
gboolean ide_drive_attach(IdeDrive *d, IdeKind kind, BlockBackend *block, const char *model, const char *serial,
                          const char *device, GError **err);
bool ide_drive_present(const IdeDrive *d);
void ide_drive_power_on(IdeDrive *d);
void ide_drive_drain(IdeDrive *d);
bool ide_drive_sane(const IdeDrive *d); /* after a restore */
extern const StateField ide_drive_state[];

/* ---- channels, for the controller ---- */

void ide_channel_init(IdeChannel *ch, PciDevice *pci, IrqLine irq);
void ide_channel_exit(IdeChannel *ch);

/* Power-on reset; waits for transfers under way. */
void ide_channel_reset(IdeChannel *ch);
void ide_channel_drain(IdeChannel *ch);

/* Checks restored fields, which may come from anywhere. */
gboolean ide_channel_restored(IdeChannel *ch, const char *owner, GError **err);

/* Command block registers 0..7 and the control register (alternate status). */
uint64_t ide_read(IdeChannel *ch, unsigned reg, unsigned size);
void ide_write(IdeChannel *ch, unsigned reg, uint64_t v, unsigned size);
uint8_t ide_read_alternate(IdeChannel *ch);
void ide_write_control(IdeChannel *ch, uint8_t v);

extern const StateField ide_channel_state[];

/* ---- buses, which -device ide-hd and ide-cd find by name ---- */

typedef struct IdeBus {
    char *name;                  /* "ide.0" */
    IdeDrive *place[2];          /* master and slave; SATA: one */
    unsigned places;
    void (*attached)(IdeDrive *d); /* a drive has come; may be NULL */
    bool chosen;                 /* also without bus= */
} IdeBus;

void ide_bus_add(Machine *m, IdeBus *bus);
void ide_bus_remove(Machine *m, IdeBus *bus);

extern const DeviceType ide_hd_type;
extern const DeviceType ide_cd_type;

/* ---- between the files of this folder ---- */

/* Ends a command: without an error, or with one; `irq`: the guest is interrupted. */
void ide_finish(IdeDrive *d, bool irq);
void ide_fail(IdeDrive *d, uint8_t status, uint8_t error);
void ide_abort(IdeDrive *d);
void ide_raise(IdeDrive *d);
void ide_lower(IdeDrive *d);

/* Registers after reset: "this is a disk" or "this is a CD-ROM" (section 9.12). */
void ide_set_signature(IdeDrive *d);

/* Gives up the command under way; then makes the drive ready as after a reset, at once or when the image is. */
void ide_stop_drive(IdeDrive *d);
void ide_reset_drive(IdeDrive *d);

/* Begins to move: bytes that lie in the buffer, to the guest; sectors; what was written, to stable storage. */
void ide_send(IdeDrive *d, uint32_t length);
void ide_transfer_start(IdeDrive *d, uint64_t lba, uint32_t count, bool writing);
void ide_flush(IdeDrive *d);
/* Asks for `length` bytes of the command, which do not go to the image as they are. */
void ide_receive(IdeDrive *d, uint32_t length);
/* The drive accesses its image; it has: false when a reset has come between. */
void ide_go_busy(IdeDrive *d);
bool ide_image_done(IdeDrive *d);

/* Offers buffer bytes pos..end to the guest, or asks for them; the last byte of them has been moved. */
void ide_offer(IdeDrive *d, uint32_t end, IdePhase phase);
void ide_block_done(IdeDrive *d);

/* Carries out the command register's command. */
void ata_execute(IdeDrive *d, uint8_t command);
void ata_set_defaults(IdeDrive *d);
void ata_put_address(IdeDrive *d, uint64_t lba);
void ata_identify(const IdeDrive *d, uint8_t page[ATA_SECTOR]);
void ata_identify_packet(const IdeDrive *d, uint8_t page[ATA_SECTOR]);
void ata_put_checksum(uint8_t page[ATA_SECTOR]); /* the sum of all bytes is 0 */

/* ata_smart.c: SMART; READ LOG EXT. */
void ata_smart(IdeDrive *d);
void ata_read_log(IdeDrive *d);
/* ata_trim.c: DATA SET MANAGEMENT asks for ranges; has them. */
void ata_trim_start(IdeDrive *d);
void ata_trim(IdeDrive *d);

/* PACKET: waits for the command packet; carries it out; offers its next block; ends it, well or by an image's error. */
void atapi_start(IdeDrive *d);
void atapi_execute(IdeDrive *d);
void atapi_block_next(IdeDrive *d);
void atapi_finish(IdeDrive *d);
void atapi_image_error(IdeDrive *d);
void atapi_received(IdeDrive *d); /* the data of a packet command has come */
void atapi_set_defaults(IdeDrive *d);
/* The user put another medium in, or none; wants the tray opened. */
void atapi_medium_changed(IdeDrive *d);
void atapi_eject_wanted(IdeDrive *d, bool force);

/* Answers of CD-ROMs to d->cdb: their length; 0 when they ask for what is not there. */
unsigned atapi_toc(const IdeDrive *d, uint8_t *out);
unsigned atapi_mode_sense(const IdeDrive *d, uint8_t *out);
unsigned atapi_configuration(const IdeDrive *d, uint8_t *out);
unsigned atapi_disc_information(const IdeDrive *d, uint8_t *out);
unsigned atapi_mechanism_status(const IdeDrive *d, uint8_t *out);
unsigned atapi_subchannel(const IdeDrive *d, uint8_t *out);
unsigned atapi_track_information(const IdeDrive *d, uint8_t *out);
bool atapi_mode_select(IdeDrive *d, const uint8_t *parameters, uint32_t length); /* false: they are wrong */
unsigned atapi_inquiry(const IdeDrive *d, uint8_t *out);
unsigned atapi_event(IdeDrive *d, uint8_t *out);
bool atapi_ready(const IdeDrive *d);

#endif
