/*
 * Virtio input devices (virtio_input.h): events of Linux's input layer in a queue, and its lights in another.
 *
 * Events that the driver has no buffers for wait here: movement as its sum, or the last place; keys and buttons in
 * their order, of which presses are dropped when there are too many, never releases.  Movement is reported as often as
 * by a usual mouse: a host that has more would overrun Linux's queues, which are short.
 */
#include "hw/virtio/virtio_input.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/virtio/virtio.h"
#include "util/bits.h"
#include "util/endian.h"

enum { QUEUE_EVENTS = 0, QUEUE_STATUS = 1, QUEUES = 2, QUEUE_SIZE = 64, EVENT_SIZE = 8 };
enum { STATUS_DRIVER_OK = 4 };
enum { /* 5.8.4 */
    CONFIG_SELECT = 0, CONFIG_SUBSELECT = 1, CONFIG_LENGTH = 2, CONFIG_DATA = 8, CONFIG_ROOM = 128,
    CONFIG_SIZE = CONFIG_DATA + CONFIG_ROOM
};
enum { SELECT_NAME = 1, SELECT_SERIAL = 2, SELECT_IDS = 3, SELECT_EVENTS = 0x11, SELECT_AXIS = 0x12 };
/* Linux's input-event-codes.h */
enum { EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3, EV_LED = 0x11, EV_REP = 0x14 };
enum { REL_X = 0, REL_Y = 1, REL_WHEEL = 8, ABS_X = 0, ABS_Y = 1, BTN_LEFT = 0x110, BUTTONS = 5 };
enum { LED_NUM = 0, LED_CAPS = 1, LED_SCROLL = 2, LEDS = 3, BUS_VIRTUAL = 6 };
#define REPORT_NS INT64_C(4000000)
enum { WAITING = 512, WHEEL_MAX = 127, MOVEMENT_MAX = 1 << 20 };

typedef struct Event {
    uint16_t type, code;
    uint32_t value;
} Event;

typedef struct Kind {
    const char *name;
    uint16_t product;
    const InputSink *sink;
} Kind;

typedef struct VirtioInput {
    VirtioDevice virtio;
    char *serial;             /* property */
    const Kind *kind;
    uint8_t select, subselect;
    Event waiting[WAITING];   /* for buffers */
    uint32_t first, count;
    uint8_t down[256 / 8];    /* keys that the driver knows, or will know, to be down, by their code */
    uint32_t held;            /* how many */
    uint8_t buttons;          /* likewise, INPUT_* */
    int32_t dx, dy, dz;       /* not yet among `waiting` */
    uint32_t x, y;            /* of a tablet */
    bool placed;              /* x and y are not yet among `waiting` */
    Timer *pause;             /* armed while it is too early for a report of movement */
    uint8_t leds;             /* a bit for each LED_* */
} VirtioInput;

/* ---- events on their way ---- */

static void put(VirtioInput *s, unsigned type, unsigned code, uint32_t value)
{
    s->waiting[(s->first + s->count++) % WAITING] = (Event){ type, code, value };
}

static void put_unless_zero(VirtioInput *s, unsigned code, int32_t *v)
{
    if (*v)
        put(s, EV_REL, code, *v);
    *v = 0;
}

/* What has moved since the last time, as part of a report. */
static bool put_movement(VirtioInput *s)
{
    uint32_t before = s->count;

    put_unless_zero(s, REL_X, &s->dx);
    put_unless_zero(s, REL_Y, &s->dy);
    put_unless_zero(s, REL_WHEEL, &s->dz);
    if (s->placed) {
        put(s, EV_ABS, ABS_X, s->x);
        put(s, EV_ABS, ABS_Y, s->y);
        s->placed = false;
    }
    return s->count != before;
}

static void put_end(VirtioInput *s) { put(s, EV_SYN, 0, 0); }

/* Events that the release of all that is held will take. */
static unsigned reserved(const VirtioInput *s) { return 2 * (s->held + __builtin_popcount(s->buttons)); }

static unsigned room(const VirtioInput *s) { return WAITING - s->count - reserved(s); }

static void send_waiting(VirtioInput *s)
{
    VirtQueue *q = &s->virtio.queue[QUEUE_EVENTS];
    VirtElement *e;

    while (s->count && (e = virtqueue_pop(q))) {
        const Event *v = &s->waiting[s->first];
        uint8_t bytes[EVENT_SIZE];
        st16le(bytes, v->type);
        st16le(bytes + 2, v->code);
        st32le(bytes + 4, v->value);
        virtqueue_push(q, e, dma_from_buffer(&e->in, 0, bytes, MIN(e->in.size, sizeof bytes)));
        s->first = (s->first + 1) % WAITING;
        s->count--;
    }
    virtqueue_flush(q);
}

/* Movement is not put behind what the driver has not taken: it adds up until then. */
static void send(VirtioInput *s)
{
    send_waiting(s);
    if (s->count || timer_armed(s->pause) || !put_movement(s))
        return;
    put_end(s);
    send_waiting(s);
    timer_arm(s->pause, clock_now(s->virtio.pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL) + REPORT_NS);
}

static void pause_end(void *opaque) { send(opaque); }

/* ---- what comes from the host ---- */

static bool is_ready(const VirtioInput *s) { return virtio_running(&s->virtio); }

static void key_event(void *opaque, unsigned usage, bool down)
{
    VirtioInput *s = opaque;
    uint8_t code = evdev_of_usage(usage), mask = 1 << code % 8;

    if (!code || !is_ready(s) || !(s->down[code / 8] & mask) == !down || (down && room(s) < 4))
        return;
    s->down[code / 8] ^= mask;
    s->held += down ? 1 : -1;
    put(s, EV_KEY, code, down);
    put_end(s);
    send(s);
}

static void gather(int32_t *sum, int64_t v, int limit) { *sum = CLAMP(*sum + v, -limit, limit); }

/* One report has the movement before, and one button; several changed at once are as many reports. */
static void buttons_event(VirtioInput *s, unsigned buttons)
{
    static const uint8_t order[BUTTONS] = { INPUT_LEFT, INPUT_RIGHT, INPUT_MIDDLE, INPUT_SIDE, INPUT_EXTRA };

    for (unsigned n = 0; n < BUTTONS; n++) {
        bool down = buttons & order[n];
        if (!(s->buttons & order[n]) == !down || (down && room(s) < 8))
            continue;
        s->buttons ^= order[n];
        if (room(s) >= 8)
            put_movement(s);
        put(s, EV_KEY, BTN_LEFT + n, down);
        put_end(s);
    }
}

static void motion_event(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
    VirtioInput *s = opaque;

    if (!is_ready(s))
        return;
    gather(&s->dx, dx, MOVEMENT_MAX);
    gather(&s->dy, dy, MOVEMENT_MAX);
    gather(&s->dz, -(int64_t)dz, WHEEL_MAX);
    buttons_event(s, buttons);
    send(s);
}

static void position_event(void *opaque, unsigned x, unsigned y, int dz, unsigned buttons)
{
    VirtioInput *s = opaque;

    if (!is_ready(s))
        return;
    s->placed |= s->x != x || s->y != y;
    s->x = x;
    s->y = y;
    gather(&s->dz, -(int64_t)dz, WHEEL_MAX);
    buttons_event(s, buttons);
    send(s);
}

static const InputSink keyboard_sink = { .name = "virtio keyboard", .key = key_event };
static const InputSink mouse_sink = { .name = "virtio mouse", .motion = motion_event };
static const InputSink tablet_sink = { .name = "virtio tablet", .position = position_event };

static const Kind keyboard_kind = { "Myna Virtio Keyboard", 1, &keyboard_sink };
static const Kind mouse_kind = { "Myna Virtio Mouse", 2, &mouse_sink };
static const Kind tablet_kind = { "Myna Virtio Tablet", 3, &tablet_sink };

static bool is_keyboard(const VirtioInput *s) { return s->kind == &keyboard_kind; }
static bool is_tablet(const VirtioInput *s) { return s->kind == &tablet_kind; }

/* ---- configuration (5.8.5): what the device is, has and sends ---- */

static unsigned put_text(uint8_t *to, const char *text)
{
    unsigned n = text ? MIN(strlen(text), CONFIG_ROOM) : 0;
    memcpy(to, text ? text : "", n);
    return n;
}

static unsigned put_ids(const VirtioInput *s, uint8_t *to)
{
    st16le(to, BUS_VIRTUAL);
    st16le(to + 2, 0x0627);
    st16le(to + 4, s->kind->product);
    st16le(to + 6, 1);
    return 8;
}

static unsigned put_bit(uint8_t *to, unsigned n)
{
    to[n / 8] |= 1 << n % 8;
    return n / 8 + 1;
}

static unsigned put_keys(const VirtioInput *s, uint8_t *to)
{
    unsigned size = 0;
    for (unsigned usage = 0; is_keyboard(s) && usage < 256; usage++)
        if (evdev_of_usage(usage))
            size = MAX(size, put_bit(to, evdev_of_usage(usage)));
    for (unsigned n = 0; !is_keyboard(s) && n < BUTTONS; n++)
        size = put_bit(to, BTN_LEFT + n);
    return size;
}

static unsigned put_movements(const VirtioInput *s, uint8_t *to)
{
    if (is_keyboard(s))
        return 0;
    if (!is_tablet(s))
        to[0] = 1 << REL_X | 1 << REL_Y;
    return put_bit(to, REL_WHEEL);
}

static unsigned put_events(const VirtioInput *s, uint8_t *to)
{
    switch (s->subselect) {
    case EV_KEY: return put_keys(s, to);
    case EV_REL: return put_movements(s, to);
    case EV_ABS: to[0] = 1 << ABS_X | 1 << ABS_Y; return is_tablet(s);
    case EV_LED: to[0] = 1 << LED_NUM | 1 << LED_CAPS | 1 << LED_SCROLL; return is_keyboard(s);
    case EV_REP: return is_keyboard(s); /* the driver repeats keys by itself */
    default: return 0;
    }
}

/* Minimum, maximum, fuzz, flat, resolution. */
static unsigned put_axis(const VirtioInput *s, uint8_t *to)
{
    st32le(to + 4, INPUT_SCALE - 1);
    return is_tablet(s) && s->subselect <= ABS_Y ? 20 : 0;
}

static unsigned put_selected(const VirtioInput *s, uint8_t *to)
{
    switch (s->select) {
    case SELECT_NAME: return s->subselect ? 0 : put_text(to, s->kind->name);
    case SELECT_SERIAL: return s->subselect ? 0 : put_text(to, s->serial);
    case SELECT_IDS: return s->subselect ? 0 : put_ids(s, to);
    case SELECT_EVENTS: return put_events(s, to);
    case SELECT_AXIS: return put_axis(s, to);
    default: return 0; /* properties, 10h, too: none */
    }
}

static void input_config_read(VirtioDevice *v, uint8_t *config)
{
    const VirtioInput *s = (VirtioInput *)v;

    memset(config, 0, CONFIG_SIZE);
    config[CONFIG_SELECT] = s->select;
    config[CONFIG_SUBSELECT] = s->subselect;
    unsigned size = put_selected(s, config + CONFIG_DATA);
    config[CONFIG_LENGTH] = size;
    memset(config + CONFIG_DATA + size, 0, CONFIG_ROOM - size);
}

static void input_config_write(VirtioDevice *v, const uint8_t *config, unsigned offset, unsigned size)
{
    VirtioInput *s = (VirtioInput *)v;
    (void)offset, (void)size;
    s->select = config[CONFIG_SELECT];
    s->subselect = config[CONFIG_SUBSELECT];
}

/* ---- lights ---- */

static void lights_tell(VirtioInput *s)
{
    unsigned leds = (s->leds >> LED_NUM & 1 ? INPUT_NUM_LOCK : 0) | (s->leds >> LED_CAPS & 1 ? INPUT_CAPS_LOCK : 0) |
                    (s->leds >> LED_SCROLL & 1 ? INPUT_SCROLL_LOCK : 0);
    input_set_leds(s->virtio.pci.dev.machine, s, leds);
}

static void take_status(VirtioInput *s, const VirtElement *e)
{
    uint8_t bytes[EVENT_SIZE];
    if (dma_to_buffer(&e->out, 0, bytes, sizeof bytes) < sizeof bytes)
        return;
    unsigned code = ld16le(bytes + 2);
    if (ld16le(bytes) != EV_LED || code >= LEDS || !is_keyboard(s))
        return;
    s->leds = ld32le(bytes + 4) ? s->leds | 1 << code : s->leds & ~(1 << code);
    lights_tell(s);
}

/* ---- queues, life ---- */

static void input_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioInput *s = (VirtioInput *)v;
    VirtElement *e;

    if (q->index == QUEUE_EVENTS) {
        send(s);
        return;
    }
    while ((e = virtqueue_pop(q))) {
        take_status(s, e);
        virtqueue_push(q, e, 0);
    }
    virtqueue_flush(q);
}

static void forget(VirtioInput *s)
{
    timer_cancel(s->pause);
    s->first = s->count = s->held = s->buttons = s->select = s->subselect = s->leds = 0;
    s->dx = s->dy = s->dz = 0;
    s->x = s->y = 0;
    s->placed = false;
    memset(s->down, 0, sizeof s->down);
    lights_tell(s);
}

/* It takes keys or the pointer over from the devices that a PC begins with. */
static void input_status_changed(VirtioDevice *v, uint8_t status)
{
    input_activate(v->pci.dev.machine, v, status & STATUS_DRIVER_OK);
}

static void input_driver_reset(VirtioDevice *v)
{
    input_activate(v->pci.dev.machine, v, false);
    forget((VirtioInput *)v);
}

static const VirtioType keyboard_virtio = {
    .id = VIRTIO_ID_INPUT, .class_code = 0x090000, .config_size = CONFIG_SIZE, .config_read = input_config_read,
    .config_write = input_config_write, .notify = input_notify, .status_changed = input_status_changed,
    .reset = input_driver_reset,
};
static const VirtioType pointer_virtio = {
    .id = VIRTIO_ID_INPUT, .class_code = 0x090200, .config_size = CONFIG_SIZE, .config_read = input_config_read,
    .config_write = input_config_write, .notify = input_notify, .status_changed = input_status_changed,
    .reset = input_driver_reset,
};

static gboolean create(Device *dev, const Kind *kind, GError **err)
{
    VirtioInput *s = (VirtioInput *)dev;

    s->kind = kind;
    if (!virtio_init(&s->virtio, is_keyboard(s) ? &keyboard_virtio : &pointer_virtio, QUEUES, QUEUE_SIZE, err))
        return FALSE;
    s->pause = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, pause_end, s);
    input_add(dev->machine, kind->sink, s, false);
    return TRUE;
}

static gboolean keyboard_create(Device *dev, GError **err) { return create(dev, &keyboard_kind, err); }
static gboolean mouse_create(Device *dev, GError **err) { return create(dev, &mouse_kind, err); }
static gboolean tablet_create(Device *dev, GError **err) { return create(dev, &tablet_kind, err); }

static void input_reset(Device *dev) { virtio_reset((VirtioDevice *)dev); }

static void input_destroy(Device *dev)
{
    input_remove(dev->machine, dev);
    timer_free(((VirtioInput *)dev)->pause);
    virtio_exit((VirtioDevice *)dev);
}

static void input_pre_save(Device *dev) { virtio_pre_save((VirtioDevice *)dev); }

static unsigned count_held(const VirtioInput *s)
{
    unsigned n = 0;
    for (unsigned code = 0; code < 256; code++)
        n += s->down[code / 8] >> code % 8 & 1;
    return n;
}

static gboolean input_post_load(Device *dev, GError **err)
{
    VirtioInput *s = (VirtioInput *)dev;

    if (s->first >= WAITING || s->count > WAITING || s->held != count_held(s) ||
        s->buttons >> BUTTONS || s->count + reserved(s) > WAITING)
        return error_set(err, "%s: the saved state is not one of an input device", dev->id);
    if (!virtio_post_load(&s->virtio, err))
        return FALSE;
    input_activate(dev->machine, dev, s->virtio.status & STATUS_DRIVER_OK);
    lights_tell(s);
    return TRUE;
}

static const StateField event_state[] = {
    STATE_U16(Event, type), STATE_U16(Event, code), STATE_U32(Event, value), STATE_END
};

static const StateField input_state[] = {
    STATE_STRUCT(VirtioInput, virtio, virtio_state), STATE_U8(VirtioInput, select), STATE_U8(VirtioInput, subselect),
    STATE_STRUCT_ARRAY(VirtioInput, waiting, event_state), STATE_U32(VirtioInput, first),
    STATE_U32(VirtioInput, count), STATE_ARRAY_U8(VirtioInput, down), STATE_U32(VirtioInput, held), STATE_U8(VirtioInput, buttons),
    STATE_U32(VirtioInput, dx), STATE_U32(VirtioInput, dy), STATE_U32(VirtioInput, dz), STATE_U32(VirtioInput, x),
    STATE_U32(VirtioInput, y), STATE_BOOL(VirtioInput, placed), STATE_TIMER(VirtioInput, pause),
    STATE_U8(VirtioInput, leds), STATE_END
};

static const Property input_properties[] = {
    VIRTIO_PROPERTIES(VirtioInput),
    PROPERTY(VirtioInput, serial, "serial", PROP_STRING, 0, "serial number, at most 128 characters"),
    PROPERTY_END
};

const DeviceType virtio_keyboard_type = {
    .name = "virtio-keyboard-pci", .description = "virtio keyboard", .bus = "pci", .size = sizeof(VirtioInput),
    .user = true, .properties = input_properties, .create = keyboard_create, .reset = input_reset,
    .destroy = input_destroy, .state = input_state, .pre_save = input_pre_save, .post_load = input_post_load,
};

const DeviceType virtio_mouse_type = {
    .name = "virtio-mouse-pci", .description = "virtio mouse", .bus = "pci", .size = sizeof(VirtioInput),
    .user = true, .properties = input_properties, .create = mouse_create, .reset = input_reset,
    .destroy = input_destroy, .state = input_state, .pre_save = input_pre_save, .post_load = input_post_load,
};

const DeviceType virtio_tablet_type = {
    .name = "virtio-tablet-pci", .description = "virtio tablet: a pointer by position", .bus = "pci",
    .size = sizeof(VirtioInput), .user = true, .properties = input_properties, .create = tablet_create,
    .reset = input_reset, .destroy = input_destroy, .state = input_state, .pre_save = input_pre_save,
    .post_load = input_post_load,
};
