/* A port of an AHCI: registers and resets (AHCI 1.3.1, sections 3.3 and 10.4). */
#include <string.h>

#include "core/log.h"
#include "hw/block/ahci.h"
#include "util/bits.h"

enum {
    REG_CLB = 0x00, REG_CLBU = 0x04, REG_FB = 0x08, REG_FBU = 0x0c, REG_IS = 0x10, REG_IE = 0x14, REG_CMD = 0x18,
    REG_TFD = 0x20, REG_SIG = 0x24, REG_SSTS = 0x28, REG_SCTL = 0x2c, REG_SERR = 0x30, REG_SACT = 0x34, REG_CI = 0x38,
};
enum { CONTROL_DETECT = 0xf, DETECT_RESET = 1, DETECT_OFF = 4, LINK_UP = 0x133 /* 6 Gbit/s, active */ };
enum { TASK_NOTHING = 0x7f, CMD_WRITABLE = 0xf3000017 /* ICC, ALPE, DLAE, ATAPI, FRE, POD, SUD, ST */ };
#define CMD_KEPT (CMD_WRITABLE & ~CMD_SUD)
#define INTERRUPTS UINT32_C(0xfdc000ff)
#define ERROR_EXCHANGED BIT(26)
#define IS_CLEARED (INTERRUPTS & ~(uint32_t)PORT_PCS)

/* ---- interrupt ---- */

/* "Port connect change" mirrors the error register's bit (3.3.5). */
static uint32_t status_of(const AhciPort *p)
{
    return p->status | (p->error & ERROR_EXCHANGED ? PORT_PCS : 0);
}

void ahci_port_raise(AhciPort *p, uint32_t status)
{
    p->status |= status;
    ahci_update_irq(p->hba);
}

/* ---- what the drive tells ---- */

static void drive_interrupt(IdeDrive *d) { (void)d; } /* FISes carry interrupts */
static void drive_offered(IdeDrive *d) { ahci_move(d->owner); }
static void drive_ended(IdeDrive *d, bool irq) { ahci_command_ended(d->owner, irq); }

static uint32_t signature_of(const IdeDrive *d)
{
    return d->now.count | d->now.low << 8 | d->now.mid << 16 | (uint32_t)d->now.high << 24;
}

/* The FIS after a reset: it waits in the adapter until there is a place for it (10.1.2). */
static void send_signature(AhciPort *p)
{
    p->signature_due = !(p->command & CMD_FRE);
    if (!p->signature_due)
        ahci_send_registers(p, false);
}

static void drive_was_reset(IdeDrive *d)
{
    AhciPort *p = d->owner;

    p->signature = signature_of(d);
    send_signature(p);
    ahci_port_run(p);
}

static const IdeTransport port_transport = {
    .interrupt = drive_interrupt, .offered = drive_offered, .ended = drive_ended, .was_reset = drive_was_reset,
};

/* ---- registers ---- */

static uint32_t read_command(const AhciPort *p)
{
    bool running = p->command & CMD_ST || ahci_queued(p);

    return p->command | CMD_SUD | (p->command & CMD_FRE ? CMD_FR : 0) | (running ? CMD_CR : 0) |
           (p->slot != AHCI_NO_SLOT ? p->slot << 8 : 0);
}

static bool is_down(uint32_t control)
{
    return (control & CONTROL_DETECT) == DETECT_RESET || (control & CONTROL_DETECT) == DETECT_OFF;
}

static bool is_linked(const AhciPort *p)
{
    return ide_drive_present(&p->drive) && !is_down(p->control);
}

/* While SRST is sent the adapter does not show the drive busy: another FIS must follow (10.4.1). */
static uint32_t read_task_file(const AhciPort *p)
{
    const IdeDrive *d = &p->drive;

    if (!is_linked(p))
        return TASK_NOTHING;
    return (d->held ? ST_DRDY : d->status) | d->error << 8;
}

uint32_t ahci_port_read(AhciPort *p, unsigned reg)
{
    switch (reg) {
    case REG_CLB: return p->list & UINT32_MAX;
    case REG_CLBU: return p->list >> 32;
    case REG_FB: return p->fis & UINT32_MAX;
    case REG_FBU: return p->fis >> 32;
    case REG_IS: return status_of(p);
    case REG_IE: return p->enable;
    case REG_CMD: return read_command(p);
    case REG_TFD: return read_task_file(p);
    case REG_SIG: return p->signature;
    case REG_SSTS: return is_linked(p) ? LINK_UP : (p->control & CONTROL_DETECT) == DETECT_OFF ? 4 : 0;
    case REG_SCTL: return p->control;
    case REG_SERR: return p->error;
    case REG_SACT: return p->active;
    case REG_CI: return p->issued;
    default: return 0;
    }
}

/* Clears BSY and DRQ: the drive gives up what it does (3.3.7, CLO). */
static void override_busy(AhciPort *p)
{
    IdeDrive *d = &p->drive;

    if (!ide_drive_present(d) || !(d->status & (ST_BSY | ST_DRQ)))
        return;
    ide_stop_drive(d);
    ide_reset_drive(d);
}

static void stop_commands(AhciPort *p)
{
    p->issued = p->active = 0;
    p->slot = AHCI_NO_SLOT;
    p->next_slot = 0;
    p->halted = false;
    ahci_queue_forget(p);
}

static void write_command(AhciPort *p, uint32_t v)
{
    uint32_t before = p->command;

    p->command = v & CMD_KEPT;
    if (before & CMD_ST && !(v & CMD_ST))
        stop_commands(p);
    if (v & CMD_CLO)
        override_busy(p);
    if (v & CMD_FRE && p->signature_due)
        send_signature(p);
    ahci_port_run(p);
}

/* COMRESET lasts as long as DET is 1 (10.4.2); when the interface comes up again, the drive is reset as well. */
static void write_control(AhciPort *p, uint32_t v)
{
    bool was = is_down(p->control), is = is_down(v);

    p->control = v & 0xfff;
    if (!ide_drive_present(&p->drive) || was == is)
        return;
    p->drive.held = is;
    if (is) {
        ahci_queue_forget(p);
        p->slot = AHCI_NO_SLOT;
        p->signature = UINT32_MAX;
        ide_stop_drive(&p->drive);
    } else {
        p->error |= ERROR_EXCHANGED;
        p->drive.device = 0;
        ide_reset_drive(&p->drive);
        ahci_update_irq(p->hba);
    }
}

static void write_issue(AhciPort *p, uint32_t v)
{
    if (!(p->command & CMD_ST)) {
        log_guest_error("ahci: commands issued on port %u, which does not run", p->number);
        return;
    }
    p->issued |= v;
    ahci_port_run(p);
}

void ahci_port_write(AhciPort *p, unsigned reg, uint32_t v)
{
    switch (reg) {
    case REG_CLB: p->list = bits_deposit(p->list, 0, 32, v & ~UINT32_C(0x3ff)); break;
    case REG_CLBU: p->list = bits_deposit(p->list, 32, 32, v); break;
    case REG_FB: p->fis = bits_deposit(p->fis, 0, 32, v & ~UINT32_C(0xff)); break;
    case REG_FBU: p->fis = bits_deposit(p->fis, 32, 32, v); break;
    case REG_IS: p->status &= ~(v & IS_CLEARED); break;
    case REG_IE: p->enable = v & INTERRUPTS; break;
    case REG_CMD: write_command(p, v); return;
    case REG_SCTL: write_control(p, v); return;
    case REG_SERR: p->error &= ~v; break;
    case REG_SACT: p->active |= p->command & CMD_ST ? v : 0; return;
    case REG_CI: write_issue(p, v); return;
    default: return;
    }
    ahci_update_irq(p->hba);
}

/* ---- life ---- */

static void drive_attached(IdeDrive *d)
{
    AhciPort *p = d->owner;

    p->error |= ERROR_EXCHANGED;
    ahci_update_irq(p->hba);
}

void ahci_port_init(AhciPort *p, Ahci *hba, unsigned number)
{
    p->hba = hba;
    p->number = number;
    p->slot = AHCI_NO_SLOT;
    ide_drive_init(&p->drive, &port_transport, p, number);
    p->drive.sata = true;
    dma_init(&p->dma, pci_memory(&hba->pci), false);
    for (unsigned n = 0; n < AHCI_SLOTS; n++) {
        p->tag[n].port = p;
        dma_init(&p->tag[n].dma, pci_memory(&hba->pci), false);
    }
    p->bus = (IdeBus) { .name = g_strdup_printf("%s.%u", hba->pci.dev.id, number), .place = { &p->drive }, .places = 1,
                        .attached = drive_attached };
    ide_bus_add(hba->pci.dev.machine, &p->bus);
}

void ahci_port_exit(AhciPort *p)
{
    ahci_queue_forget(p);
    p->command = 0;
    ide_bus_remove(p->hba->pci.dev.machine, &p->bus);
    ide_drive_exit(&p->drive);
    dma_clear(&p->dma);
    for (unsigned n = 0; n < AHCI_SLOTS; n++)
        dma_clear(&p->tag[n].dma);
}

/* Of the adapter: the place of lists stays (10.4.3). */
void ahci_port_reset(AhciPort *p)
{
    stop_commands(p);
    p->command = CMD_POD;
    p->status = p->enable = p->control = p->error = 0;
    p->signature = UINT32_MAX;
    p->drive.held = false;
    ide_stop_drive(&p->drive);
    ide_drive_power_on(&p->drive);
}

bool ahci_port_sane(const AhciPort *p)
{
    return ide_drive_sane(&p->drive) && (p->slot < AHCI_SLOTS || p->slot == AHCI_NO_SLOT) && p->next_slot < AHCI_SLOTS;
}

const StateField ahci_port_state[] = {
    STATE_STRUCT(AhciPort, drive, ide_drive_state), STATE_U64(AhciPort, list), STATE_U64(AhciPort, fis),
    STATE_U32(AhciPort, status), STATE_U32(AhciPort, enable), STATE_U32(AhciPort, command),
    STATE_U32(AhciPort, signature), STATE_U32(AhciPort, control), STATE_U32(AhciPort, error),
    STATE_U32(AhciPort, active), STATE_U32(AhciPort, issued), STATE_U8(AhciPort, slot), STATE_U8(AhciPort, next_slot),
    STATE_U32(AhciPort, moved), STATE_BOOL(AhciPort, halted), STATE_BOOL(AhciPort, signature_due), STATE_END
};
