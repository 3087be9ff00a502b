/*
 * VMware's pointer (vmmouse.h), as its drivers use it (Linux drivers/input/mouse/vmmouse.c, QEMU hw/i386/vmmouse.c).
 *
 * A queue of words, of which a driver takes one to six at a time: first the version, when it has asked for that, then
 * packets of four words, each with flags, x, y and the wheel.  Positions are 0..FFFFh on the screen; movements, which a
 * driver may ask for instead, count upwards.
 */
#include "hw/input/vmmouse.h"

#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/input/ps2.h"
#include "hw/input/vmport.h"

enum { COMMAND_DATA = 39, COMMAND_STATUS = 40, COMMAND_DO = 41 };
#define DO_READ_ID UINT32_C(0x45414552)  /* "READ" */
#define DO_DISABLE UINT32_C(0x000000f5)
#define DO_RELATIVE UINT32_C(0x4c455252) /* "RREL" */
#define DO_ABSOLUTE UINT32_C(0x53424152) /* "RABS" */
#define VERSION UINT32_C(0x3442554a)     /* "JUB4" */

enum { QUEUE_WORDS = 1024, PACKET_WORDS = 4, STATUS_OFF = 0xffff };
enum { FLAG_MIDDLE = 0x08, FLAG_RIGHT = 0x10, FLAG_LEFT = 0x20, FLAG_MOVEMENT = 0x10000 };

typedef enum Mode { MODE_OFF, MODE_RELATIVE, MODE_ABSOLUTE, MODES } Mode;

typedef struct VmMouse {
    Device dev;
    Device *vmport;
    uint16_t status;             /* 0, or STATUS_OFF */
    uint8_t mode;                /* Mode */
    uint32_t queue[QUEUE_WORDS];
    uint32_t count;              /* words in it */
    struct VmMouse *sink[MODES]; /* itself: a name for each of its sinks */
} VmMouse;

/* ---- events ---- */

static uint32_t packet_flags(unsigned buttons)
{
    return (buttons & INPUT_LEFT ? FLAG_LEFT : 0) | (buttons & INPUT_RIGHT ? FLAG_RIGHT : 0) |
           (buttons & INPUT_MIDDLE ? FLAG_MIDDLE : 0);
}

/* Whether the last packet may become the new one: only the place differs, and the driver cannot have begun with it. */
static bool can_replace(const VmMouse *s, const uint32_t packet[PACKET_WORDS])
{
    const uint32_t *last = s->queue + s->count - PACKET_WORDS;
    return s->mode == MODE_ABSOLUTE && s->count >= 2 * PACKET_WORDS && last[0] == packet[0] && !last[3] && !packet[3];
}

/*
 * A driver that is slow finds the latest place, not all that were; when it takes nothing, the latest state in the last
 * packet.  It is told by the PS/2 mouse's interrupt.
 */
static void packet_put(VmMouse *s, const uint32_t packet[PACKET_WORDS])
{
    Ps2Mouse *mouse = machine_find(s->dev.machine, "ps2-mouse");
    if (can_replace(s, packet) || s->count + PACKET_WORDS > QUEUE_WORDS)
        s->count -= PACKET_WORDS;
    memcpy(s->queue + s->count, packet, PACKET_WORDS * sizeof *packet);
    s->count += PACKET_WORDS;
    if (mouse)
        ps2_mouse_nudge(mouse);
}

static void sink_position(void *opaque, unsigned x, unsigned y, int dz, unsigned buttons)
{
    const uint32_t packet[] = { packet_flags(buttons), x << 1 | x >> 14, y << 1 | y >> 14, CLAMP(dz, -127, 127) };
    packet_put(*(VmMouse **)opaque, packet);
}

static void sink_motion(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
    const uint32_t packet[] = { packet_flags(buttons) | FLAG_MOVEMENT, dx, -(uint32_t)dy, CLAMP(dz, -127, 127) };
    packet_put(*(VmMouse **)opaque, packet);
}

static const InputSink absolute_sink = { .name = "vmmouse", .position = sink_position };
static const InputSink relative_sink = { .name = "vmmouse (relative)", .motion = sink_motion };

static void mode_set(VmMouse *s, Mode mode)
{
    s->mode = mode;
    for (unsigned n = MODE_RELATIVE; n < MODES; n++)
        input_activate(s->dev.machine, &s->sink[n], n == mode);
}

/* ---- commands ---- */

static void turn_off(VmMouse *s)
{
    s->status = STATUS_OFF;
    mode_set(s, MODE_OFF);
}

static void command_status(void *opaque, uint32_t r[IO_REGISTERS])
{
    const VmMouse *s = opaque;
    r[IO_EAX] = (uint32_t)s->status << 16 | s->count;
}

static void command_data(void *opaque, uint32_t r[IO_REGISTERS])
{
    VmMouse *s = opaque;
    unsigned n = MIN(r[IO_EBX], QUEUE_WORDS);

    if (!n || n > IO_REGISTERS || n > s->count) {
        log_guest_error("vmmouse: %u words are asked for; %u are there", r[IO_EBX], s->count);
        turn_off(s);
        return;
    }
    memcpy(r, s->queue, n * sizeof *r);
    s->count -= n;
    memmove(s->queue, s->queue + n, s->count * sizeof *s->queue);
}

static void read_id(VmMouse *s)
{
    s->status = 0;
    if (s->count < QUEUE_WORDS)
        s->queue[s->count++] = VERSION;
}

static void command_do(void *opaque, uint32_t r[IO_REGISTERS])
{
    VmMouse *s = opaque;

    switch (r[IO_EBX]) {
    case DO_READ_ID: read_id(s); break;
    case DO_DISABLE: turn_off(s); break;
    case DO_RELATIVE: case DO_ABSOLUTE:
        if (!s->status)
            mode_set(s, r[IO_EBX] == DO_ABSOLUTE ? MODE_ABSOLUTE : MODE_RELATIVE);
        break;
    default: log_guest_error("vmmouse: unknown request %08x", r[IO_EBX]); break;
    }
}

/* ---- life ---- */

static gboolean vmmouse_create(Device *dev, GError **err)
{
    VmMouse *s = (VmMouse *)dev;

    s->vmport = machine_find(dev->machine, "vmport");
    if (!s->vmport)
        return error_set(err, "device '%s' needs -machine vmport=on", dev->id);
    for (unsigned n = 0; n < MODES; n++)
        s->sink[n] = s;
    vmport_serve(s->vmport, COMMAND_DATA, command_data, s);
    vmport_serve(s->vmport, COMMAND_STATUS, command_status, s);
    vmport_serve(s->vmport, COMMAND_DO, command_do, s);
    input_add(dev->machine, &relative_sink, &s->sink[MODE_RELATIVE], false);
    input_add(dev->machine, &absolute_sink, &s->sink[MODE_ABSOLUTE], false);
    return TRUE;
}

static void vmmouse_destroy(Device *dev)
{
    VmMouse *s = (VmMouse *)dev;

    for (unsigned n = COMMAND_DATA; n <= COMMAND_DO; n++)
        vmport_serve(s->vmport, n, NULL, NULL);
    for (unsigned n = MODE_RELATIVE; n < MODES; n++)
        input_remove(dev->machine, &s->sink[n]);
}

static void vmmouse_reset(Device *dev)
{
    VmMouse *s = (VmMouse *)dev;
    s->count = 0;
    turn_off(s);
}

static const StateField vmmouse_state[] = {
    STATE_U16(VmMouse, status), STATE_U8(VmMouse, mode), STATE_ARRAY_U32(VmMouse, queue), STATE_U32(VmMouse, count),
    STATE_END
};

static gboolean vmmouse_post_load(Device *dev, GError **err)
{
    VmMouse *s = (VmMouse *)dev;

    if (s->count > QUEUE_WORDS || s->mode >= MODES)
        return error_set(err, "device '%s': the saved state is not one of a pointer", dev->id);
    mode_set(s, s->mode);
    return TRUE;
}

const DeviceType vmmouse_type = {
    .name = "vmmouse",
    .description = "VMware's pointer",
    .bus = "isa",
    .size = sizeof(VmMouse),
    .create = vmmouse_create,
    .reset = vmmouse_reset,
    .destroy = vmmouse_destroy,
    .state = vmmouse_state,
    .post_load = vmmouse_post_load,
};
