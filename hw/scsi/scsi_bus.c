/* The SCSI bus: places of logical units, how commands reach them and end; targets' own answers (scsi.h). */
#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/scsi/scsi_private.h"
#include "util/bits.h"
#include "util/endian.h"

struct ScsiBus {
    char *name;          /* "scsi0.0" */
    Machine *machine;
    GPtrArray *devices;  /* ScsiDevice *, by target and logical unit */
    ScsiEventFn *event;
    void *opaque;
};

#define FIRST_BUS "scsi"

static char *slot_of(const char *name) { return g_strconcat("scsi:", name, NULL); }

ScsiBus *scsi_bus_new(Device *adapter, ScsiEventFn *event, void *opaque)
{
    ScsiBus *bus = g_new0(ScsiBus, 1);
    bus->machine = adapter->machine;
    bus->name = g_strconcat(adapter->id, ".0", NULL);
    bus->devices = g_ptr_array_new();
    bus->event = event;
    bus->opaque = opaque;
    g_autofree char *slot = slot_of(bus->name);
    machine_provide(bus->machine, slot, bus);
    if (!machine_find(bus->machine, FIRST_BUS))
        machine_provide(bus->machine, FIRST_BUS, bus);
    return bus;
}

void scsi_bus_free(ScsiBus *bus)
{
    g_autofree char *slot = slot_of(bus->name);
    machine_provide(bus->machine, slot, NULL);
    if (machine_find(bus->machine, FIRST_BUS) == bus)
        machine_provide(bus->machine, FIRST_BUS, NULL);
    for (unsigned k = 0; k < bus->devices->len; k++)
        ((ScsiDevice *)bus->devices->pdata[k])->bus = NULL;
    g_ptr_array_unref(bus->devices);
    g_free(bus->name);
    g_free(bus);
}

void scsi_bus_hide(ScsiBus *bus)
{
    if (machine_find(bus->machine, FIRST_BUS) == bus)
        machine_provide(bus->machine, FIRST_BUS, NULL);
}

/* ---- places ---- */

static ScsiDevice *find(const ScsiBus *bus, unsigned target, unsigned lun)
{
    for (unsigned k = 0; k < bus->devices->len; k++) {
        ScsiDevice *d = bus->devices->pdata[k];
        if (d->id == target && d->lun == lun)
            return d;
    }
    return NULL;
}

bool scsi_bus_has_lun(const ScsiBus *bus, unsigned target, unsigned lun) { return find(bus, target, lun); }

bool scsi_bus_has_target(const ScsiBus *bus, unsigned target)
{
    for (unsigned k = 0; k < bus->devices->len; k++)
        if (((ScsiDevice *)bus->devices->pdata[k])->id == target)
            return true;
    return false;
}

static ScsiBus *find_bus(const ScsiDevice *d, GError **err)
{
    g_autofree char *slot = d->bus_name ? slot_of(d->bus_name) : g_strdup(FIRST_BUS);
    ScsiBus *bus = machine_find(d->dev.machine, slot);

    if (!bus && d->bus_name)
        error_set(err, "device '%s': there is no SCSI bus '%s'; a bus is named by its adapter's id, and '.0'",
                  d->dev.id, d->bus_name);
    else if (!bus)
        error_set(err, "device '%s' (%s) needs a SCSI adapter before it, such as -device virtio-scsi-pci", d->dev.id,
                  d->dev.type->name);
    return bus;
}

static gint compare(gconstpointer a, gconstpointer b)
{
    const ScsiDevice *x = *(ScsiDevice *const *)a, *y = *(ScsiDevice *const *)b;
    return x->id != y->id ? (x->id < y->id ? -1 : 1) : (int)x->lun - (int)y->lun;
}

gboolean scsi_bus_attach(ScsiDevice *d, GError **err)
{
    ScsiBus *bus = find_bus(d, err);

    if (!bus)
        return FALSE;
    if (d->lun == UINT32_MAX)
        d->lun = 0;
    for (unsigned t = 0; d->id == UINT32_MAX && t < SCSI_TARGETS_MAX; t++)
        if (!find(bus, t, d->lun))
            d->id = t;
    if (d->channel || d->id >= SCSI_TARGETS_MAX || d->lun >= SCSI_LUNS_MAX)
        return error_set(err, "device '%s': channel is 0, scsi-id 0 to %u, lun 0 to %u", d->dev.id,
                         SCSI_TARGETS_MAX - 1, SCSI_LUNS_MAX - 1);
    if (find(bus, d->id, d->lun))
        return error_set(err, "device '%s': scsi-id %u, lun %u of bus '%s' is taken by '%s'", d->dev.id, d->id, d->lun,
                         bus->name, find(bus, d->id, d->lun)->dev.id);
    d->bus = bus;
    g_ptr_array_add(bus->devices, d);
    g_ptr_array_sort(bus->devices, compare);
    return TRUE;
}

void scsi_bus_detach(ScsiDevice *d)
{
    if (d->bus)
        g_ptr_array_remove(d->bus->devices, d);
    d->bus = NULL;
}

void scsi_bus_drain(ScsiBus *bus)
{
    for (unsigned k = 0; k < bus->devices->len; k++)
        block_drain(((ScsiDevice *)bus->devices->pdata[k])->drive);
}

void scsi_bus_reset(ScsiBus *bus, unsigned target, unsigned lun)
{
    for (unsigned k = 0; k < bus->devices->len; k++) {
        ScsiDevice *d = bus->devices->pdata[k];
        if ((target == UINT_MAX || d->id == target) && (lun == UINT_MAX || d->lun == lun))
            scsi_device_reset(d);
    }
}

void scsi_tell_event(const ScsiDevice *d, uint8_t asc, uint8_t ascq)
{
    if (d->bus)
        d->bus->event(d->bus->opaque, d->id, d->lun, asc, ascq);
}

/* ---- how a command ends ---- */

void scsi_end(ScsiRequest *r) { r->done(r); }

/* Fixed format (SPC-4 4.5.3). */
void scsi_sense_fill(uint8_t *out, ScsiSense sense)
{
    memset(out, 0, SCSI_SENSE_SIZE);
    out[0] = 0x70;
    out[2] = sense.key;
    out[7] = SCSI_SENSE_SIZE - 8;
    out[12] = sense.asc;
    out[13] = sense.ascq;
}

void scsi_fail(ScsiRequest *r, ScsiSense sense)
{
    r->status = SCSI_CHECK_CONDITION;
    scsi_sense_fill(r->sense, sense);
    scsi_end(r);
}

void scsi_fail_errno(ScsiRequest *r, int status, bool write)
{
    if (status == -ENXIO)
        scsi_fail(r, SENSE_NO_MEDIUM);
    else if (status == -EROFS)
        scsi_fail(r, SENSE_WRITE_PROTECTED);
    else if (status == -ENOSPC)
        scsi_fail(r, SENSE_SPACE_FAILED);
    else
        scsi_fail(r, write ? SENSE_WRITE_ERROR : SENSE_READ_ERROR);
}

void scsi_reply(ScsiRequest *r, const void *data, uint64_t size, uint64_t allowed)
{
    r->transferred = dma_from_buffer(r->in, r->in_offset, data, MIN(size, allowed));
    scsi_end(r);
}

uint64_t scsi_parameters(const ScsiRequest *r, void *buf, uint64_t size)
{
    return dma_to_buffer(r->out, r->out_offset, buf, size);
}

uint64_t scsi_out_size(const ScsiRequest *r) { return r->out->size - r->out_offset; }

void scsi_request_clear(ScsiRequest *r)
{
    g_free(r->scratch);
    r->scratch = NULL;
    dma_slice_free(&r->slice);
}

/* ---- targets ---- */

/* REPORT LUNS (SPC-4 6.33), by any logical unit, or none. */
static void report_luns(ScsiBus *bus, unsigned target, ScsiRequest *r)
{
    g_autoptr(GByteArray) list = g_byte_array_new();
    uint8_t entry[8] = { 0 };

    g_byte_array_append(list, entry, sizeof entry);
    for (unsigned k = 0; k < bus->devices->len; k++) {
        const ScsiDevice *d = bus->devices->pdata[k];
        if (d->id != target)
            continue;
        st16be(entry, d->lun < 256 ? d->lun : 0x4000 | d->lun); /* peripheral or flat addressing (SAM-5 4.7) */
        g_byte_array_append(list, entry, sizeof entry);
    }
    st32be(list->data, list->len - sizeof entry);
    scsi_reply(r, list->data, list->len, ld32be(r->cdb + 6));
}

enum { REQUEST_SENSE = 0x03, INQUIRY = 0x12, REPORT_LUNS = 0xa0 };

/* What a target says of a logical unit that it does not have (SPC-4 6.6.2). */
static void absent(ScsiRequest *r)
{
    uint8_t answer[36] = { 0 };

    switch (r->cdb[0]) {
    case INQUIRY:
        answer[0] = 0x7f;
        answer[2] = 5;
        answer[3] = 2;
        answer[4] = sizeof answer - 5;
        scsi_reply(r, answer, sizeof answer, ld16be(r->cdb + 3));
        break;
    case REQUEST_SENSE:
        scsi_sense_fill(answer, SENSE_NO_LUN);
        scsi_reply(r, answer, SCSI_SENSE_SIZE, r->cdb[4]);
        break;
    default: scsi_fail(r, SENSE_NO_LUN); break;
    }
}

void scsi_submit(ScsiBus *bus, unsigned target, unsigned lun, ScsiRequest *r)
{
    r->device = find(bus, target, lun);
    r->status = SCSI_GOOD;
    r->overrun = false;
    r->transferred = 0;
    if (r->cdb[0] == REPORT_LUNS)
        report_luns(bus, target, r);
    else if (r->device)
        scsi_execute(r);
    else
        absent(r);
}
