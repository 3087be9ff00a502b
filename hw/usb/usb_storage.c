/*
 * A USB stick or drive: SCSI commands in wrappers, over two bulk endpoints (Mass Storage Class, Bulk-Only Transport 1.0).
 *
 * The data of a command is gathered in a buffer, as hosts cut it into packets in their own way; the logical unit, a
 * scsi-hd or scsi-cd, then has it in one piece.  While it works, packets get NAK.
 */
#include "hw/usb/usb_storage.h"

#include <string.h>

#include "backends/block/block.h"
#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/scsi/scsi.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/endian.h"

enum { COMMAND_SIZE = 31, STATUS_SIZE = 13, CDB_MAX = 16, COMMAND_SIGNATURE = 0x43425355, STATUS_SIGNATURE = 0x53425355,
       FLAG_IN = 0x80 };
enum { BUFFER_SIZE = 2 << 20 /* of a command's data */, REQUEST_SENSE = 0x03 };
enum { PASSED = 0, FAILED = 1, PHASE_ERROR = 2 };
enum { GET_MAX_LUN = 0xa1fe, RESET_TRANSPORT = 0x21ff };
enum { ENDPOINT_IN = 0x81, ENDPOINT_OUT = 0x01 };

/* What is expected next; BROKEN: a reset, after a command that is none (6.6.1). */
typedef enum Phase { PHASE_COMMAND, PHASE_DATA_IN, PHASE_DATA_OUT, PHASE_STATUS, PHASE_BROKEN } Phase;

typedef struct UsbStorage {
    UsbDevice usb;
    ScsiBus *scsi;
    ScsiRequest request;
    DmaList in, out;
    char *drive;                     /* properties */
    bool removable;
    char *unit;                      /* id of the logical unit */
    bool running;                    /* it has the request */
    /* state */
    uint8_t phase, status, lun, cdb[CDB_MAX];
    uint32_t tag, length, at, filled; /* bytes that the host expects; moved; in the buffer */
    uint8_t sense[SCSI_SENSE_SIZE];
    bool has_sense;                  /* of the command before, for REQUEST SENSE */
    uint8_t *buffer;
} UsbStorage;

/* ---- commands ---- */

static void command_ended(UsbStorage *s, unsigned status, uint32_t moved)
{
    s->running = false;
    s->status = status;
    s->filled = MIN(moved, s->length);
    usb_ready(&s->usb, ENDPOINT_IN);
}

static void request_done(ScsiRequest *r)
{
    UsbStorage *s = (UsbStorage *)((uint8_t *)r - offsetof(UsbStorage, request));
    s->has_sense = r->status == SCSI_CHECK_CONDITION;
    if (s->has_sense)
        memcpy(s->sense, r->sense, sizeof s->sense);
    command_ended(s, r->overrun ? PHASE_ERROR : r->status == SCSI_GOOD ? PASSED : FAILED, r->transferred);
}

/* The transport carries no sense data: it is what the next REQUEST SENSE is answered with. */
static void answer_sense(UsbStorage *s)
{
    unsigned size = MIN(s->cdb[4], SCSI_SENSE_SIZE);
    memcpy(s->buffer, s->sense, size);
    s->has_sense = false;
    command_ended(s, PASSED, size);
}

static void command_run(UsbStorage *s)
{
    bool in = s->phase == PHASE_DATA_IN;
    s->running = true;
    if (s->cdb[0] == REQUEST_SENSE && s->has_sense && in) {
        answer_sense(s);
        return;
    }
    dma_reset(&s->in);
    dma_reset(&s->out);
    dma_add_buffer(in ? &s->in : &s->out, s->buffer, s->length);
    memset(s->request.cdb, 0, sizeof s->request.cdb);
    memcpy(s->request.cdb, s->cdb, CDB_MAX);
    s->request.in = &s->in;
    s->request.out = &s->out;
    s->request.in_offset = s->request.out_offset = 0;
    s->request.done = request_done;
    scsi_submit(s->scsi, 0, s->lun, &s->request);
}

/* More than is taken. */
static void command_refuse(UsbStorage *s)
{
    log_guest_error("%s: a command with %u bytes of data; at most %u are moved", s->usb.dev.id, s->length, BUFFER_SIZE);
    s->phase = PHASE_BROKEN;
    s->length = 0;
}

/* The command block wrapper (5.1). */
static void command_take(UsbStorage *s, UsbPacket *p)
{
    uint8_t b[COMMAND_SIZE];
    bool whole = p->data.size == COMMAND_SIZE && usb_packet_get(p, b, sizeof b) == COMMAND_SIZE;
    if (!whole || ld32le(b) != COMMAND_SIGNATURE || b[13] > 15 || !b[14] || b[14] > CDB_MAX) {
        log_guest_error("%s: a command of %u bytes that is none", s->usb.dev.id, (unsigned)p->data.size);
        s->phase = PHASE_BROKEN;
        p->status = USB_STALL;
        return;
    }
    s->tag = ld32le(b + 4);
    s->length = ld32le(b + 8);
    s->lun = b[13];
    s->at = s->filled = 0;
    memset(s->cdb, 0, sizeof s->cdb);
    memcpy(s->cdb, b + 15, b[14]);
    s->phase = !s->length ? PHASE_STATUS : b[12] & FLAG_IN ? PHASE_DATA_IN : PHASE_DATA_OUT;
    if (s->length > BUFFER_SIZE)
        command_refuse(s);
    else if (s->phase != PHASE_DATA_OUT)
        command_run(s);
    usb_ready(&s->usb, ENDPOINT_IN);
}

/* ---- packets ---- */

static void data_take(UsbStorage *s, UsbPacket *p)
{
    s->at += usb_packet_get(p, s->buffer + s->at, s->length - s->at);
    if (s->at < s->length)
        return;
    s->phase = PHASE_STATUS;
    command_run(s);
}

/* What the command has less than the host expects is filled up with zeros (6.7.2). */
static void data_give(UsbStorage *s, UsbPacket *p)
{
    if (!s->at)
        memset(s->buffer + s->filled, 0, s->length - s->filled);
    s->at += usb_packet_put(p, s->buffer + s->at, s->length - s->at);
    if (s->at == s->length)
        s->phase = PHASE_STATUS;
}

/* The command status wrapper (5.2). */
static void status_give(UsbStorage *s, UsbPacket *p)
{
    uint8_t b[STATUS_SIZE];
    st32le(b, STATUS_SIGNATURE);
    st32le(b + 4, s->tag);
    st32le(b + 8, s->length - s->filled);
    b[12] = s->status;
    usb_packet_put(p, b, sizeof b);
    s->phase = PHASE_COMMAND;
    usb_ready(&s->usb, ENDPOINT_OUT);
}

static void storage_out(UsbStorage *s, UsbPacket *p)
{
    if (s->phase == PHASE_BROKEN)
        p->status = USB_STALL;
    else if (s->phase == PHASE_COMMAND && !s->running)
        command_take(s, p);
    else if (s->phase == PHASE_DATA_OUT)
        data_take(s, p);
    else
        p->status = USB_NAK;
}

static void storage_in(UsbStorage *s, UsbPacket *p)
{
    if (s->phase == PHASE_BROKEN)
        p->status = USB_STALL;
    else if (s->phase == PHASE_DATA_IN && !s->running)
        data_give(s, p);
    else if (s->phase == PHASE_STATUS && !s->running)
        status_give(s, p);
    else
        p->status = USB_NAK;
}

static void storage_transfer(UsbDevice *d, UsbPacket *p)
{
    if (p->pid == USB_IN)
        storage_in((UsbStorage *)d, p);
    else
        storage_out((UsbStorage *)d, p);
}

static void drain(UsbStorage *s)
{
    if (s->running)
        scsi_bus_drain(s->scsi);
}

static void transport_reset(UsbStorage *s)
{
    drain(s);
    s->phase = PHASE_COMMAND;
    s->length = s->at = s->filled = 0;
    s->has_sense = false;
}

static int storage_control(UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    UsbStorage *s = (UsbStorage *)d;
    switch (r->type << 8 | r->request) {
    case GET_MAX_LUN: data[0] = 0; return 1;
    case RESET_TRANSPORT: transport_reset(s); return 0;
    default: return -1;
    }
}

static void storage_bus_reset(UsbDevice *d) { transport_reset((UsbStorage *)d); }

/* ---- descriptors ---- */

enum { CLASS_STORAGE = 8, SUBCLASS_SCSI = 6, PROTOCOL_BULK_ONLY = 0x50 };

#define BULK(bytes, burst)                                                                                             \
    {                                                                                                                  \
        { .address = ENDPOINT_IN, .attributes = USB_BULK, .max_packet = bytes, .max_burst = burst },                   \
        { .address = ENDPOINT_OUT, .attributes = USB_BULK, .max_packet = bytes, .max_burst = burst },                  \
    }
#define STORAGE_SPEED(name, usb_version, packet0, bytes, burst)                                                        \
    static const UsbEndpointDesc name##_endpoints[] = BULK(bytes, burst);                                              \
    static const UsbInterfaceDesc name##_interface = {                                                                 \
        .interface_class = CLASS_STORAGE, .subclass = SUBCLASS_SCSI, .protocol = PROTOCOL_BULK_ONLY,                   \
        .endpoints = name##_endpoints, .endpoint_count = 2,                                                            \
    };                                                                                                                 \
    static const UsbConfigurationDesc name##_configuration = {                                                         \
        .value = 1, .attributes = 0xc0, .interfaces = &name##_interface, .interface_count = 1,                         \
    };                                                                                                                 \
    static const UsbSpeedDesc name##_speed = {                                                                         \
        .version = usb_version, .max_packet0 = packet0, .configurations = &name##_configuration,                       \
        .configuration_count = 1,                                                                                      \
    }

STORAGE_SPEED(full, 0x0200, 64, 64, 0);
STORAGE_SPEED(high, 0x0200, 64, 512, 0);
STORAGE_SPEED(super, 0x0300, 512, 1024, 15);

static const char *const strings[] = { "", "Myna", "USB Storage", "000000000001", NULL };
static const UsbDesc storage_desc = {
    .vendor = 0x46f4, .product = 0x0001, .strings = strings,
    .speeds = { [USB_FULL] = &full_speed, [USB_HIGH] = &high_speed, [USB_SUPER] = &super_speed },
};
static const UsbType storage_usb = {
    .desc = &storage_desc, .control = storage_control, .transfer = storage_transfer, .reset = storage_bus_reset,
};

/* ---- life ---- */

static void scsi_event(void *opaque, unsigned target, unsigned lun, uint8_t asc, uint8_t ascq)
{
    (void)opaque, (void)target, (void)lun, (void)asc, (void)ascq; /* hosts ask: TEST UNIT READY */
}

/* The logical unit: a disk or CD drive, as the -drive is. */
static gboolean unit_create(UsbStorage *s, GError **err)
{
    Device *dev = &s->usb.dev;
    g_autofree char *bus = g_strconcat(dev->id, ".0", NULL);
    const BlockBackend *drive = block_find(dev->machine, s->drive);
    bool cd = drive && block_is_cdrom(drive);
    s->unit = g_strconcat(dev->id, "-unit", NULL);
    scsi_bus_hide(s->scsi);
    if (cd)
        return device_add(dev->machine, &scsi_cd_type, s->unit, err, "drive", s->drive, "bus", bus, NULL) != NULL;
    return device_add(dev->machine, &scsi_hd_type, s->unit, err, "drive", s->drive, "bus", bus, "removable",
                      s->removable ? "on" : "off", NULL) != NULL;
}

static void free_all(UsbStorage *s)
{
    scsi_bus_free(s->scsi);
    scsi_request_clear(&s->request);
    dma_clear(&s->in);
    dma_clear(&s->out);
    g_free(s->buffer);
    g_free(s->unit);
}

static gboolean storage_create(Device *dev, GError **err)
{
    UsbStorage *s = (UsbStorage *)dev;
    if (!s->drive)
        return error_set(err, "device '%s': needs drive=ID, of a -drive if=none,id=ID,...", dev->id);
    if (!s->usb.serial) /* at least 12 hexadecimal digits, others on each device (4.1.1) */
        s->usb.serial = g_strdup_printf("%012X", g_str_hash(dev->id));
    dma_init(&s->in, dev->machine->memory, true);
    dma_init(&s->out, dev->machine->memory, false);
    s->scsi = scsi_bus_new(dev, scsi_event, s);
    s->buffer = g_malloc0(BUFFER_SIZE);
    if (!unit_create(s, err)) {
        free_all(s);
        return FALSE;
    }
    if (!usb_device_init(&s->usb, &storage_usb, err)) {
        device_remove(device_find(dev->machine, s->unit));
        free_all(s);
        return FALSE;
    }
    return TRUE;
}

static void storage_reset(Device *dev) { usb_device_reset(&((UsbStorage *)dev)->usb); }

static void storage_destroy(Device *dev)
{
    UsbStorage *s = (UsbStorage *)dev;
    usb_device_exit(&s->usb);
    drain(s);
    free_all(s);
}

/* The end of a command may have the controller fetch the next. */
static void storage_pre_save(Device *dev)
{
    UsbStorage *s = (UsbStorage *)dev;
    enum { COMMANDS_MAX = 1000 };
    for (unsigned n = 0; s->running && n < COMMANDS_MAX; n++)
        drain(s);
}

static gboolean storage_post_load(Device *dev, GError **err)
{
    UsbStorage *s = (UsbStorage *)dev;
    s->running = false;
    if (s->phase > PHASE_BROKEN || s->at > s->length || s->filled > s->length || s->lun > 15 ||
        s->length > BUFFER_SIZE)
        return error_set(err, "%s: the saved state has a command that cannot be", dev->id);
    return usb_device_post_load(&s->usb, err);
}

static const Property storage_properties[] = {
    USB_PROPERTIES(UsbStorage),
    PROPERTY(UsbStorage, drive, "drive", PROP_STRING, 0, "the -drive that holds the data"),
    PROPERTY(UsbStorage, removable, "removable", PROP_BOOL, 0, "its medium can be taken out, as a card reader's"),
    PROPERTY(UsbStorage, usb.serial, "serial", PROP_STRING, 0, "serial number"),
    PROPERTY_END
};

static const StateField storage_state[] = {
    STATE_STRUCT(UsbStorage, usb, usb_device_state), STATE_U8(UsbStorage, phase), STATE_U8(UsbStorage, status),
    STATE_U8(UsbStorage, lun), STATE_BYTES(UsbStorage, cdb), STATE_U32(UsbStorage, tag), STATE_U32(UsbStorage, length),
    STATE_U32(UsbStorage, at), STATE_U32(UsbStorage, filled), STATE_BYTES(UsbStorage, sense),
    STATE_BOOL(UsbStorage, has_sense), STATE_VBUFFER(UsbStorage, buffer, length, BUFFER_SIZE), STATE_END
};

const DeviceType usb_storage_type = {
    .name = "usb-storage", .description = "USB stick, drive or CD drive", .bus = "usb", .size = sizeof(UsbStorage),
    .user = true, .properties = storage_properties, .create = storage_create, .reset = storage_reset,
    .destroy = storage_destroy, .state = storage_state, .pre_save = storage_pre_save, .post_load = storage_post_load,
};
