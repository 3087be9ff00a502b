/*
 * Keys and movements on their way into reports (HID 1.11, 8 and appendix B).
 *
 * Each press and release gets a report of its own, in order, so that a short one is not lost.  Movements are summed up
 * while the buttons stay as they are, so that a slow guest gets few large steps, and the end is where it should be.
 */
#include <string.h>

#include "hw/usb/usb_hid.h"
#include "util/bits.h"
#include "util/endian.h"

enum { KEY_DOWN = 0x100, FIRST_KEY = 4, FIRST_MODIFIER = 0xe0, ROLL_OVER = 1, ARRAY = 6 };
enum { STEP_MAX = 127, SUM_MAX = 1 << 20 };

static bool key_in(const uint8_t *keys, unsigned usage) { return keys[usage / 8] >> usage % 8 & 1; }

static void key_put(uint8_t *keys, unsigned usage, bool down)
{
    keys[usage / 8] = (keys[usage / 8] & ~(1 << usage % 8)) | down << usage % 8;
}

static unsigned last_place(const UsbHid *s) { return (s->first + s->count - 1) % HID_EVENTS; }

static unsigned take_place(UsbHid *s)
{
    unsigned at = s->first;
    s->first = (s->first + 1) % HID_EVENTS;
    s->count--;
    return at;
}

/* ---- from the user ---- */

/* What does not fit is made up for when the others are through: by then `known` and `held` differ. */
static void key_event(void *opaque, unsigned usage, bool down)
{
    UsbHid *s = opaque;
    if (!s->usb.configuration || usage >= HID_KEYS || key_in(s->held, usage) == down)
        return;
    key_put(s->held, usage, down);
    if (s->count < HID_EVENTS) {
        s->count++;
        s->key[last_place(s)] = usage | (down ? KEY_DOWN : 0);
    }
    usb_ready(&s->usb, 0x81);
}

/* The step that takes a movement: the newest one, unless the buttons changed and there is room for another. */
static HidMove *move_for(UsbHid *s, unsigned buttons)
{
    if (s->count && (s->move[last_place(s)].buttons == buttons || s->count == HID_EVENTS))
        return &s->move[last_place(s)];
    HidMove before = s->count ? s->move[last_place(s)] : s->last;
    s->count++;
    s->move[last_place(s)] = (HidMove){ .x = before.x, .y = before.y };
    return &s->move[last_place(s)];
}

static void gather(int32_t *sum, int64_t v) { *sum = CLAMP(*sum + v, -SUM_MAX, SUM_MAX); }

static void motion_event(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
    UsbHid *s = opaque;
    if (!s->usb.configuration)
        return;
    HidMove *e = move_for(s, buttons & 0x1f);
    gather(&e->dx, dx);
    gather(&e->dy, dy);
    gather(&e->dz, dz);
    e->buttons = buttons & 0x1f;
    usb_ready(&s->usb, 0x81);
}

static void position_event(void *opaque, unsigned x, unsigned y, int dz, unsigned buttons)
{
    UsbHid *s = opaque;
    if (!s->usb.configuration)
        return;
    HidMove *e = move_for(s, buttons & 0x1f);
    e->x = MIN(x, INPUT_SCALE - 1);
    e->y = MIN(y, INPUT_SCALE - 1);
    gather(&e->dz, dz);
    e->buttons = buttons & 0x1f;
    usb_ready(&s->usb, 0x81);
}

const InputSink hid_sinks[] = {
    [HID_KEYBOARD] = { .name = "USB keyboard", .key = key_event },
    [HID_MOUSE] = { .name = "USB mouse", .motion = motion_event },
    [HID_TABLET] = { .name = "USB tablet", .position = position_event },
};

/* ---- to the guest ---- */

bool hid_has_news(const UsbHid *s)
{
    return s->count || s->due || (s->kind == HID_KEYBOARD && memcmp(s->held, s->known, sizeof s->held));
}

static void fill_keys(const UsbHid *s, uint8_t out[HID_REPORT_MAX])
{
    unsigned n = 0;
    memset(out, 0, HID_REPORT_MAX);
    out[0] = s->known[FIRST_MODIFIER / 8];
    for (unsigned usage = FIRST_KEY; usage < FIRST_MODIFIER; usage++)
        if (key_in(s->known, usage) && n++ < ARRAY)
            out[1 + n] = usage;
    if (n > ARRAY)
        memset(out + 2, ROLL_OVER, ARRAY); /* appendix C: more keys than fit */
}

static unsigned keyboard_report(UsbHid *s, uint8_t out[HID_REPORT_MAX])
{
    if (s->count) {
        unsigned event = s->key[take_place(s)];
        key_put(s->known, event % HID_KEYS, event & KEY_DOWN);
    } else {
        memcpy(s->known, s->held, sizeof s->known);
    }
    fill_keys(s, out);
    return HID_REPORT_MAX;
}

static int take(int32_t *from)
{
    int v = CLAMP(*from, -STEP_MAX, STEP_MAX);
    *from -= v;
    return v;
}

/* As much of the oldest step as a report can say.  Wheels count away from the user. */
static unsigned pointer_report(UsbHid *s, uint8_t out[HID_REPORT_MAX])
{
    HidMove none = s->last, *e = s->count ? &s->move[s->first] : &none;
    int dx = take(&e->dx), dy = take(&e->dy), dz = take(&e->dz);

    s->last = (HidMove){ .x = e->x, .y = e->y, .buttons = e->buttons };
    if (s->count && !e->dx && !e->dy && !e->dz)
        take_place(s);
    out[0] = s->last.buttons;
    if (s->kind == HID_TABLET) {
        st16le(out + 1, s->last.x);
        st16le(out + 3, s->last.y);
        out[5] = -dz;
        return 6;
    }
    out[1] = dx;
    out[2] = dy;
    out[3] = -dz;
    return s->protocol == HID_BOOT_PROTOCOL ? 3 : 4;
}

unsigned hid_report(UsbHid *s, uint8_t out[HID_REPORT_MAX])
{
    s->due = false;
    return s->kind == HID_KEYBOARD ? keyboard_report(s, out) : pointer_report(s, out);
}

void hid_forget(UsbHid *s)
{
    memset(s->held, 0, sizeof s->held);
    memset(s->known, 0, sizeof s->known);
    memset(s->key, 0, sizeof s->key);
    memset(s->move, 0, sizeof s->move);
    s->last = (HidMove){ 0 };
    s->first = s->count = 0;
    s->due = false;
}

const StateField hid_move_state[] = {
    STATE_U32(HidMove, dx), STATE_U32(HidMove, dy), STATE_U32(HidMove, dz), STATE_U16(HidMove, x),
    STATE_U16(HidMove, y), STATE_U8(HidMove, buttons), STATE_END
};
