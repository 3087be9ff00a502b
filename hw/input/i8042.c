/*
 * 8042 keyboard and mouse controller, ports 60h and 64h (IBM Personal System/2 Hardware Interface Technical Reference,
 * "Keyboard and Auxiliary Device Controller").
 *
 * One output buffer holds the byte that the guest reads next.  It is filled from the controller's own answers first,
 * then from keyboard and mouse.  After the guest took a byte, the next one of a device follows a while later, as on the
 * serial wire: programs that read the same byte twice would otherwise lose one.
 */
#include "hw/input/i8042.h"

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/input/ps2.h"
#include "hw/isa/isa_device.h"

enum { STATUS_FULL = 0x01, STATUS_SYSTEM = 0x04, STATUS_COMMAND = 0x08, STATUS_UNLOCKED = 0x10, STATUS_AUX = 0x20 };
enum {
    MODE_IRQ1 = 0x01, MODE_IRQ12 = 0x02, MODE_SYSTEM = 0x04, MODE_NO_KEYBOARD = 0x10, MODE_NO_MOUSE = 0x20,
    MODE_TRANSLATE = 0x40
};
enum { OUT_RUN = 0x01, OUT_A20 = 0x02, OUT_LINES = 0xcc, OUT_KEYBOARD_FULL = 0x10, OUT_MOUSE_FULL = 0x20 };
enum { ANSWERS = 4, RAM_SIZE = 32, BYTE_NS = 100000, ISA_KEYBOARD = 1, ISA_MOUSE = 12 };

typedef struct I8042 {
    Device dev;
    IsaBus *bus;
    Region *data_port, *command_port;
    Timer *timer;            /* until a device's next byte */
    Ps2Keyboard keyboard;
    Ps2Mouse mouse;
    uint8_t ram[RAM_SIZE];   /* 0: the command byte, MODE_* */
    uint8_t output;          /* the byte to read */
    bool full, from_mouse;   /* it is new; it came from the mouse */
    bool system, after_command;
    uint8_t command;         /* that awaits a byte at port 60h; 0: none */
    uint8_t out_port;        /* OUT_RUN, OUT_A20 */
    bool release;            /* translation: F0h was taken, the next code gets bit 7 */
    uint8_t answers[ANSWERS];
    uint8_t answer_count;
    uint8_t answer_mouse;    /* a bit for each that goes as the mouse's */
    bool filling;            /* in kbc_fill: a device that makes new bytes as one is taken waits */
} I8042;

static void kbc_update_irq(I8042 *s)
{
    bool keyboard = s->full && !s->from_mouse && (s->ram[0] & MODE_IRQ1);
    bool mouse = s->full && s->from_mouse && (s->ram[0] & MODE_IRQ12);

    irq_set(&s->bus->irq[ISA_KEYBOARD], keyboard);
    irq_set(&s->bus->irq[ISA_MOUSE], mouse);
}

static void kbc_put(I8042 *s, uint8_t v, bool from_mouse)
{
    s->output = v;
    s->full = true;
    s->from_mouse = from_mouse;
}

static void kbc_put_answer(I8042 *s)
{
    kbc_put(s, s->answers[0], s->answer_mouse & 1);
    s->answer_count--;
    s->answer_mouse >>= 1;
    for (unsigned i = 0; i < s->answer_count; i++)
        s->answers[i] = s->answers[i + 1];
}

/* Takes the keyboard's next byte; translated, a release prefix is kept back until its code comes. */
static void kbc_put_key(I8042 *s)
{
    while (ps2_has_data(&s->keyboard.port)) {
        uint8_t v = ps2_take(&s->keyboard.port);
        if (!(s->ram[0] & MODE_TRANSLATE)) {
            kbc_put(s, v, false);
            return;
        }
        if (v == 0xf0) {
            s->release = true;
            continue;
        }
        kbc_put(s, ps2_set1_of_set2(v) | (s->release ? 0x80 : 0), false);
        s->release = false;
        return;
    }
}

/* Fills the output buffer if it is empty and something is there for it. */
static void kbc_fill(I8042 *s)
{
    bool wait = timer_armed(s->timer);

    s->filling = true;
    if (!s->full && s->answer_count)
        kbc_put_answer(s);
    if (!s->full && !wait && !(s->ram[0] & MODE_NO_KEYBOARD))
        kbc_put_key(s);
    if (!s->full && !wait && !(s->ram[0] & MODE_NO_MOUSE) && ps2_has_data(&s->mouse.port))
        kbc_put(s, ps2_take(&s->mouse.port), true);
    s->filling = false;
    kbc_update_irq(s);
}

static void kbc_ready(void *opaque)
{
    I8042 *s = opaque;

    if (!s->filling && !s->full && !timer_armed(s->timer))
        kbc_fill(s);
}

static void kbc_timer(void *opaque)
{
    kbc_fill(opaque);
}

static void kbc_answer(I8042 *s, uint8_t v, bool as_mouse)
{
    if (s->answer_count == ANSWERS) {
        log_guest_error("8042: commands without reading their answers");
        return;
    }
    s->answers[s->answer_count] = v;
    s->answer_mouse |= as_mouse << s->answer_count;
    s->answer_count++;
    kbc_fill(s);
}

/* The falling edge of IRQ1 or IRQ12 comes before the rising one of the next byte. */
static uint64_t kbc_read_data(void *opaque, uint64_t offset, unsigned size)
{
    I8042 *s = opaque;
    (void)offset, (void)size;

    if (!s->full)
        return s->output;
    uint8_t v = s->output;
    s->full = false;
    kbc_update_irq(s);
    timer_arm(s->timer, clock_now(s->dev.machine->clocks, MYNA_CLOCK_VIRTUAL) + BYTE_NS);
    kbc_fill(s);
    return v;
}

static uint64_t kbc_read_status(void *opaque, uint64_t offset, unsigned size)
{
    const I8042 *s = opaque;
    (void)offset, (void)size;

    return STATUS_UNLOCKED | (s->full ? STATUS_FULL : 0) | (s->full && s->from_mouse ? STATUS_AUX : 0) |
           (s->system ? STATUS_SYSTEM : 0) | (s->after_command ? STATUS_COMMAND : 0);
}

static void kbc_reset_machine(I8042 *s)
{
    machine_request_reset(s->dev.machine, "guest request (keyboard controller)");
}

static void kbc_set_a20(I8042 *s, bool on)
{
    s->out_port = on ? s->out_port | OUT_A20 : s->out_port & ~OUT_A20;
    isa_set_a20(s->dev.machine, on);
}

static uint8_t kbc_out_port(const I8042 *s)
{
    return OUT_LINES | s->out_port | (s->full ? s->from_mouse ? OUT_MOUSE_FULL : OUT_KEYBOARD_FULL : 0);
}

static void kbc_write_out_port(I8042 *s, uint8_t v)
{
    kbc_set_a20(s, v & OUT_A20);
    if (!(v & OUT_RUN))
        kbc_reset_machine(s);
}

static void kbc_set_mode(I8042 *s, uint8_t v)
{
    s->ram[0] = v;
    s->system = v & MODE_SYSTEM;
    kbc_fill(s);
}

static void kbc_self_test(I8042 *s)
{
    s->release = false;
    s->command = 0;
    kbc_set_mode(s, s->ram[0] | MODE_SYSTEM);
    kbc_answer(s, 0x55, false);
}

/* Commands 20h..3Fh and 60h..7Fh access the controller's memory; F0h..FFh pulse the low lines of its output port. */
static void kbc_command_range(I8042 *s, uint8_t v)
{
    if (v >= 0x20 && v < 0x40)
        kbc_answer(s, s->ram[v & 0x1f], false);
    else if (v >= 0x60 && v < 0x80)
        s->command = v;
    else if (v >= 0xf0 && !(v & OUT_RUN))
        kbc_reset_machine(s);
    else if (v < 0xf0)
        log_guest_error("8042: unknown command %02x", v);
}

static void kbc_command(I8042 *s, uint8_t v)
{
    s->command = 0;
    switch (v) {
    case 0xa4: kbc_answer(s, 0xf1, false); break; /* no password */
    case 0xa7: kbc_set_mode(s, s->ram[0] | MODE_NO_MOUSE); break;
    case 0xa8: kbc_set_mode(s, s->ram[0] & ~MODE_NO_MOUSE); break;
    case 0xa9: case 0xab: kbc_answer(s, 0x00, false); break; /* the lines are good */
    case 0xaa: kbc_self_test(s); break;
    case 0xad: kbc_set_mode(s, s->ram[0] | MODE_NO_KEYBOARD); break;
    case 0xae: kbc_set_mode(s, s->ram[0] & ~MODE_NO_KEYBOARD); break;
    case 0xc0: kbc_answer(s, 0x80, false); break; /* not locked */
    case 0xd0: kbc_answer(s, kbc_out_port(s), false); break;
    case 0xd1: case 0xd2: case 0xd3: case 0xd4: s->command = v; break;
    case 0xdd: case 0xdf: kbc_set_a20(s, v == 0xdf); break;
    case 0xe0: kbc_answer(s, 0x00, false); break; /* both clocks are low: nothing is on the wires */
    default: kbc_command_range(s, v); break;
    }
}

static void kbc_write_command(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    I8042 *s = opaque;
    (void)offset, (void)size;

    s->after_command = true;
    kbc_command(s, value);
}

/* What is sent to a device also opens its line. */
static void kbc_write_keyboard(I8042 *s, uint8_t v)
{
    s->ram[0] &= ~MODE_NO_KEYBOARD;
    ps2_keyboard_write(&s->keyboard, v);
    input_set_leds(s->dev.machine, &s->keyboard, ps2_keyboard_leds(&s->keyboard));
    kbc_fill(s);
}

static void kbc_write_mouse(I8042 *s, uint8_t v)
{
    s->ram[0] &= ~MODE_NO_MOUSE;
    ps2_mouse_write(&s->mouse, v);
    kbc_fill(s);
}

static void kbc_write_data(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    I8042 *s = opaque;
    uint8_t command = s->command, v = value;
    (void)offset, (void)size;

    s->after_command = false;
    s->command = 0;
    switch (command) {
    case 0x00: kbc_write_keyboard(s, v); break;
    case 0x60: kbc_set_mode(s, v); break;
    case 0xd1: kbc_write_out_port(s, v); break;
    case 0xd2: case 0xd3: kbc_answer(s, v, command == 0xd3); break;
    case 0xd4: kbc_write_mouse(s, v); break;
    default: s->ram[command & 0x1f] = v; break;
    }
}

static const RegionOps data_ops = { kbc_read_data, kbc_write_data, 1, 1 };
static const RegionOps command_ops = { kbc_read_status, kbc_write_command, 1, 1 };

static void keyboard_key(void *k, unsigned usage, bool down) { ps2_keyboard_key(k, usage, down); }
static void mouse_motion(void *m, int dx, int dy, int dz, unsigned buttons) { ps2_mouse_event(m, dx, dy, dz, buttons); }
static const InputSink keyboard_sink = { .name = "PS/2 keyboard", .key = keyboard_key };
static const InputSink mouse_sink = { .name = "PS/2 mouse", .motion = mouse_motion };

static gboolean i8042_create(Device *dev, GError **err)
{
    I8042 *s = (I8042 *)dev;
    Machine *m = dev->machine;

    s->bus = isa_bus_find(dev, err);
    if (!s->bus)
        return FALSE;
    s->timer = timer_new(m->clocks, MYNA_CLOCK_VIRTUAL, kbc_timer, s);
    ps2_keyboard_init(&s->keyboard, m, kbc_ready, s);
    ps2_mouse_init(&s->mouse, kbc_ready, s);
    s->data_port = isa_ports_add(dev, s->bus, 0x60, 1, &data_ops, s);
    s->command_port = isa_ports_add(dev, s->bus, 0x64, 1, &command_ops, s);
    input_add(m, &keyboard_sink, &s->keyboard, true);
    input_add(m, &mouse_sink, &s->mouse, true);
    if (!machine_find(m, "ps2-keyboard")) {
        machine_provide(m, "ps2-keyboard", &s->keyboard);
        machine_provide(m, "ps2-mouse", &s->mouse);
    }
    return TRUE;
}

static void i8042_destroy(Device *dev)
{
    I8042 *s = (I8042 *)dev;

    if (machine_find(dev->machine, "ps2-keyboard") == &s->keyboard) {
        machine_provide(dev->machine, "ps2-keyboard", NULL);
        machine_provide(dev->machine, "ps2-mouse", NULL);
    }
    input_remove(dev->machine, &s->keyboard);
    input_remove(dev->machine, &s->mouse);
    isa_ports_remove(dev, s->data_port);
    isa_ports_remove(dev, s->command_port);
    timer_free(s->timer);
    ps2_keyboard_exit(&s->keyboard);
}

/* As firmware leaves it, for guests that start without one: translating, with the keyboard's interrupt. */
static void i8042_reset(Device *dev)
{
    I8042 *s = (I8042 *)dev;

    for (unsigned i = 0; i < RAM_SIZE; i++)
        s->ram[i] = 0;
    s->ram[0] = MODE_IRQ1 | MODE_SYSTEM | MODE_TRANSLATE;
    s->out_port = OUT_RUN | OUT_A20;
    s->full = s->from_mouse = s->after_command = s->release = false;
    s->system = true;
    s->output = s->command = s->answer_count = s->answer_mouse = 0;
    timer_cancel(s->timer);
    ps2_keyboard_reset(&s->keyboard);
    input_set_leds(dev->machine, &s->keyboard, 0);
    ps2_mouse_reset(&s->mouse);
    kbc_update_irq(s);
}

static const StateField i8042_state[] = {
    STATE_STRUCT(I8042, keyboard, ps2_keyboard_state), STATE_STRUCT(I8042, mouse, ps2_mouse_state),
    STATE_TIMER(I8042, timer), STATE_ARRAY_U8(I8042, ram), STATE_U8(I8042, output), STATE_BOOL(I8042, full),
    STATE_BOOL(I8042, from_mouse), STATE_BOOL(I8042, system), STATE_BOOL(I8042, after_command),
    STATE_U8(I8042, command), STATE_U8(I8042, out_port), STATE_BOOL(I8042, release), STATE_ARRAY_U8(I8042, answers),
    STATE_U8(I8042, answer_count), STATE_U8(I8042, answer_mouse), STATE_END
};

static bool ps2_port_valid(const Ps2Port *p)
{
    return p->head < PS2_QUEUE_SIZE && p->count <= PS2_QUEUE_SIZE && p->reply_count <= PS2_REPLY_SIZE;
}

/* Commands with a parameter: lights, scan set, rate, and how the keys that follow behave. */
static bool awaits_parameter(uint8_t command)
{
    return command == 0xed || command == 0xf0 || command == 0xf3 || (command >= 0xfb && command <= 0xfd);
}

static bool keyboard_valid(const Ps2Keyboard *k)
{
    return ps2_port_valid(&k->port) && k->scan_set >= 1 && k->scan_set <= 3 &&
           (!k->command || awaits_parameter(k->command));
}

static gboolean i8042_post_load(Device *dev, GError **err)
{
    I8042 *s = (I8042 *)dev;

    if (s->answer_count > ANSWERS || !keyboard_valid(&s->keyboard) || !ps2_port_valid(&s->mouse.port))
        return error_set(err, "device '%s': the saved state is not one of a keyboard controller", dev->id);
    input_set_leds(dev->machine, &s->keyboard, ps2_keyboard_leds(&s->keyboard));
    return TRUE;
}

const DeviceType i8042_type = {
    .name = "i8042",
    .description = "keyboard and mouse controller",
    .bus = "isa",
    .size = sizeof(I8042),
    .create = i8042_create,
    .reset = i8042_reset,
    .destroy = i8042_destroy,
    .state = i8042_state,
    .post_load = i8042_post_load,
};
