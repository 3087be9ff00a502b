/* Registers, drives and media of the floppy controller (82077AA datasheet, section 2: PC AT mode, no SRA and SRB). */
#include "hw/block/fdc.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/block/fdc_internal.h"
#include "hw/isa/isa_device.h"
#include "util/bits.h"

enum { PORT_LOW = 0x3f0, PORTS_LOW = 6, PORT_HIGH = 0x3f7 };
enum { REG_DOR = 2, REG_TAPE = 3, REG_STATUS = 4, REG_DATA = 5 };
enum { DSR_RESET = 0x80, DIR_CHANGED = 0x80, CONFIG_DEFAULT = 0x20 /* no FIFO */ };
enum { TYPE_120 = 2, TYPE_144 = 4, TYPE_288 = 5, LAST_CYLINDER = 84 };
enum { RATE_500 = 1, RATE_300 = 2, RATE_250 = 4, RATE_1000 = 8, DOUBLE_DENSITY = RATE_300 | RATE_250 };

/* ---- media ---- */

/* PC formats, and the large ones of 1.44 MB disks; in the order of their sizes. */
static const FloppyFormat formats[] = {
    { 320, 40, 1, 8, DOUBLE_DENSITY, TYPE_120 },   /* 160 KB */
    { 360, 40, 1, 9, DOUBLE_DENSITY, TYPE_120 },   /* 180 KB */
    { 640, 40, 2, 8, DOUBLE_DENSITY, TYPE_120 },   /* 320 KB */
    { 720, 40, 2, 9, DOUBLE_DENSITY, TYPE_120 },   /* 360 KB */
    { 1440, 80, 2, 9, DOUBLE_DENSITY, TYPE_144 },  /* 720 KB */
    { 2400, 80, 2, 15, RATE_500, TYPE_120 },       /* 1.2 MB */
    { 2880, 80, 2, 18, RATE_500, TYPE_144 },       /* 1.44 MB */
    { 3360, 80, 2, 21, RATE_500, TYPE_144 },       /* 1.68 MB */
    { 3444, 82, 2, 21, RATE_500, TYPE_144 },       /* 1.72 MB */
    { 5760, 80, 2, 36, RATE_1000, TYPE_288 },      /* 2.88 MB */
};

/* The format of just that size; otherwise the 1.44 or 2.88 MB disk that begins with the image. */
static const FloppyFormat *format_of(uint64_t bytes)
{
    const FloppyFormat *larger = NULL;

    for (unsigned n = 0; n < ARRAY_SIZE(formats); n++) {
        uint64_t size = (uint64_t)formats[n].sectors * FDC_SECTOR;
        if (size == bytes)
            return &formats[n];
        if (!larger && size > bytes && formats[n].sectors >= 2880)
            larger = &formats[n];
    }
    return larger;
}

/* 3.5 inch drives read what was made for smaller capacities; a 5.25 inch disk does not fit into them. */
static bool fits(const FloppyFormat *f, unsigned type)
{
    return f && (f->drive == type || (f->drive == TYPE_144 && type == TYPE_288));
}

static void look_at_medium(FloppyDrive *d)
{
    const FloppyFormat *f = block_inserted(d->block) ? format_of(block_size(d->block)) : NULL;

    d->format = fits(f, d->type) ? f : NULL;
    if (block_inserted(d->block) && !d->format)
        log_user("drive '%s': its image is not a disk for this floppy drive: none of its formats has %" G_GUINT64_FORMAT
                 " bytes", block_id(d->block), block_size(d->block));
}

static void medium_changed(void *opaque)
{
    FloppyDrive *d = opaque;

    d->changed = true;
    look_at_medium(d);
}

/* The button is the drive's: no guest can lock it. */
static void eject_wanted(void *opaque, bool force)
{
    FloppyDrive *d = opaque;
    (void)force;

    block_set_tray(d->block, true);
}

static const BlockUser floppy_user = {
    .removable = true, .medium_changed = medium_changed, .eject_wanted = eject_wanted,
};

bool fdc_readable(const Fdc *s, const FloppyDrive *d)
{
    return d && d->format && d->format->rates >> s->rate & 1;
}

/* ---- drives ---- */

FloppyDrive *fdc_drive(Fdc *s, unsigned unit)
{
    return unit < FDC_DRIVES && s->drive[unit].block ? &s->drive[unit] : NULL;
}

void fdc_step(FloppyDrive *d, unsigned cylinder)
{
    if (cylinder != d->cylinder && d->format)
        d->changed = false;
    d->cylinder = MIN(cylinder, LAST_CYLINDER);
}

uint8_t fdc_drive_type(const Device *dev, unsigned unit)
{
    const Fdc *s = (const Fdc *)dev;
    return unit < FDC_DRIVES && s->drive[unit].block ? s->drive[unit].type : 0;
}

/* ---- interrupt ---- */

void fdc_update_irq(Fdc *s)
{
    irq_set(&s->bus->irq[FDC_IRQ], s->irq && s->dor & DOR_DMA);
}

void fdc_raise(Fdc *s)
{
    s->irq = true;
    fdc_update_irq(s);
}

/* ---- reset (section 4) ---- */

static void stop(Fdc *s)
{
    s->transfer = NULL;
    s->irq = false;
    s->polled = 0;
    memset(s->sense, 0, sizeof s->sense);
    if (s->bus->dma)
        isa_dma_request(s->bus->dma, FDC_DMA, 0);
    fdc_begin(s);
    fdc_update_irq(s);
}

/* LOCK keeps the FIFO's settings through resets by software. */
static void software_reset(Fdc *s)
{
    stop(s);
    if (!s->lock) {
        s->config = CONFIG_DEFAULT;
        s->precompensation_track = 0;
    }
    s->perpendicular = 0;
    s->polled = FDC_UNITS;
    fdc_raise(s);
}

/* ---- registers ---- */

static void write_dor(Fdc *s, uint8_t v)
{
    bool was = s->dor & DOR_RUN, is = v & DOR_RUN;

    s->dor = v;
    if (was && !is)
        stop(s);
    else if (!was && is)
        software_reset(s);
    fdc_update_irq(s);
}

static uint8_t read_status(const Fdc *s)
{
    bool non_dma = s->timing[1] & 1;

    if (!(s->dor & DOR_RUN))
        return 0;
    switch (s->phase) {
    case FDC_COMMAND: return MSR_REQUEST | (s->position ? MSR_BUSY : 0);
    case FDC_DATA_IN: return MSR_BUSY | (non_dma ? MSR_REQUEST | MSR_TO_HOST | MSR_NON_DMA : 0);
    case FDC_DATA_OUT: return MSR_BUSY | (non_dma ? MSR_REQUEST | MSR_NON_DMA : 0);
    case FDC_RESULT: return MSR_REQUEST | MSR_TO_HOST | MSR_BUSY;
    default: return MSR_BUSY;
    }
}

static uint8_t read_result(Fdc *s)
{
    uint8_t v = s->bytes[s->position++];

    s->irq = false;
    fdc_update_irq(s);
    if (s->position >= s->count)
        fdc_begin(s);
    return v;
}

static uint8_t read_data(Fdc *s)
{
    switch (s->phase) {
    case FDC_RESULT: return read_result(s);
    case FDC_DATA_IN: return fdc_read_data(s);
    default:
        log_guest_error("fdc: the data register has nothing to be read");
        return 0;
    }
}

static void write_data(Fdc *s, uint8_t v)
{
    if (!(s->dor & DOR_RUN))
        return;
    switch (s->phase) {
    case FDC_COMMAND: fdc_write_command(s, v); break;
    case FDC_DATA_OUT: fdc_write_data(s, v); break;
    default: log_guest_error("fdc: the data register takes nothing now"); break;
    }
}

static uint64_t low_read(void *opaque, uint64_t offset, unsigned size)
{
    Fdc *s = opaque;
    (void)size;

    switch (offset) {
    case REG_DOR: return s->dor;
    case REG_TAPE: return s->tape;
    case REG_STATUS: return read_status(s);
    case REG_DATA: return read_data(s);
    default: return 0xff;
    }
}

static void low_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    Fdc *s = opaque;
    (void)size;

    switch (offset) {
    case REG_DOR: write_dor(s, v); break;
    case REG_TAPE: s->tape = v & 3; break;
    case REG_STATUS:
        s->rate = v & 3;
        if (v & DSR_RESET && s->dor & DOR_RUN)
            software_reset(s);
        break;
    case REG_DATA: write_data(s, v); break;
    default: break;
    }
}

/* The disk change line is that of the drive which is selected. */
static uint64_t high_read(void *opaque, uint64_t offset, unsigned size)
{
    Fdc *s = opaque;
    const FloppyDrive *d = fdc_drive(s, s->dor & DOR_SELECT);
    (void)offset;
    (void)size;

    return d && (d->changed || !d->format) ? DIR_CHANGED : 0;
}

static void high_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    (void)offset;
    (void)size;
    ((Fdc *)opaque)->rate = v & 3;
}

static const RegionOps low_ops = { .read = low_read, .write = low_write, .min_size = 1, .max_size = 1 };
static const RegionOps high_ops = { .read = high_read, .write = high_write, .min_size = 1, .max_size = 1 };

/* ---- life ---- */

static gboolean take_type(Fdc *s, FloppyDrive *d, GError **err)
{
    static const struct {
        const char *name;
        uint8_t type;
    } types[] = { { "120", TYPE_120 }, { "144", TYPE_144 }, { "288", TYPE_288 } };
    const FloppyFormat *f = format_of(block_size(d->block));

    d->type = block_inserted(d->block) && f ? f->drive : TYPE_144;
    if (!d->type_name || !strcmp(d->type_name, "auto"))
        return TRUE;
    for (unsigned n = 0; n < ARRAY_SIZE(types); n++) {
        d->type = types[n].type;
        if (!strcmp(d->type_name, types[n].name))
            return TRUE;
    }
    return error_set(err, "device '%s': a drive's type is auto, 120, 144 or 288, not '%s'", s->dev.id, d->type_name);
}

static gboolean check_image(const FloppyDrive *d, GError **err)
{
    if (!block_inserted(d->block) || fits(format_of(block_size(d->block)), d->type))
        return TRUE;
    return error_set(err, "drive '%s': a floppy disk has at most 2949120 bytes, and a format of its drive, which %"
                     G_GUINT64_FORMAT " bytes are not", block_id(d->block), block_size(d->block));
}

static void drives_detach(Fdc *s)
{
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        if (s->drive[n].block && block_user(s->drive[n].block) && !strcmp(block_user(s->drive[n].block), s->dev.id))
            block_detach(s->drive[n].block);
}

static gboolean drives_attach(Fdc *s, GError **err)
{
    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        FloppyDrive *d = &s->drive[n];
        if (d->block && (!take_type(s, d, err) || !check_image(d, err) ||
                         !block_attach(d->block, s->dev.id, &floppy_user, d, err))) {
            drives_detach(s);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean fdc_create(Device *dev, GError **err)
{
    Fdc *s = (Fdc *)dev;

    s->bus = isa_bus_find(dev, err);
    if (!s->bus || !drives_attach(s, err))
        return FALSE;
    s->low = isa_ports_add(dev, s->bus, PORT_LOW, PORTS_LOW, &low_ops, s);
    s->high = isa_ports_add(dev, s->bus, PORT_HIGH, 1, &high_ops, s);
    if (s->bus->dma)
        isa_dma_register(s->bus->dma, FDC_DMA, &fdc_dma_ops, s);
    return TRUE;
}

static void drives_drain(Fdc *s)
{
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        if (s->drive[n].block)
            block_drain(s->drive[n].block);
}

static void fdc_reset(Device *dev)
{
    Fdc *s = (Fdc *)dev;

    stop(s);
    drives_drain(s);
    s->dor = s->tape = 0;
    s->rate = 2;
    s->lock = false;
    s->config = CONFIG_DEFAULT;
    s->precompensation_track = s->perpendicular = s->timing[0] = s->timing[1] = 0;
    memset(s->present_cylinder, 0, sizeof s->present_cylinder);
    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        FloppyDrive *d = &s->drive[n];
        d->cylinder = d->next_id = 0;
        d->changed = true;
        if (d->block)
            look_at_medium(d);
    }
    fdc_update_irq(s);
}

static void fdc_destroy(Device *dev)
{
    Fdc *s = (Fdc *)dev;

    s->transfer = NULL;
    drives_detach(s);
    if (s->bus->dma)
        isa_dma_register(s->bus->dma, FDC_DMA, NULL, NULL);
    isa_ports_remove(dev, s->low);
    isa_ports_remove(dev, s->high);
}

static void fdc_pre_save(Device *dev) { drives_drain((Fdc *)dev); }

/* ---- restore: the saved state may come from anywhere ---- */

static bool is_sane(const Fdc *s)
{
    bool data = s->phase == FDC_DATA_IN || s->phase == FDC_DATA_OUT;
    bool unit = s->unit < FDC_DRIVES && s->drive[s->unit].block;

    return s->phase < FDC_PHASES && s->phase != FDC_BUSY && s->operation < FDC_OPERATIONS &&
           s->position < FDC_BYTES && s->count <= FDC_BYTES &&
           (s->phase != FDC_RESULT || s->position < s->count) && s->polled <= FDC_UNITS && s->rate <= 3 &&
           s->length <= FDC_SECTOR && s->at <= s->length && (!data || (s->at < s->length && unit));
}

static gboolean fdc_post_load(Device *dev, GError **err)
{
    Fdc *s = (Fdc *)dev;

    if (!is_sane(s))
        return error_set(err, "%s: the saved state of the floppy controller cannot be", dev->id);
    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        s->drive[n].cylinder = MIN(s->drive[n].cylinder, LAST_CYLINDER);
        if (s->drive[n].block)
            look_at_medium(&s->drive[n]);
    }
    return TRUE;
}

static const StateField drive_state[] = {
    STATE_U8(FloppyDrive, cylinder), STATE_U8(FloppyDrive, next_id), STATE_BOOL(FloppyDrive, changed), STATE_END
};

static const StateField fdc_state[] = {
    STATE_STRUCT_ARRAY(Fdc, drive, drive_state), STATE_U8(Fdc, dor), STATE_U8(Fdc, tape), STATE_U8(Fdc, rate),
    STATE_BOOL(Fdc, irq), STATE_U8(Fdc, phase), STATE_BYTES(Fdc, bytes), STATE_U8(Fdc, count), STATE_U8(Fdc, position),
    STATE_ARRAY_U8(Fdc, present_cylinder), STATE_ARRAY_U8(Fdc, timing), STATE_U8(Fdc, config),
    STATE_U8(Fdc, precompensation_track), STATE_U8(Fdc, perpendicular), STATE_BOOL(Fdc, lock), STATE_U8(Fdc, polled),
    STATE_ARRAY_U8(Fdc, sense), STATE_U8(Fdc, unit), STATE_U8(Fdc, head), STATE_U8(Fdc, c), STATE_U8(Fdc, h),
    STATE_U8(Fdc, r), STATE_U8(Fdc, n), STATE_U8(Fdc, last), STATE_U8(Fdc, step), STATE_BOOL(Fdc, multi),
    STATE_BOOL(Fdc, terminal), STATE_U8(Fdc, scan), STATE_U8(Fdc, control_mark), STATE_U8(Fdc, filler),
    STATE_U8(Fdc, left), STATE_BYTES(Fdc, buffer), STATE_BYTES(Fdc, scanned), STATE_U32(Fdc, at),
    STATE_U32(Fdc, length), STATE_U8(Fdc, operation), STATE_END
};

static const Property fdc_properties[] = {
    PROPERTY(Fdc, drive[0].block, "driveA", PROP_DRIVE, 0, "the -drive that is A:"),
    PROPERTY(Fdc, drive[1].block, "driveB", PROP_DRIVE, 0, "the -drive that is B:"),
    PROPERTY(Fdc, drive[0].type_name, "fdtypeA", PROP_STRING, 0, "kind of drive A: auto (by its image), 120, 144, 288"),
    PROPERTY(Fdc, drive[1].type_name, "fdtypeB", PROP_STRING, 0, "kind of drive B"),
    PROPERTY_END
};

const DeviceType isa_fdc_type = {
    .name = "isa-fdc", .description = "floppy controller 82077AA", .bus = "isa", .size = sizeof(Fdc), .user = true,
    .properties = fdc_properties, .create = fdc_create, .reset = fdc_reset, .destroy = fdc_destroy, .state = fdc_state,
    .pre_save = fdc_pre_save, .post_load = fdc_post_load,
};
