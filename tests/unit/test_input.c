/*
 * core/input.c: which device gets keys and pointer, and what faces need not know of it.
 */
#include "core/input.h"

#include "core/machine.h"

typedef struct Fake {
    unsigned keys, last_key, down; /* events, their last, keys held */
    int dx, dy, dz;                /* sums */
    unsigned x, y, buttons, reports;
} Fake;

static void fake_key(void *opaque, unsigned usage, bool down)
{
    Fake *f = opaque;
    f->keys++;
    f->last_key = usage;
    f->down += down ? 1 : -1;
}

static void fake_motion(void *opaque, int dx, int dy, int dz, unsigned buttons)
{
    Fake *f = opaque;
    f->dx += dx;
    f->dy += dy;
    f->dz += dz;
    f->buttons = buttons;
    f->reports++;
}

static void fake_position(void *opaque, unsigned x, unsigned y, int dz, unsigned buttons)
{
    Fake *f = opaque;
    f->x = x;
    f->y = y;
    f->dz += dz;
    f->buttons = buttons;
    f->reports++;
}

static const InputSink keyboard = { .name = "keyboard", .key = fake_key };
static const InputSink mouse = { .name = "mouse", .motion = fake_motion };
static const InputSink tablet = { .name = "tablet", .position = fake_position };

static Machine *new_machine(void)
{
    GError *err = NULL;
    Machine *m = machine_new(1 << 20, &err);
    g_assert_no_error(err);
    return m;
}

/* The one activated last gets the keys; those held are let go on the other. */
static void test_keyboards(void)
{
    Machine *m = new_machine();
    Fake ps2 = { 0 }, usb = { 0 };
    g_assert_false(input_has_keyboard(m));
    input_key(m, 4, true); /* to nobody */
    input_add(m, &keyboard, &ps2, true);
    input_add(m, &keyboard, &usb, false);
    input_set_leds(m, &ps2, INPUT_NUM_LOCK);
    input_set_leds(m, &usb, INPUT_CAPS_LOCK);
    input_key(m, 4, true);
    input_key(m, 5, true);
    g_assert_cmpuint(ps2.down, ==, 2);
    g_assert_cmpuint(input_leds(m), ==, INPUT_NUM_LOCK);
    input_activate(m, &usb, true);
    g_assert_cmpuint(ps2.down, ==, 0);
    g_assert_cmpuint(usb.keys, ==, 0);
    g_assert_cmpuint(input_leds(m), ==, INPUT_CAPS_LOCK);
    input_key(m, 6, true);
    input_key(m, 7, true);
    input_release_keys(m);
    g_assert_cmpuint(usb.keys, ==, 4);
    g_assert_cmpuint(usb.down, ==, 0);
    input_remove(m, &usb);
    input_key(m, 8, true);
    g_assert_cmpuint(ps2.last_key, ==, 8);
    input_key(m, 300, true); /* no such usage */
    g_assert_cmpuint(ps2.last_key, ==, 8);
    machine_free(m);
}

/* Positions go before movements, whichever was activated last; then the other is used again. */
static void test_pointers(void)
{
    Machine *m = new_machine();
    Fake ps2 = { 0 }, usb = { 0 };
    const char *name;
    bool absolute, used;
    input_add(m, &tablet, &usb, false);
    input_add(m, &mouse, &ps2, true);
    g_assert_true(input_has_pointer(m));
    g_assert_false(input_is_absolute(m));
    input_activate(m, &usb, true);
    input_activate(m, &ps2, true);
    g_assert_true(input_is_absolute(m));
    input_position(m, 799, 0, 800, 600);
    g_assert_cmpuint(usb.x, ==, INPUT_SCALE - 1);
    g_assert_cmpuint(usb.y, ==, 0);
    input_buttons(m, INPUT_LEFT);
    input_buttons(m, INPUT_LEFT); /* no news */
    input_wheel(m, -2);
    g_assert_cmpuint(usb.reports, ==, 3);
    g_assert_cmpuint(usb.buttons, ==, INPUT_LEFT);
    g_assert_cmpint(usb.dz, ==, -2);
    g_assert_cmpuint(ps2.reports, ==, 0);
    g_assert_true(input_pointer_nth(m, 0, &name, &absolute, &used) && !g_strcmp0(name, "tablet") && absolute && used);
    g_assert_true(input_pointer_nth(m, 1, &name, &absolute, &used) && !g_strcmp0(name, "mouse") && !absolute && !used);
    g_assert_false(input_pointer_nth(m, 2, &name, &absolute, &used));
    input_activate(m, &usb, false);
    input_move(m, 3, 4);
    g_assert_cmpint(ps2.dx, ==, 3);
    g_assert_cmpint(ps2.dy, ==, 4);
    g_assert_cmpuint(ps2.buttons, ==, INPUT_LEFT);
    machine_free(m);
}

/* A way of 10,000 positions ends, as movements, where it ends. */
static void test_way(void)
{
    Machine *m = new_machine();
    Fake ps2 = { 0 };
    int x = 400, y = 300;
    input_add(m, &mouse, &ps2, true);
    input_position(m, x, y, 800, 600);
    g_assert_cmpint(ps2.dx, ==, 0);
    for (unsigned k = 0; k < 10000; k++) {
        x = CLAMP(x + g_test_rand_int_range(-20, 21), 0, 799);
        y = CLAMP(y + g_test_rand_int_range(-20, 21), 0, 599);
        input_position(m, x, y, 800, 600);
    }
    g_assert_cmpint(ps2.dx, ==, x - 400);
    g_assert_cmpint(ps2.dy, ==, y - 300);
    input_forget_position(m); /* the pointer comes back elsewhere */
    input_position(m, 0, 0, 800, 600);
    g_assert_cmpint(ps2.dx, ==, x - 400);
    machine_free(m);
}

/* Movements for a tablet, places in its own units, and positions beyond the screen. */
static void test_places(void)
{
    Machine *m = new_machine();
    Fake usb = { 0 };
    input_add(m, &tablet, &usb, true);
    input_place(m, 100, -1);
    g_assert_cmpuint(usb.x, ==, 100);
    g_assert_cmpuint(usb.y, ==, INPUT_SCALE / 2);
    input_place(m, -1, 200);
    g_assert_cmpuint(usb.x, ==, 100);
    g_assert_cmpuint(usb.y, ==, 200);
    input_move(m, 512, 0);
    g_assert_cmpuint(usb.x, ==, 100 + INPUT_SCALE / 2);
    input_move(m, -100000, 100000);
    g_assert_cmpuint(usb.x, ==, 0);
    g_assert_cmpuint(usb.y, ==, INPUT_SCALE - 1);
    input_position(m, -5, 7, 1, 1);
    g_assert_cmpuint(usb.x, ==, 0);
    g_assert_cmpuint(usb.y, ==, INPUT_SCALE - 1);
    input_position(m, 5000, -7, 640, 480);
    g_assert_cmpuint(usb.x, ==, INPUT_SCALE - 1);
    g_assert_cmpuint(usb.y, ==, 0);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/input/keyboards", test_keyboards);
    g_test_add_func("/input/pointers", test_pointers);
    g_test_add_func("/input/way", test_way);
    g_test_add_func("/input/places", test_places);
    return g_test_run();
}
