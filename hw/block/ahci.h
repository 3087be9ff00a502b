/*
 * An AHCI host bus adapter with six ports (Serial ATA AHCI Specification, revision 1.3.1; the sections named in its
 * files are of that text), as the ICH9 has it.  How the parts work together:
 *
 *   ahci.c       the adapter: global registers, interrupts, life
 *   ahci_port.c  a port: registers, reset, what its drive tells it
 *   ahci_cmd.c   a port's commands: headers, FISes, data of those that run one at a time
 *   ahci_ncq.c   queued commands (Serial ATA 3.x, native command queuing)
 *
 * Behind each port is a place for an ATA drive (ide.h), whose commands are those of IDE.  Queued commands go past the
 * drive's buffer, between image and memory.
 */
#ifndef MYNA_HW_BLOCK_AHCI_H
#define MYNA_HW_BLOCK_AHCI_H

#include "core/dma.h"
#include "hw/block/ide.h"
#include "hw/pci/pci.h"

extern const DeviceType ich9_ahci_type;
extern const DeviceType ahci_type; /* the same by another name */

enum { AHCI_PORTS = 6, AHCI_SLOTS = 32, AHCI_NO_SLOT = 0xff };

/* Port interrupt status (3.3.5). */
enum {
    PORT_DHRS = 1 << 0, PORT_PSS = 1 << 1, PORT_SDBS = 1 << 3, PORT_PCS = 1 << 6, PORT_OFS = 1 << 24,
    PORT_TFES = 1 << 30,
};
/* Port command and status (3.3.7). */
enum { CMD_ST = 1, CMD_SUD = 2, CMD_POD = 4, CMD_CLO = 8, CMD_FRE = 0x10, CMD_FR = 0x4000, CMD_CR = 0x8000 };

typedef struct Ahci Ahci;
typedef struct AhciPort AhciPort;

typedef struct AhciTag {
    AhciPort *port;
    bool under_way, stale;
    bool writing, force;        /* force: on stable storage before it is done */
    uint64_t lba;
    DmaList dma;
} AhciTag;

struct AhciPort {
    Ahci *hba;
    unsigned number;
    IdeDrive drive;
    IdeBus bus;

    /* Registers. */
    uint64_t list, fis;         /* CLB, FB */
    uint32_t status, enable;    /* IS, IE */
    uint32_t command;           /* CMD without what is derived: CR, FR, CCS */
    uint32_t signature, control, error, active, issued; /* SIG, SCTL, SERR, SACT, CI */

    uint8_t slot;               /* of the command that runs alone, or AHCI_NO_SLOT */
    uint8_t next_slot;
    uint32_t moved;             /* bytes of its data */
    bool halted;                /* after an error, until ST is cleared */
    bool signature_due;         /* the first FIS waits for FRE */

    /* Not saved: nothing is under way then. */
    AhciTag tag[AHCI_SLOTS];
    uint64_t queued_bytes;
    bool moving, issuing;
    DmaList dma;
};

struct Ahci {
    PciDevice pci;
    Region *registers;
    AhciPort port[AHCI_PORTS];
    bool interrupts;            /* GHC.IE */
    bool resetting;             /* HR was written, and transfers may still be under way */
    bool busy;                  /* the adapter writes memory: its registers hear nothing */
};

/* ---- ahci.c ---- */
void ahci_update_irq(Ahci *s);
/* Writes to guest memory; what is in a list was written by a transfer. */
void ahci_dma_write(Ahci *s, uint64_t at, const void *data, uint64_t size);
void ahci_dma_written(Ahci *s, DmaList *d, uint64_t size);

/* ---- ahci_port.c ---- */
void ahci_port_init(AhciPort *p, Ahci *hba, unsigned number);
void ahci_port_exit(AhciPort *p);
void ahci_port_reset(AhciPort *p);
bool ahci_port_sane(const AhciPort *p);
uint32_t ahci_port_read(AhciPort *p, unsigned reg);
void ahci_port_write(AhciPort *p, unsigned reg, uint32_t v);
void ahci_port_raise(AhciPort *p, uint32_t status);
extern const StateField ahci_port_state[];

/* ---- ahci_cmd.c ---- */
/* Issues what CI has, while the drive takes commands; goes on with data that waits. */
void ahci_port_run(AhciPort *p);
void ahci_move(AhciPort *p);
/* The drive's register FIS, into memory if it may be. */
void ahci_send_registers(AhciPort *p, bool irq);
void ahci_send_bits(AhciPort *p, uint32_t active);
void ahci_command_ended(AhciPort *p, bool irq);
bool ahci_may_run(const AhciPort *p);
/* Collects memory of a slot's table in d, from a place in it on: as much as there is of `size`. */
void ahci_collect(AhciPort *p, unsigned slot, uint64_t offset, uint64_t size, DmaList *d, bool to_memory);

/* ---- ahci_ncq.c ---- */
bool ahci_is_queued(uint8_t command);
/* False: it has to wait. */
bool ahci_queue(AhciPort *p, unsigned slot, const uint8_t *fis);
unsigned ahci_queued(const AhciPort *p);
void ahci_queue_forget(AhciPort *p); /* what is under way is not wanted any more */

#endif
