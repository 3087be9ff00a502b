/*
 * What the files of the floppy controller share:
 *
 *   fdc.c          registers, interrupt, drives and media, save and restore
 *   fdc_command.c  commands that move no data; the table of all
 *   fdc_data.c     commands that do, sector by sector
 */
#ifndef MYNA_HW_BLOCK_FDC_INTERNAL_H
#define MYNA_HW_BLOCK_FDC_INTERNAL_H

#include "backends/block/block.h"
#include "core/device.h"
#include "hw/isa.h"

enum { FDC_DRIVES = 2, FDC_UNITS = 4, FDC_SECTOR = 512, FDC_IRQ = 6, FDC_DMA = 2, FDC_BYTES = 16 };

/* Digital output register (2.1.3); main status register (2.1.5). */
enum { DOR_SELECT = 3, DOR_RUN = 4, DOR_DMA = 8 };
enum { MSR_BUSY = 0x10, MSR_NON_DMA = 0x20, MSR_TO_HOST = 0x40, MSR_REQUEST = 0x80 };

/* Status registers of results (section 5.5, tables 6-1 to 6-4). */
enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_POLLED = 0xc0, ST0_SEEK_END = 0x20, ST0_NO_TRACK0 = 0x10 };
enum { ST1_NO_MARK = 0x01, ST1_READ_ONLY = 0x02, ST1_NO_DATA = 0x04, ST1_DATA_ERROR = 0x20, ST1_END = 0x80 };
enum { ST2_SCAN_NOT = 0x04, ST2_SCAN_HIT = 0x08, ST2_WRONG_CYLINDER = 0x10, ST2_DATA_ERROR = 0x20, ST2_MARK = 0x40 };

typedef enum FdcPhase { FDC_COMMAND, FDC_BUSY, FDC_DATA_IN, FDC_DATA_OUT, FDC_RESULT, FDC_PHASES } FdcPhase;

typedef enum FdcOperation { FDC_READ, FDC_WRITE, FDC_SCAN, FDC_FORMAT, FDC_OPERATIONS } FdcOperation;

typedef struct FloppyFormat {
    uint16_t sectors;           /* on the disk */
    uint8_t tracks, heads, track_sectors;
    uint8_t rates;              /* data rates (bit n: rate n of the CCR) at which it is read */
    uint8_t drive;              /* kind of the drive for it */
} FloppyFormat;

typedef struct FloppyDrive {
    BlockBackend *block;        /* NULL: there is no drive */
    char *type_name;            /* property: "auto", "120", "144", "288" */
    uint8_t type;               /* as fdc_drive_type() */
    const FloppyFormat *format; /* of the medium; NULL: none, or none that the drive reads */

    uint8_t cylinder;           /* where the heads are */
    uint8_t next_id;            /* sector whose ID comes next under the head */
    bool changed;               /* disk change line: until a step with a medium in it */
} FloppyDrive;

typedef struct Fdc {
    Device dev;
    IsaBus *bus;
    Region *low, *high;
    FloppyDrive drive[FDC_DRIVES];

    /* Registers. */
    uint8_t dor, tape, rate;
    bool irq;

    /* The command: bytes, or results. */
    uint8_t phase;              /* FdcPhase */
    uint8_t bytes[FDC_BYTES];
    uint8_t count, position;    /* of bytes: how many there are, or are expected; the next */
    uint8_t present_cylinder[FDC_UNITS];

    /* What SPECIFY, CONFIGURE, PERPENDICULAR MODE and LOCK set. */
    uint8_t timing[2], config, precompensation_track, perpendicular;
    bool lock;

    /* Interrupts that SENSE INTERRUPT STATUS has not heard of. */
    uint8_t polled;             /* of a reset: units left */
    uint8_t sense[FDC_UNITS];   /* ST0 of a seek; 0: none */

    /* The transfer. */
    uint8_t unit, head, c, h, r, n, last, step; /* last: sector of a track; step: of SCAN */
    bool multi, terminal;       /* MT; the host has had enough */
    uint8_t scan;               /* which of the SCAN commands */
    uint8_t control_mark;       /* ST2_MARK: data whose mark is the other one */
    uint8_t operation;          /* FdcOperation */
    uint8_t filler, left;       /* FORMAT: byte of data, sectors */
    uint8_t buffer[FDC_SECTOR], scanned[FDC_SECTOR];
    uint32_t at, length;        /* in the buffer */

    struct FdcTransfer *transfer; /* the sector that is under way to or from the image; NULL: none, or a reset came between */
} Fdc;

/* ---- fdc.c ---- */
FloppyDrive *fdc_drive(Fdc *s, unsigned unit); /* NULL: there is none */
void fdc_update_irq(Fdc *s);
void fdc_raise(Fdc *s);
void fdc_step(FloppyDrive *d, unsigned cylinder); /* moves the heads */
bool fdc_readable(const Fdc *s, const FloppyDrive *d); /* there are marks that the data rate finds */

/* ---- fdc_command.c ---- */
void fdc_write_command(Fdc *s, uint8_t v);
void fdc_begin(Fdc *s);                        /* waits for a command */
void fdc_result(Fdc *s, unsigned count);       /* results are in bytes */
void fdc_seek(Fdc *s, unsigned unit, unsigned cylinder);

/* ---- fdc_data.c ---- */
void fdc_read(Fdc *s);
void fdc_write(Fdc *s);
void fdc_scan(Fdc *s);
void fdc_verify(Fdc *s);
void fdc_format(Fdc *s);
uint8_t fdc_read_data(Fdc *s);
void fdc_write_data(Fdc *s, uint8_t v);
void fdc_data_end(Fdc *s, uint8_t st0, uint8_t st1, uint8_t st2);
extern const IsaDmaOps fdc_dma_ops;

#endif
