/* virtio-keyboard, -mouse and -tablet as a driver sees them (Virtual I/O Device 1.2, 5.8). */
#include "hw/input/keys.h"
#include "hw/virtio/virtio_input.h"
#include "virtio_driver.h"

#define V1 (UINT64_C(1) << VIRTIO_F_VERSION_1)
enum { EV_SYN = 0, EV_KEY = 1, EV_REL = 2, EV_ABS = 3, EV_LED = 0x11, EV_REP = 0x14 };
enum { REL_X = 0, REL_Y = 1, REL_WHEEL = 8, ABS_X = 0, ABS_Y = 1, BTN_LEFT = 0x110 };
enum { BUFFERS = 8 }; /* a ring of 64 has room for these slots of the driver */
enum { NAME = 1, SERIAL = 2, IDS = 3, PROPERTIES = 0x10, EVENTS = 0x11, AXIS = 0x12 };

typedef struct Input {
    Driver d;
    unsigned given; /* buffers */
} Input;

/* ---- fixture ---- */

static void up(Input *k, const DeviceType *type)
{
    GError *err = NULL;
    memset(k, 0, sizeof *k);
    driver_machine_up(&k->d);
    device_add(k->d.m, type, NULL, &err, "addr", "0x18", "serial", "S1", NULL);
    g_assert_no_error(err);
    machine_reset(k->d.m);
    driver_map(&k->d);
}

static void start(Input *k) { driver_start(&k->d, V1, 2); }
static void down(Input *k) { driver_machine_down(&k->d); }

/* Room for so many events; slots are used in turn. */
static void give(Input *k, unsigned events)
{
    for (unsigned n = 0; n < events; n++, k->given++) {
        unsigned slot = k->given % BUFFERS;
        Segment s = { BUFFERS_AT + 16 * slot, 8, true };
        driver_add(&k->d, 0, slot, &s, 1);
    }
    driver_kick(&k->d, 0);
}

/* The next event, whose buffer is given back; false: there is none. */
static bool take(Input *k, unsigned *type, unsigned *code, int32_t *value)
{
    unsigned slot;
    uint32_t length;
    if (!driver_used(&k->d, 0, &slot, &length))
        return false;
    g_assert_cmpuint(length, ==, 8);
    *type = mread(&k->d, BUFFERS_AT + 16 * slot, 2);
    *code = mread(&k->d, BUFFERS_AT + 16 * slot + 2, 2);
    *value = mread(&k->d, BUFFERS_AT + 16 * slot + 4, 4);
    give(k, 1);
    return true;
}

static void expect(Input *k, unsigned type, unsigned code, int32_t value)
{
    unsigned t, c;
    int32_t v;
    g_assert_true(take(k, &t, &c, &v));
    g_assert_cmpuint(t, ==, type);
    g_assert_cmpuint(c, ==, code);
    g_assert_cmpint(v, ==, value);
}

static void expect_end(Input *k) { expect(k, EV_SYN, 0, 0); }

static void expect_nothing(Input *k)
{
    unsigned type, code;
    int32_t value;
    g_assert_false(take(k, &type, &code, &value));
}

/* The time until movement is reported again. */
static void pass(Input *k)
{
    clock_set(k->d.m->clocks, clock_now(k->d.m->clocks, MYNA_CLOCK_VIRTUAL) + 4000000);
    clock_fire_due(k->d.m->clocks);
}

static void save_and_restore(Input *k)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(k->d.m);
    machine_reset(k->d.m);
    machine_load(k->d.m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    g_byte_array_unref(saved);
    settle(&k->d);
}

/* ---- configuration ---- */

static unsigned choose(Input *k, unsigned what, unsigned which)
{
    mwrite(&k->d, DEVICE_CONFIG, what, 1);
    mwrite(&k->d, DEVICE_CONFIG + 1, which, 1);
    return mread(&k->d, DEVICE_CONFIG + 2, 1);
}

static uint8_t chosen(Input *k, unsigned n) { return mread(&k->d, DEVICE_CONFIG + 8 + n, 1); }
static bool chosen_bit(Input *k, unsigned n) { return chosen(k, n / 8) >> n % 8 & 1; }

static void expect_name(Input *k, const char *name)
{
    unsigned n = choose(k, NAME, 0);
    g_assert_cmpuint(n, ==, strlen(name));
    while (n--)
        g_assert_cmpint(chosen(k, n), ==, name[n]);
}

static void test_config_keyboard(void)
{
    Input k;
    up(&k, &virtio_keyboard_type);
    g_assert_cmphex(config_read(&k.d, 0, 4), ==, 0x10521af4);
    g_assert_cmphex(config_read(&k.d, 9, 4) & 0xffffff, ==, 0x090000);
    expect_name(&k, "Myna Virtio Keyboard");
    g_assert_cmpuint(choose(&k, SERIAL, 0), ==, 2);
    g_assert_cmpint(chosen(&k, 1), ==, '1');
    g_assert_cmpuint(choose(&k, IDS, 0), ==, 8);
    g_assert_cmpuint(chosen(&k, 0), ==, 6);
    g_assert_cmpuint(choose(&k, EVENTS, EV_KEY), ==, 194 / 8 + 1);
    g_assert_true(chosen_bit(&k, 30));
    g_assert_true(chosen_bit(&k, 194));
    g_assert_false(chosen_bit(&k, 0));
    g_assert_false(chosen_bit(&k, 84));
    g_assert_cmpuint(choose(&k, EVENTS, EV_LED), ==, 1);
    g_assert_cmphex(chosen(&k, 0), ==, 7);
    g_assert_cmpuint(choose(&k, EVENTS, EV_REP), ==, 1);
    g_assert_cmpuint(choose(&k, EVENTS, EV_REL), ==, 0);
    g_assert_cmpuint(choose(&k, EVENTS, EV_ABS), ==, 0);
    g_assert_cmpuint(chosen(&k, 0), ==, 0);
    g_assert_cmpuint(choose(&k, PROPERTIES, 0), ==, 0);
    g_assert_cmpuint(choose(&k, NAME, 1), ==, 0);
    g_assert_cmpuint(choose(&k, 0xff, 0xff), ==, 0);
    down(&k);
}

static void test_config_pointers(void)
{
    Input k;
    up(&k, &virtio_mouse_type);
    expect_name(&k, "Myna Virtio Mouse");
    g_assert_cmpuint(choose(&k, EVENTS, EV_KEY), ==, 0x114 / 8 + 1);
    g_assert_true(chosen_bit(&k, 0x114));
    g_assert_cmpuint(choose(&k, EVENTS, EV_REL), ==, 2);
    g_assert_cmphex(chosen(&k, 0) | chosen(&k, 1) << 8, ==, 0x103);
    g_assert_cmpuint(choose(&k, EVENTS, EV_ABS), ==, 0);
    g_assert_cmpuint(choose(&k, AXIS, ABS_X), ==, 0);
    down(&k);
    up(&k, &virtio_tablet_type);
    expect_name(&k, "Myna Virtio Tablet");
    g_assert_cmpuint(choose(&k, EVENTS, EV_REL), ==, 2);
    g_assert_cmphex(chosen(&k, 0) | chosen(&k, 1) << 8, ==, 0x100);
    g_assert_cmpuint(choose(&k, EVENTS, EV_ABS), ==, 1);
    g_assert_cmphex(chosen(&k, 0), ==, 3);
    g_assert_cmpuint(choose(&k, AXIS, ABS_Y), ==, 20);
    g_assert_cmpuint(mread(&k.d, DEVICE_CONFIG + 8, 4), ==, 0);
    g_assert_cmpuint(mread(&k.d, DEVICE_CONFIG + 12, 4), ==, 0x7fff);
    g_assert_cmpuint(choose(&k, AXIS, 2), ==, 0);
    down(&k);
}

/* ---- keys ---- */

/* Every key that has a name, with Linux's code, whose number a few of them spell out. */
static void test_keys(void)
{
    static const struct { const char *name; unsigned code; } known[] = {
        { "a", 30 }, { "z", 44 }, { "1", 2 }, { "0", 11 }, { "ret", 28 }, { "esc", 1 }, { "backspace", 14 },
        { "tab", 15 }, { "spc", 57 }, { "caps_lock", 58 }, { "f1", 59 }, { "f10", 68 }, { "f11", 87 },
        { "f12", 88 }, { "print", 99 }, { "scroll_lock", 70 }, { "pause", 119 }, { "insert", 110 }, { "home", 102 },
        { "pgup", 104 }, { "delete", 111 }, { "end", 107 }, { "pgdn", 109 }, { "right", 106 }, { "left", 105 },
        { "down", 108 }, { "up", 103 }, { "num_lock", 69 }, { "kp_divide", 98 }, { "kp_enter", 96 }, { "kp_0", 82 },
        { "kp_7", 71 }, { "less", 86 }, { "menu", 127 }, { "f24", 194 }, { "ro", 89 }, { "henkan", 92 },
        { "ctrl", 29 }, { "ctrl_r", 97 }, { "alt_r", 100 }, { "meta_r", 126 }, { "shift_r", 54 },
        { "volumeup", 115 },
    };
    Input k;
    up(&k, &virtio_keyboard_type);
    start(&k);
    give(&k, BUFFERS);
    for (const KeyName *n = key_names; n->name; n++) {
        unsigned code = evdev_of_usage(n->key);
        g_assert_cmpuint(code, !=, 0);
        choose(&k, EVENTS, EV_KEY);
        g_assert_true(chosen_bit(&k, code));
        input_key(k.d.m, n->key, true);
        input_key(k.d.m, n->key, true); /* the guest repeats by itself */
        expect(&k, EV_KEY, code, 1);
        expect_end(&k);
        input_key(k.d.m, n->key, false);
        expect(&k, EV_KEY, code, 0);
        expect_end(&k);
        expect_nothing(&k);
    }
    for (unsigned n = 0; n < G_N_ELEMENTS(known); n++)
        g_assert_cmpuint(evdev_of_usage(key_by_name(known[n].name)), ==, known[n].code);
    g_assert_cmpuint(evdev_of_usage(0), ==, 0);
    g_assert_cmpuint(evdev_of_usage(0xe8), ==, 0);
    g_assert_cmpuint(evdev_of_usage(~0u), ==, 0);
    down(&k);
}

/* Without buffers keys wait, in order, also over a save; when there are too many, no release is lost. */
static void test_keys_waiting(void)
{
    Input k;
    unsigned type, code, held = 0, events = 0;
    int32_t value;
    bool is_down[256] = { false };
    up(&k, &virtio_keyboard_type);
    start(&k);
    input_key(k.d.m, 4, true);
    input_key(k.d.m, 5, true);
    save_and_restore(&k);
    give(&k, 1);
    save_and_restore(&k);
    give(&k, BUFFERS - 1);
    expect(&k, EV_KEY, 30, 1);
    expect_end(&k);
    expect(&k, EV_KEY, 48, 1);
    expect_end(&k);
    expect_nothing(&k);
    driver_start(&k.d, V1, 2); /* forgets all */
    k.given = 0;
    for (unsigned n = 0; n < 1000; n++) {
        input_key(k.d.m, 4 + n % 97, true);
        if (n % 3)
            input_key(k.d.m, 4 + n % 97, false);
    }
    input_release_keys(k.d.m);
    give(&k, BUFFERS);
    while (take(&k, &type, &code, &value)) {
        events++;
        if (type != EV_KEY)
            continue;
        g_assert_true(is_down[code] == !value);
        is_down[code] = value;
        held += value ? 1 : -1;
    }
    g_assert_cmpuint(held, ==, 0);
    g_assert_cmpuint(events, >, 300);
    g_assert_cmpuint(events, <=, 512);
    down(&k);
}

static void test_lights(void)
{
    Input k;
    Segment s = { BUFFERS_AT + 0x1000, 8, false };
    up(&k, &virtio_keyboard_type);
    start(&k);
    mwrite(&k.d, s.at, EV_LED, 2);
    mwrite(&k.d, s.at + 2, 1, 2);
    mwrite(&k.d, s.at + 4, 1, 4);
    driver_request(&k.d, 1, &s, 1);
    g_assert_cmpuint(input_leds(k.d.m), ==, INPUT_CAPS_LOCK);
    mwrite(&k.d, s.at + 2, 2, 2);
    driver_request(&k.d, 1, &s, 1);
    save_and_restore(&k);
    g_assert_cmpuint(input_leds(k.d.m), ==, INPUT_CAPS_LOCK | INPUT_SCROLL_LOCK);
    mwrite(&k.d, s.at + 2, 1, 2);
    mwrite(&k.d, s.at + 4, 0, 4);
    driver_request(&k.d, 1, &s, 1);
    mwrite(&k.d, s.at + 2, 0xffff, 2);
    driver_request(&k.d, 1, &s, 1);
    s.size = 3;
    driver_request(&k.d, 1, &s, 1);
    g_assert_cmpuint(input_leds(k.d.m), ==, INPUT_SCROLL_LOCK);
    driver_set_status(&k.d, 0);
    g_assert_false(input_has_keyboard(k.d.m));
    down(&k);
}

/* ---- pointers ---- */

static void test_mouse(void)
{
    Input k;
    up(&k, &virtio_mouse_type);
    g_assert_false(input_has_pointer(k.d.m));
    start(&k);
    g_assert_true(input_has_pointer(k.d.m));
    g_assert_false(input_is_absolute(k.d.m));
    give(&k, BUFFERS);
    input_move(k.d.m, 3, -4);
    expect(&k, EV_REL, REL_X, 3);
    expect(&k, EV_REL, REL_Y, -4);
    expect_end(&k);
    input_wheel(k.d.m, 1); /* towards the user: down, which Linux counts as -1 */
    expect_nothing(&k);    /* too early */
    pass(&k);
    expect(&k, EV_REL, REL_WHEEL, -1);
    expect_end(&k);
    input_move(k.d.m, 1, 0);
    input_move(k.d.m, 1, 0);
    save_and_restore(&k);
    input_buttons(k.d.m, INPUT_LEFT | INPUT_EXTRA); /* not without what was before */
    expect(&k, EV_REL, REL_X, 2);
    expect(&k, EV_KEY, BTN_LEFT, 1);
    expect_end(&k);
    expect(&k, EV_KEY, BTN_LEFT + 4, 1);
    expect_end(&k);
    input_buttons(k.d.m, INPUT_MIDDLE);
    expect(&k, EV_KEY, BTN_LEFT, 0);
    expect_end(&k);
    expect(&k, EV_KEY, BTN_LEFT + 2, 1);
    expect_end(&k);
    expect(&k, EV_KEY, BTN_LEFT + 4, 0);
    expect_end(&k);
    expect_nothing(&k);
    down(&k);
}

/* However few buffers there are: the sum of all movements arrives, those before a click before it. */
static void test_mouse_many(void)
{
    Input k;
    unsigned type, code;
    int32_t value, sum[2] = { 0 }, at_click = -1;
    up(&k, &virtio_mouse_type);
    start(&k);
    give(&k, 3);
    for (unsigned n = 0; n < 10000; n++) {
        input_move(k.d.m, n % 7, 2 - n % 3);
        if (n == 4999)
            input_buttons(k.d.m, INPUT_RIGHT);
        if (n == 7000)
            save_and_restore(&k);
        if (n % 3 == 0)
            pass(&k);
    }
    for (unsigned last = 0; last < 2; last++, pass(&k))
        while (take(&k, &type, &code, &value)) {
            if (type == EV_REL)
                sum[code] += value;
            else if (type == EV_KEY)
                at_click = sum[0];
        }
    int32_t x = 0, y = 0, x_click = 0;
    for (int n = 0; n < 10000; n++) {
        x += n % 7;
        y += 2 - n % 3;
        x_click = n == 4999 ? x : x_click;
    }
    g_assert_cmpint(sum[0], ==, x);
    g_assert_cmpint(sum[1], ==, y);
    g_assert_cmpint(at_click, ==, x_click);
    down(&k);
}

static void test_tablet(void)
{
    Input k;
    unsigned type, code, x = 0, y = 0;
    int32_t value;
    up(&k, &virtio_tablet_type);
    start(&k);
    g_assert_true(input_is_absolute(k.d.m));
    give(&k, BUFFERS);
    input_position(k.d.m, 799, 0, 800, 600);
    expect(&k, EV_ABS, ABS_X, 0x7fff);
    expect(&k, EV_ABS, ABS_Y, 0);
    expect_end(&k);
    input_buttons(k.d.m, INPUT_LEFT);
    expect(&k, EV_KEY, BTN_LEFT, 1); /* it has not moved */
    expect_end(&k);
    pass(&k);
    input_wheel(k.d.m, -2);
    expect(&k, EV_REL, REL_WHEEL, 2);
    expect_end(&k);
    for (unsigned n = 0; n < 10000; n++) {
        input_place(k.d.m, n * 7919 % 32768, n * 104729 % 32768);
        if (n % 100 == 0)
            while (take(&k, &type, &code, &value))
                ;
        if (n == 5000)
            save_and_restore(&k);
    }
    pass(&k);
    while (take(&k, &type, &code, &value)) {
        x = type == EV_ABS && code == ABS_X ? (unsigned)value : x;
        y = type == EV_ABS && code == ABS_Y ? (unsigned)value : y;
    }
    g_assert_cmpuint(x, ==, 9999u * 7919 % 32768);
    g_assert_cmpuint(y, ==, 9999u * 104729 % 32768);
    down(&k);
}

/* Random events, buffers of all sizes, resets, saves. */
static void test_random(void)
{
    static const DeviceType *const types[] = { &virtio_keyboard_type, &virtio_mouse_type, &virtio_tablet_type };
    for (unsigned t = 0; t < G_N_ELEMENTS(types); t++) {
        Input k;
        unsigned slot;
        uint32_t length;
        up(&k, types[t]);
        start(&k);
        for (unsigned n = 0; n < 20000; n++) {
            Segment s = { BUFFERS_AT + 0x2000, g_test_rand_int_range(1, 20), g_test_rand_bit() };
            input_key(k.d.m, g_test_rand_int_range(0, 300), g_test_rand_bit());
            input_move(k.d.m, g_test_rand_int_range(-100000, 100000), g_test_rand_int_range(-9, 9));
            input_buttons(k.d.m, g_test_rand_int_range(0, 256));
            input_wheel(k.d.m, g_test_rand_int_range(-1000, 1000));
            mwrite(&k.d, DEVICE_CONFIG + g_test_rand_int_range(0, 140), g_test_rand_int(),
                   1 << g_test_rand_int_range(0, 3));
            mread(&k.d, DEVICE_CONFIG + g_test_rand_int_range(0, 140), 4);
            if (n % 3 == 0) {
                unsigned queue = g_test_rand_bit();
                driver_add(&k.d, queue, 0, &s, 1);
                driver_kick(&k.d, queue);
                driver_used(&k.d, queue, &slot, &length);
            }
            if (n % 5 == 0)
                pass(&k);
            if (n % 1000 == 0)
                save_and_restore(&k);
            if (n % 4999 == 0)
                start(&k);
        }
        down(&k);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-input/keyboard/config", test_config_keyboard);
    g_test_add_func("/virtio-input/keyboard/keys", test_keys);
    g_test_add_func("/virtio-input/keyboard/waiting", test_keys_waiting);
    g_test_add_func("/virtio-input/keyboard/lights", test_lights);
    g_test_add_func("/virtio-input/pointer/config", test_config_pointers);
    g_test_add_func("/virtio-input/mouse/events", test_mouse);
    g_test_add_func("/virtio-input/mouse/many", test_mouse_many);
    g_test_add_func("/virtio-input/tablet/events", test_tablet);
    g_test_add_func("/virtio-input/random", test_random);
    return g_test_run();
}
