/* Logical units: disks and CD drives on a back end's drive; which command is done by what (scsi.h). */
#include <string.h>

#include "core/error.h"
#include "core/machine.h"
#include "hw/scsi/scsi_private.h"
#include "util/bits.h"
#include "util/endian.h"

/* ---- commands ---- */

enum { DISK = 1, CDROM = 2, BOTH = 3 };
enum {
    NEEDS_MEDIUM = 1,
    PASSES_ATTENTION = 2, /* done although something is to be reported (SAM-5 5.14, MMC-6 4.1.6.1) */
};

static void do_nothing(ScsiRequest *r) { scsi_end(r); }

/* What is to be reported, or nothing: failures came with the commands themselves. */
static void request_sense(ScsiRequest *r)
{
    ScsiDevice *d = r->device;
    uint8_t sense[SCSI_SENSE_SIZE];

    scsi_sense_fill(sense, d->attention ? (ScsiSense){ 0x6, d->attention_asc, d->attention_ascq } : SENSE_NO_SENSE);
    d->attention = false;
    scsi_reply(r, sense, sizeof sense, r->cdb[4]);
}

typedef struct Command {
    uint8_t opcode, kinds, flags;
    void (*execute)(ScsiRequest *r);
} Command;

static const Command commands[] = {
    { 0x00, BOTH, NEEDS_MEDIUM, do_nothing }, /* TEST UNIT READY */
    { 0x03, BOTH, PASSES_ATTENTION, request_sense },
    { 0x08, BOTH, NEEDS_MEDIUM, scsi_read }, /* READ(6) */
    { 0x0a, DISK, NEEDS_MEDIUM, scsi_write }, /* WRITE(6) */
    { 0x12, BOTH, PASSES_ATTENTION, scsi_inquiry },
    { 0x15, BOTH, 0, scsi_mode_select }, /* MODE SELECT(6) */
    { 0x16, BOTH, 0, do_nothing }, /* RESERVE(6): there is one initiator */
    { 0x17, BOTH, 0, do_nothing }, /* RELEASE(6) */
    { 0x1a, BOTH, 0, scsi_mode_sense }, /* MODE SENSE(6) */
    { 0x1b, BOTH, 0, scsi_start_stop },
    { 0x1d, BOTH, 0, do_nothing }, /* SEND DIAGNOSTIC: all is well */
    { 0x1e, BOTH, 0, scsi_prevent_removal },
    { 0x25, BOTH, NEEDS_MEDIUM, scsi_read_capacity_10 },
    { 0x28, BOTH, NEEDS_MEDIUM, scsi_read }, /* READ(10) */
    { 0x2a, DISK, NEEDS_MEDIUM, scsi_write }, /* WRITE(10) */
    { 0x2b, BOTH, NEEDS_MEDIUM, scsi_verify }, /* SEEK(10) */
    { 0x2e, DISK, NEEDS_MEDIUM, scsi_write }, /* WRITE AND VERIFY(10) */
    { 0x2f, BOTH, NEEDS_MEDIUM, scsi_verify }, /* VERIFY(10) */
    { 0x35, BOTH, NEEDS_MEDIUM, scsi_synchronize }, /* SYNCHRONIZE CACHE(10) */
    { 0x41, DISK, NEEDS_MEDIUM, scsi_write_same }, /* WRITE SAME(10) */
    { 0x42, DISK, NEEDS_MEDIUM, scsi_unmap },
    { 0x43, CDROM, NEEDS_MEDIUM, scsi_read_toc },
    { 0x46, CDROM, PASSES_ATTENTION, scsi_get_configuration },
    { 0x4a, CDROM, PASSES_ATTENTION, scsi_get_event_status },
    { 0x51, CDROM, NEEDS_MEDIUM, scsi_read_disc_information },
    { 0x55, BOTH, 0, scsi_mode_select }, /* MODE SELECT(10) */
    { 0x5a, BOTH, 0, scsi_mode_sense }, /* MODE SENSE(10) */
    { 0x88, BOTH, NEEDS_MEDIUM, scsi_read }, /* READ(16) */
    { 0x8a, DISK, NEEDS_MEDIUM, scsi_write }, /* WRITE(16) */
    { 0x8e, DISK, NEEDS_MEDIUM, scsi_write }, /* WRITE AND VERIFY(16) */
    { 0x8f, BOTH, NEEDS_MEDIUM, scsi_verify }, /* VERIFY(16) */
    { 0x91, BOTH, NEEDS_MEDIUM, scsi_synchronize }, /* SYNCHRONIZE CACHE(16) */
    { 0x93, DISK, NEEDS_MEDIUM, scsi_write_same }, /* WRITE SAME(16) */
    { 0x9e, BOTH, NEEDS_MEDIUM, scsi_service_action_in },
    { 0xa8, BOTH, NEEDS_MEDIUM, scsi_read }, /* READ(12) */
    { 0xaa, DISK, NEEDS_MEDIUM, scsi_write }, /* WRITE(12) */
    { 0xae, DISK, NEEDS_MEDIUM, scsi_write }, /* WRITE AND VERIFY(12) */
    { 0xaf, BOTH, NEEDS_MEDIUM, scsi_verify }, /* VERIFY(12) */
    { 0xbb, CDROM, 0, do_nothing }, /* SET CD SPEED */
    { 0xbd, CDROM, 0, scsi_mechanism_status },
    { 0xbe, CDROM, NEEDS_MEDIUM, scsi_read_cd },
};

static const Command *find_command(const ScsiDevice *d, uint8_t opcode)
{
    for (unsigned k = 0; k < ARRAY_SIZE(commands); k++)
        if (commands[k].opcode == opcode && commands[k].kinds & (d->cdrom ? CDROM : DISK))
            return &commands[k];
    return NULL;
}

void scsi_execute(ScsiRequest *r)
{
    ScsiDevice *d = r->device;
    const Command *c = find_command(d, r->cdb[0]);

    if (d->attention && !(c && c->flags & PASSES_ATTENTION)) {
        d->attention = false;
        scsi_fail(r, (ScsiSense){ 0x6, d->attention_asc, d->attention_ascq });
    } else if (!c) {
        scsi_fail(r, SENSE_INVALID_OPCODE);
    } else if (c->flags & NEEDS_MEDIUM && !scsi_has_medium(d)) {
        scsi_fail(r, d->tray_open ? SENSE_TRAY_OPEN : SENSE_NO_MEDIUM);
    } else if (c->flags & NEEDS_MEDIUM && d->stopped) {
        scsi_fail(r, SENSE_STOPPED);
    } else {
        c->execute(r);
    }
}

/* ---- state ---- */

bool scsi_has_medium(const ScsiDevice *d) { return block_inserted(d->drive) && !d->tray_open; }

uint64_t scsi_blocks(const ScsiDevice *d) { return block_size(d->drive) / d->logical; }

void scsi_attention(ScsiDevice *d, uint8_t asc, uint8_t ascq)
{
    d->attention = true;
    d->attention_asc = asc;
    d->attention_ascq = ascq;
}

void scsi_device_reset(ScsiDevice *d)
{
    scsi_attention(d, ASC_POWER_ON, 0);
    d->stopped = d->locked = false;
    d->media_event = 0;
    block_set_locked(d->drive, false);
    block_set_write_cache(d->drive, d->cache_at_reset);
}

enum { EVENT_EJECT_WANTED = 1, EVENT_NEW_MEDIUM = 2, EVENT_REMOVED = 3 };

static void medium_changed(void *opaque)
{
    ScsiDevice *d = opaque;
    d->tray_open = block_tray_open(d->drive);
    d->media_event = block_inserted(d->drive) ? EVENT_NEW_MEDIUM : EVENT_REMOVED;
    scsi_attention(d, ASC_MEDIUM_CHANGED, 0);
    scsi_tell_event(d, ASC_MEDIUM_CHANGED, 0);
}

/* A locked door is the guest's: it is asked to open it. */
static void eject_wanted(void *opaque, bool force)
{
    ScsiDevice *d = opaque;
    if (d->locked && !force) {
        d->media_event = EVENT_EJECT_WANTED;
        return;
    }
    d->tray_open = true;
    block_set_tray(d->drive, true);
}

static void resized(void *opaque)
{
    ScsiDevice *d = opaque;
    scsi_attention(d, ASC_PARAMETERS_CHANGED, ASCQ_CAPACITY_CHANGED);
    scsi_tell_event(d, ASC_PARAMETERS_CHANGED, ASCQ_CAPACITY_CHANGED);
}

static const BlockUser disk_user = { .resized = resized };
static const BlockUser cd_user = { .removable = true, .medium_changed = medium_changed, .eject_wanted = eject_wanted };

/* ---- life ---- */

static gboolean check(const ScsiDevice *d, GError **err)
{
    const char *id = d->dev.id;

    if (!d->drive)
        return error_set(err, "device '%s': needs drive=ID, of a -drive if=none,id=ID,...", id);
    if (!d->cdrom && !block_inserted(d->drive))
        return error_set(err, "device '%s': drive '%s' has no image, which a disk needs", id, block_id(d->drive));
    if (!is_power_of_2(d->logical) || !is_power_of_2(d->physical) || d->physical < d->logical)
        return error_set(err, "device '%s': block sizes are powers of 2, the physical one at least the logical one", id);
    return TRUE;
}

static gboolean create(Device *dev, GError **err)
{
    ScsiDevice *d = (ScsiDevice *)dev;

    if (!check(d, err) || !scsi_bus_attach(d, err))
        return FALSE;
    if (!block_attach(d->drive, dev->id, d->cdrom ? &cd_user : &disk_user, d, err)) {
        scsi_bus_detach(d);
        return FALSE;
    }
    d->cache_at_reset = block_write_cache(d->drive);
    return TRUE;
}

static gboolean hd_create(Device *dev, GError **err) { return create(dev, err); }

static gboolean cd_create(Device *dev, GError **err)
{
    ScsiDevice *d = (ScsiDevice *)dev;
    d->cdrom = true;
    d->logical = d->physical = 2048;
    return create(dev, err);
}

/* Before or after its adapter's reset, which waits for its transfers. */
static void reset(Device *dev)
{
    ScsiDevice *d = (ScsiDevice *)dev;
    block_drain(d->drive);
    scsi_device_reset(d);
    d->tray_open = false;
    block_set_tray(d->drive, false);
}

static void destroy(Device *dev)
{
    ScsiDevice *d = (ScsiDevice *)dev;
    block_drain(d->drive);
    block_detach(d->drive);
    scsi_bus_detach(d);
}

static void pre_save(Device *dev)
{
    ScsiDevice *d = (ScsiDevice *)dev;
    block_drain(d->drive);
    d->writeback = block_write_cache(d->drive);
}

static gboolean post_load(Device *dev, GError **err)
{
    ScsiDevice *d = (ScsiDevice *)dev;
    (void)err;
    block_set_write_cache(d->drive, d->writeback);
    block_set_locked(d->drive, d->locked);
    block_set_tray(d->drive, d->tray_open);
    return TRUE;
}

#define COMMON_PROPERTIES                                                                                              \
    PROPERTY(ScsiDevice, drive, "drive", PROP_DRIVE, 0, "the -drive that holds the data"),                             \
    PROPERTY(ScsiDevice, bus_name, "bus", PROP_STRING, 0, "an adapter's bus, ID.0; otherwise the first one"),          \
    PROPERTY(ScsiDevice, channel, "channel", PROP_U32, 0, "0"),                                                        \
    PROPERTY(ScsiDevice, id, "scsi-id", PROP_U32, UINT32_MAX, "target; otherwise one that is free"),                   \
    PROPERTY(ScsiDevice, lun, "lun", PROP_U32, UINT32_MAX, "logical unit of the target; otherwise 0"),                 \
    PROPERTY(ScsiDevice, serial, "serial", PROP_STRING, 0, "serial number, at most 36 characters"),                    \
    PROPERTY(ScsiDevice, vendor, "vendor", PROP_STRING, 0, "vendor, at most 8 characters"),                            \
    PROPERTY(ScsiDevice, product, "product", PROP_STRING, 0, "product, at most 16 characters"),                        \
    PROPERTY(ScsiDevice, version, "ver", PROP_STRING, 0, "version, at most 4 characters"),                             \
    PROPERTY(ScsiDevice, wwn, "wwn", PROP_U64, 0, "world-wide name; 0: none")

static const Property hd_properties[] = {
    COMMON_PROPERTIES,
    PROPERTY(ScsiDevice, removable, "removable", PROP_BOOL, 0, "the medium can be taken out"),
    PROPERTY(ScsiDevice, rotation_rate, "rotation_rate", PROP_U16, 0, "a minute; 1: does not rotate; 0: not said"),
    { .name = "logical_block_size", .type = PROP_U32, .offset = offsetof(ScsiDevice, logical), .initial = 512,
      .min = 512, .max = 32768, .help = "bytes" },
    { .name = "physical_block_size", .type = PROP_U32, .offset = offsetof(ScsiDevice, physical), .initial = 512,
      .min = 512, .max = 32768, .help = "bytes" },
    PROPERTY_END
};

static const Property cd_properties[] = { COMMON_PROPERTIES, PROPERTY_END };

static const StateField scsi_state[] = {
    STATE_BOOL(ScsiDevice, attention), STATE_U8(ScsiDevice, attention_asc), STATE_U8(ScsiDevice, attention_ascq),
    STATE_BOOL(ScsiDevice, locked), STATE_BOOL(ScsiDevice, tray_open), STATE_BOOL(ScsiDevice, stopped),
    STATE_U8(ScsiDevice, media_event), STATE_BOOL(ScsiDevice, writeback), STATE_END
};

#define SCSI_TYPE(variable, name_, description_, properties_, create_)                                                 \
    const DeviceType variable = {                                                                                      \
        .name = name_, .description = description_, .bus = "scsi", .size = sizeof(ScsiDevice), .user = true,           \
        .properties = properties_, .create = create_, .reset = reset, .destroy = destroy, .state = scsi_state,         \
        .pre_save = pre_save, .post_load = post_load,                                                                  \
    }

SCSI_TYPE(scsi_hd_type, "scsi-hd", "SCSI disk", hd_properties, hd_create);
SCSI_TYPE(scsi_cd_type, "scsi-cd", "SCSI CD-ROM", cd_properties, cd_create);
