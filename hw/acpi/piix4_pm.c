/*
 * Power management of the PIIX4, function 3: PM1 event and control registers, PM timer, SMI command port (Intel
 * 82371AB datasheet chapter 7; ACPI 6.4 section 4.8.3).
 */
#include "hw/acpi/piix4_pm.h"

#include <string.h>

#include "core/clock.h"
#include "core/machine.h"
#include "util/bits.h"
#include "util/endian.h"

enum { PMBA = 0x40, PMREGMISC = 0x80 };
enum { PM1_STS = 0, PM1_EN = 2, PM1_CNT = 4, PM_TMR = 8 };
enum { STS_TIMER = 1, STS_GLOBAL = 0x20, STS_POWER = 0x100, STS_RTC = 0x400, STS_WAKE = 0x8000 };
enum { CNT_SCI = 1, CNT_SLEEP_ENABLE = 0x2000 };

#define PM_TIMER_HZ 3579545
#define ACPI_ON 0xf1  /* values of the SMI command port, as firmware's ACPI tables name them */
#define ACPI_OFF 0xf0

struct Piix4Pm {
    PciDevice pci;
    const CpuPort *cpu;
    IrqLine sci;
    uint16_t status, enable, control;
    uint8_t apm_command, apm_status;
    bool asleep;          /* in S3 */
    int64_t overflow_at;  /* ticks at which TMR_STS is next set */
    Timer *timer;
    Region *io, *apm;
    bool mapped;
    uint64_t base;
};

static int64_t pm_ticks(const Piix4Pm *pm)
{
    return muldiv64(clock_now(pm->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL), PM_TIMER_HZ, NS_PER_SECOND);
}

/* TMR_STS is set whenever bit 23 of the timer changes (section 4.8.3.3). */
static void update_timer_status(Piix4Pm *pm)
{
    if (pm_ticks(pm) >= pm->overflow_at)
        pm->status |= STS_TIMER;
}

static void update_sci(Piix4Pm *pm)
{
    update_timer_status(pm);
    bool up = pm->status & pm->enable & (STS_TIMER | STS_GLOBAL | STS_POWER | STS_RTC);
    irq_set(&pm->sci, up);
    if ((pm->enable & STS_TIMER) && !(pm->status & STS_TIMER))
        timer_arm(pm->timer, muldiv64(pm->overflow_at, NS_PER_SECOND, PM_TIMER_HZ) + 1000);
    else
        timer_cancel(pm->timer);
}

static void timer_fired(void *opaque) { update_sci(opaque); }

static void write_status(Piix4Pm *pm, uint16_t v)
{
    update_timer_status(pm);
    if (v & STS_TIMER)
        pm->overflow_at = (pm_ticks(pm) | 0x7fffff) + 1;
    pm->status &= ~v;
    update_sci(pm);
}

/* The power button always wakes, the RTC when enabled (ACPI 6.4 sections 4.8.2.2.1.1, 4.8.2.4). */
static void wake_if_due(Piix4Pm *pm)
{
    if (pm->asleep && (pm->status & (pm->enable | STS_POWER) & (STS_POWER | STS_RTC)))
        machine_request_wake(pm->pci.dev.machine, "wake from ACPI S3");
}

/* Memory keeps its power; processors and devices lose theirs, and get it back by a reset. */
static void suspend_to_memory(Piix4Pm *pm)
{
    Machine *m = pm->pci.dev.machine;
    pm->asleep = true;
    for (unsigned k = 0; k < m->cpu_count; k++)
        m->cpu_ports[k]->power_off(m->cpu_ports[k]->cpu);
    wake_if_due(pm);
}

static void enter_sleep(Piix4Pm *pm)
{
    switch (pm->control >> 10 & 7) {
    case PIIX4_SLEEP_S5: machine_request_shutdown(pm->pci.dev.machine, 0, "ACPI power off"); break;
    case PIIX4_SLEEP_S3: suspend_to_memory(pm); break;
    default: break;
    }
}

static void write_control(Piix4Pm *pm, uint16_t v)
{
    pm->control = v & ~CNT_SLEEP_ENABLE;
    if (v & CNT_SLEEP_ENABLE)
        enter_sleep(pm);
}

static uint64_t read_word(Piix4Pm *pm, unsigned offset)
{
    switch (offset) {
    case PM1_STS: update_timer_status(pm); return pm->status;
    case PM1_EN: return pm->enable;
    case PM1_CNT: return pm->control;
    case PM_TMR: return pm_ticks(pm) & 0xffff;
    case PM_TMR + 2: return pm_ticks(pm) >> 16 & 0xff;
    default: return 0;
    }
}

static uint64_t pm_read(void *opaque, uint64_t offset, unsigned size)
{
    Piix4Pm *pm = opaque;
    if (offset == PM_TMR && size == 4)
        return pm_ticks(pm) & 0xffffff;
    uint64_t v = read_word(pm, offset & ~1u) | (size == 4 ? read_word(pm, (offset & ~1u) + 2) << 16 : 0);
    return v >> ((offset & 1) * 8);
}

static void write_word(Piix4Pm *pm, unsigned offset, uint16_t v)
{
    switch (offset) {
    case PM1_STS: write_status(pm, v); break;
    case PM1_EN:
        pm->enable = v;
        update_sci(pm);
        break;
    case PM1_CNT: write_control(pm, v); break;
    default: break;
    }
}

static void pm_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Piix4Pm *pm = opaque;
    unsigned at = offset & ~1u;
    if (size == 1) { /* the other byte of the word stays; of status bits that means: write 0 */
        uint16_t old = at == PM1_STS ? 0 : read_word(pm, at);
        v = offset & 1 ? (old & 0xff) | v << 8 : (old & 0xff00) | v;
    }
    write_word(pm, at, v);
    if (size == 4)
        write_word(pm, at + 2, v >> 16);
}

static const RegionOps pm_ops = { .read = pm_read, .write = pm_write, .min_size = 1, .max_size = 4 };

/* Ports B2h and B3h: a write to the command port is an SMI when firmware asked for it. */
static uint64_t apm_read(void *opaque, uint64_t offset, unsigned size)
{
    Piix4Pm *pm = opaque;
    (void)size;
    return offset ? pm->apm_status : pm->apm_command;
}

#define DEVACTB 0x58
#define DEVACTB_APMC_SMI BIT(25)

static void apm_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Piix4Pm *pm = opaque;
    (void)size;
    if (offset) {
        pm->apm_status = v;
        return;
    }
    pm->apm_command = v;
    if (v == ACPI_ON)
        pm->control |= CNT_SCI;
    else if (v == ACPI_OFF)
        pm->control &= ~CNT_SCI;
    if ((ld32le(pm->pci.config + DEVACTB) & DEVACTB_APMC_SMI) && pm->cpu)
        pm->cpu->smi(pm->cpu->cpu);
}

static const RegionOps apm_ops = { .read = apm_read, .write = apm_write, .min_size = 1, .max_size = 1 };

static void update_mapping(Piix4Pm *pm)
{
    bool on = pm->pci.config[PMREGMISC] & 1;
    uint64_t base = ld32le(pm->pci.config + PMBA) & 0xffc0;
    if (pm->mapped)
        region_remove(pm->io);
    pm->mapped = on && base;
    pm->base = base;
    if (pm->mapped)
        region_add(as_root(pm->pci.dev.machine->ports), base, pm->io, 0);
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    if ((offset < PMBA + 4 && offset + size > PMBA) || (offset <= PMREGMISC && offset + size > PMREGMISC))
        update_mapping((Piix4Pm *)pci);
}

void piix4_pm_connect(Piix4Pm *pm, const CpuPort *cpu, IrqLine sci)
{
    pm->cpu = cpu;
    pm->sci = sci;
}

void piix4_pm_enable(Piix4Pm *pm)
{
    st32le(pm->pci.config + PMBA, PIIX4_PM_BASE | 1);
    pm->pci.config[PMREGMISC] = 1;
    pm->control |= CNT_SCI;
    update_mapping(pm);
}

static void set_status(Piix4Pm *pm, uint16_t bit)
{
    if (pm->status & bit)
        return;
    pm->status |= bit;
    update_sci(pm);
    wake_if_due(pm);
}

void piix4_pm_power_button(Piix4Pm *pm) { set_status(pm, STS_POWER); }
void piix4_pm_rtc_alarm(Piix4Pm *pm) { set_status(pm, STS_RTC); }

static gboolean pm_create(Device *dev, GError **err)
{
    static const PciId id = { .vendor = 0x8086, .device = 0x7113, .class_code = 0x068000, .revision = 3,
                              .subsystem_vendor = 0x1af4, .subsystem = 0x1100, .interrupt_pin = 1 };
    Piix4Pm *pm = (Piix4Pm *)dev;
    if (pm->pci.devfn < 0)
        pm->pci.devfn = 1 << 3 | 3;
    if (!pci_device_init(&pm->pci, &id, err))
        return FALSE;
    st32le(pm->pci.writable + PMBA, 0xffc0);
    memset(pm->pci.writable + 0x50, 0xff, 0x20); /* device activity and resource registers: storage only */
    pm->pci.writable[PMREGMISC] = 1;
    pm->pci.config_written = config_written;
    pm->timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, timer_fired, pm);
    pm->io = region_new_io("acpi-pm", 0x40, &pm_ops, pm);
    pm->apm = region_new_io("apm", 2, &apm_ops, pm);
    region_add(as_root(dev->machine->ports), 0xb2, pm->apm, 0);
    return TRUE;
}

static void pm_reset(Device *dev)
{
    Piix4Pm *pm = (Piix4Pm *)dev;
    pci_device_reset(&pm->pci);
    st16le(pm->pci.config + PCI_STATUS, 0x0280);
    st32le(pm->pci.config + PMBA, 1);
    memset(pm->pci.config + 0x50, 0, 0x20);
    pm->pci.config[PMREGMISC] = 0;
    pm->pci.config[0x63] = 0x60; /* both serial ports and the parallel port are there: SeaBIOS reads it */
    pm->pci.config[0x67] = 0x98;
    /* What woke the machine can be read after it (section 4.8.3.1.1, WAK_STS). */
    pm->status = dev->machine->waking ? (pm->status & (STS_POWER | STS_RTC)) | STS_WAKE : 0;
    pm->enable = pm->control = 0;
    pm->asleep = false;
    pm->apm_command = pm->apm_status = 0;
    pm->overflow_at = (pm_ticks(pm) | 0x7fffff) + 1;
    update_mapping(pm);
    update_sci(pm);
}

static void pm_destroy(Device *dev)
{
    Piix4Pm *pm = (Piix4Pm *)dev;
    timer_free(pm->timer);
    if (pm->mapped)
        region_remove(pm->io);
    region_remove(pm->apm);
    region_free(pm->io);
    region_free(pm->apm);
    pci_device_exit(&pm->pci);
}

/* A timer's overflow that nobody has asked for yet is in the status that is saved. */
static void pm_pre_save(Device *dev) { update_timer_status((Piix4Pm *)dev); }

static gboolean pm_post_load(Device *dev, GError **err)
{
    Piix4Pm *pm = (Piix4Pm *)dev;
    (void)err;
    pci_device_restored(&pm->pci);
    update_mapping(pm);
    update_sci(pm);
    return TRUE;
}

static const StateField pm_state[] = {
    STATE_STRUCT(Piix4Pm, pci, pci_device_state), STATE_U16(Piix4Pm, status), STATE_U16(Piix4Pm, enable),
    STATE_U16(Piix4Pm, control), STATE_U8(Piix4Pm, apm_command), STATE_U8(Piix4Pm, apm_status),
    STATE_BOOL(Piix4Pm, asleep), STATE_U64(Piix4Pm, overflow_at), STATE_END
};

static const Property pm_properties[] = { PCI_ADDR_PROPERTY(Piix4Pm), PROPERTY_END };

const DeviceType piix4_pm_type = {
    .name = "PIIX4_PM", .description = "Intel 82371AB power management", .bus = "system", .size = sizeof(Piix4Pm),
    .properties = pm_properties, .create = pm_create, .reset = pm_reset, .destroy = pm_destroy, .state = pm_state,
    .pre_save = pm_pre_save, .post_load = pm_post_load,
};
