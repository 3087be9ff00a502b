/*
 * PS/2 mouse (IBM Personal System/2 Hardware Interface Technical Reference, "Mouse"), with Microsoft's extensions for
 * a wheel and five buttons: a host that sets the rates 200, 100, 80, or 200, 200, 80, is understood to know them.
 *
 * Movement is gathered while bytes wait to be read, so that a slow guest gets few large steps, not many old ones.
 */
#include "hw/input/ps2.h"

enum { REPLY_ACK = 0xfa, REPLY_RESEND = 0xfe, REPLY_ERROR = 0xfc, REPLY_TEST_PASSED = 0xaa };
enum { ID_PLAIN = 0, ID_WHEEL = 3, ID_FIVE_BUTTONS = 4 };
enum { MAX_MOVEMENT = 1 << 20, MAX_PACKET = 4 };

static int take_limited(int32_t *from, int low, int high)
{
    int v = CLAMP(*from, low, high);
    *from -= v;
    return v;
}

/* Scaling 2:1 (reference, "Set Scaling 2:1"). */
static int scale(int v)
{
    static const uint8_t small[] = { 0, 1, 1, 3, 6, 9 };
    int size = ABS(v);

    size = size < (int)sizeof small ? small[size] : MIN(2 * size, 255);
    return v < 0 ? -size : size;
}

/* The packet for what happened since the last; returns its length. */
static unsigned mouse_packet(Ps2Mouse *m, bool scaled, uint8_t packet[MAX_PACKET])
{
    int dx = take_limited(&m->dx, -255, 255), dy = take_limited(&m->dy, -255, 255);

    if (scaled) {
        dx = scale(dx);
        dy = scale(dy);
    }
    packet[0] = (m->buttons & 7) | 8 | (dx < 0) << 4 | (dy < 0) << 5;
    packet[1] = dx;
    packet[2] = dy;
    m->buttons_sent = m->buttons;
    if (m->id == ID_PLAIN) {
        m->dz = 0;
        return 3;
    }
    int dz = take_limited(&m->dz, -8, 7);
    packet[3] = m->id == ID_WHEEL ? dz : (dz & 0x0f) | (m->buttons & 0x18) << 1;
    return 4;
}

static void mouse_report(Ps2Mouse *m)
{
    uint8_t packet[MAX_PACKET];
    bool moved = m->dx || m->dy || m->dz, clicked = m->buttons != m->buttons_sent;

    if (!m->enabled || m->remote || m->wrap || !(moved || clicked))
        return;
    if (ps2_room(&m->port) < MAX_PACKET || (ps2_has_data(&m->port) && !clicked))
        return;
    unsigned n = mouse_packet(m, m->double_scale, packet);
    ps2_queue(&m->port, packet, n);
}

static void mouse_drained(Ps2Port *p)
{
    mouse_report((Ps2Mouse *)p);
}

static void gather(int32_t *sum, int64_t v)
{
    *sum = CLAMP(*sum + v, -MAX_MOVEMENT, MAX_MOVEMENT);
}

/* The mouse counts upwards where screens count downwards. */
void ps2_mouse_event(Ps2Mouse *m, int dx, int dy, int dz, unsigned buttons)
{
    gather(&m->dx, dx);
    gather(&m->dy, -(int64_t)dy);
    gather(&m->dz, dz);
    m->buttons = buttons & (m->id == ID_FIVE_BUTTONS ? 0x1f : 0x07);
    mouse_report(m);
}

/* By a dot's movement; the driver does not look at it. */
void ps2_mouse_nudge(Ps2Mouse *m)
{
    gather(&m->dx, 1);
    mouse_report(m);
}

static void mouse_forget(Ps2Mouse *m)
{
    m->dx = m->dy = m->dz = 0;
}

static void mouse_defaults(Ps2Mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->double_scale = m->remote = m->wrap = m->enabled = false;
    mouse_forget(m);
}

static void mouse_power_on(Ps2Mouse *m)
{
    ps2_clear(&m->port);
    mouse_defaults(m);
    m->id = ID_PLAIN;
    m->command = m->rates[0] = m->rates[1] = 0;
}

static void mouse_reply_status(Ps2Mouse *m)
{
    uint8_t buttons = (m->buttons & INPUT_LEFT ? 4 : 0) | (m->buttons & INPUT_MIDDLE ? 2 : 0) |
                      (m->buttons & INPUT_RIGHT ? 1 : 0);

    ps2_reply(&m->port, m->remote << 6 | m->enabled << 5 | m->double_scale << 4 | buttons);
    ps2_reply(&m->port, m->resolution);
    ps2_reply(&m->port, m->rate);
}

static void mouse_reply_packet(Ps2Mouse *m)
{
    uint8_t packet[MAX_PACKET];
    unsigned n = mouse_packet(m, false, packet);

    for (unsigned i = 0; i < n; i++)
        ps2_reply(&m->port, packet[i]);
}

/* What a command does before it is acknowledged; false for one that is none. */
static bool mouse_do(Ps2Mouse *m, uint8_t v)
{
    switch (v) {
    case 0xe6: case 0xe7: m->double_scale = v == 0xe7; return true;
    case 0xe8: case 0xf3: m->command = v; return true;
    case 0xe9: case 0xeb: case 0xf2: return true;
    case 0xea: m->remote = false; mouse_forget(m); return true;
    case 0xec: m->wrap = false; return true;
    case 0xee: m->wrap = true; return true;
    case 0xf0: m->remote = true; mouse_forget(m); return true;
    case 0xf4: case 0xf5: m->enabled = v == 0xf4; mouse_forget(m); return true;
    case 0xf6: mouse_defaults(m); return true;
    case 0xff: mouse_power_on(m); return true;
    default: return false;
    }
}

static void mouse_command(Ps2Mouse *m, uint8_t v)
{
    if (v == 0xfe) {
        ps2_reply(&m->port, m->port.last);
        return;
    }
    if (!mouse_do(m, v)) {
        ps2_reply(&m->port, REPLY_RESEND);
        return;
    }
    ps2_reply(&m->port, REPLY_ACK);
    switch (v) {
    case 0xe9: mouse_reply_status(m); break;
    case 0xeb: mouse_reply_packet(m); break;
    case 0xf2: ps2_reply(&m->port, m->id); break;
    case 0xff: ps2_reply(&m->port, REPLY_TEST_PASSED); ps2_reply(&m->port, m->id); break;
    default: break;
    }
}

static void mouse_set_rate(Ps2Mouse *m, uint8_t v)
{
    m->rate = v;
    if (m->rates[0] == 200 && v == 80)
        m->id = m->rates[1] == 200 ? ID_FIVE_BUTTONS : m->rates[1] == 100 ? ID_WHEEL : m->id;
    m->rates[0] = m->rates[1];
    m->rates[1] = v;
}

static void mouse_parameter(Ps2Mouse *m, uint8_t v)
{
    bool resolution = m->command == 0xe8;

    m->command = 0;
    if (resolution && v > 3) {
        ps2_reply(&m->port, REPLY_ERROR);
        return;
    }
    if (resolution)
        m->resolution = v;
    else
        mouse_set_rate(m, v);
    ps2_reply(&m->port, REPLY_ACK);
}

/* A byte from the host ends the packet that is being sent. */
void ps2_mouse_write(Ps2Mouse *m, uint8_t v)
{
    ps2_clear_queue(&m->port);
    if (m->wrap && v != 0xec && v != 0xff)
        ps2_reply(&m->port, v);
    else if (m->command)
        mouse_parameter(m, v);
    else
        mouse_command(m, v);
}

void ps2_mouse_init(Ps2Mouse *m, void (*ready)(void *opaque), void *opaque)
{
    m->port.ready = ready;
    m->port.opaque = opaque;
    m->port.drained = mouse_drained;
}

void ps2_mouse_reset(Ps2Mouse *m)
{
    mouse_power_on(m);
    m->port.last = 0;
    m->buttons = m->buttons_sent = 0;
}

const StateField ps2_mouse_state[] = {
    STATE_STRUCT(Ps2Mouse, port, ps2_port_state), STATE_U8(Ps2Mouse, id), STATE_U8(Ps2Mouse, rate),
    STATE_U8(Ps2Mouse, resolution), STATE_BOOL(Ps2Mouse, enabled), STATE_BOOL(Ps2Mouse, remote),
    STATE_BOOL(Ps2Mouse, wrap), STATE_BOOL(Ps2Mouse, double_scale), STATE_U8(Ps2Mouse, command),
    STATE_ARRAY_U8(Ps2Mouse, rates), STATE_U8(Ps2Mouse, buttons), STATE_U8(Ps2Mouse, buttons_sent),
    STATE_U32(Ps2Mouse, dx), STATE_U32(Ps2Mouse, dy), STATE_U32(Ps2Mouse, dz), STATE_END
};
