/* VMware's backdoor and its pointer (hw/input/vmport.h, vmmouse.h) as their drivers use them, on a bench. */
#include "bench.h"
#include "hw/input/i8042.h"
#include "hw/input/vmmouse.h"
#include "hw/input/vmport.h"

enum { MAGIC = 0x564d5868, PORT = 0x5658 };
enum { READ_ID = 0x45414552, DISABLE = 0xf5, RELATIVE = 0x4c455252, ABSOLUTE = 0x53424152, VERSION = 0x3442554a };

typedef struct Caller {
    Bench b;
    CpuPort port;
    uint32_t r[IO_REGISTERS];
    bool calls;     /* the accesses are this CPU's */
} Caller;

static bool caller_get(void *opaque, uint32_t r[IO_REGISTERS])
{
    memcpy(r, ((Caller *)opaque)->r, sizeof((Caller *)0)->r);
    return ((Caller *)opaque)->calls;
}

static void caller_set(void *opaque, const uint32_t r[IO_REGISTERS])
{
    memcpy(((Caller *)opaque)->r, r, sizeof((Caller *)0)->r);
}

static void up(Caller *c)
{
    bench_init(&c->b, &c->port);
    c->calls = false;
    c->port = (CpuPort){ .cpu = c, .io_get = caller_get, .io_set = caller_set };
    c->b.m->ram_size = 64 << 20;
    bench_add(&c->b, &i8042_type, NULL, NULL);
    bench_add(&c->b, &vmport_type, "tsc-frequency", "6000000000");
    bench_add(&c->b, &vmmouse_type, NULL, NULL);
}

static void down(Caller *c) { bench_exit(&c->b); }

/* IN EAX, DX. */
static uint32_t call(Caller *c, uint32_t command, uint32_t argument)
{
    memcpy(c->r, (uint32_t[]){ MAGIC, argument, command, PORT, 0x1111, 0x2222 }, sizeof c->r);
    c->calls = true;
    c->r[IO_EAX] = as_read(c->b.m->ports, PORT, 4);
    c->calls = false;
    return c->r[IO_EAX];
}

static void expect_registers(const Caller *c, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
    g_assert_cmphex(c->r[IO_EAX], ==, eax);
    g_assert_cmphex(c->r[IO_EBX], ==, ebx);
    g_assert_cmphex(c->r[IO_ECX], ==, ecx);
    g_assert_cmphex(c->r[IO_EDX], ==, edx);
}

static void test_port(void)
{
    Caller c;
    up(&c);
    call(&c, 10, 0);
    expect_registers(&c, 6, MAGIC, 2, PORT);
    call(&c, 20, 0);
    expect_registers(&c, 64 << 20, 0x1177, 20, PORT);
    call(&c, 45, 0);
    expect_registers(&c, (uint32_t)6000000000, 1, (uint32_t)6000000000, PORT);
    g_assert_cmphex(call(&c, 11, 77), ==, UINT32_MAX); /* not there: nothing else changes */
    expect_registers(&c, UINT32_MAX, 77, 11, PORT);
    g_assert_cmphex(call(&c, 0x5000a, 0), ==, 6); /* CX alone is the command */
    g_assert_cmphex(call(&c, 60000, 0), ==, UINT32_MAX);
    /* Without the magic number, by bytes, and without a CPU it is no call. */
    c.calls = true;
    c.r[IO_EAX] = MAGIC + 1;
    c.r[IO_ECX] = 10;
    g_assert_cmphex(as_read(c.b.m->ports, PORT, 4), ==, UINT32_MAX);
    c.r[IO_EAX] = MAGIC;
    g_assert_cmphex(as_read(c.b.m->ports, PORT, 1), ==, 0xff);
    as_write(c.b.m->ports, PORT, 0, 4); /* OUT is one */
    g_assert_cmphex(c.r[IO_EAX], ==, 6);
    c.calls = false;
    g_assert_cmphex(as_read(c.b.m->ports, PORT, 4), ==, UINT32_MAX);
    as_write(c.b.m->ports, PORT, 0, 4);
    down(&c);
}

/* What Linux's vmmouse_enable() does. */
static void enable(Caller *c, uint32_t mode)
{
    call(c, 41, READ_ID);
    g_assert_cmphex(call(c, 40, 0), ==, 1);
    g_assert_cmphex(call(c, 39, 1), ==, VERSION);
    call(c, 41, mode);
    g_assert_cmphex(call(c, 40, 0), ==, 0);
}

static void expect_packet(Caller *c, uint32_t flags, uint32_t x, uint32_t y, uint32_t z)
{
    g_assert_cmphex(call(c, 40, 0) & 0xffff, >=, 4);
    call(c, 39, 4);
    expect_registers(c, flags, x, y, z);
}

static void mouse_write(Caller *c, uint8_t v)
{
    out(&c->b, 0x64, 0xd4);
    out(&c->b, 0x60, v);
}

/* A packet of the PS/2 mouse, whose bytes follow each other a while apart. */
static void expect_ps2_packet(Caller *c, int64_t *now)
{
    for (unsigned n = 0; n < 3; n++) {
        run_to(&c->b, *now += 1000000);
        g_assert_cmphex(in(&c->b, 0x64) & 0x21, ==, 0x21);
        g_assert_true(in(&c->b, 0x60) & 8 || n);
    }
    run_to(&c->b, *now += 1000000);
}

static void test_absolute(void)
{
    Caller c;
    int64_t now = 0;
    up(&c);
    g_assert_cmphex(call(&c, 40, 0), ==, 0xffff0000);
    g_assert_false(input_is_absolute(c.b.m));
    out(&c.b, 0x64, 0x60);
    out(&c.b, 0x60, 0x47); /* interrupts of both */
    mouse_write(&c, 0xf4);
    g_assert_cmphex(in(&c.b, 0x60), ==, 0xfa);
    enable(&c, ABSOLUTE);
    g_assert_true(input_is_absolute(c.b.m));
    unsigned edges = c.b.edges[12];
    input_position(c.b.m, 0, 1023, 1024, 1024);
    expect_ps2_packet(&c, &now);
    g_assert_cmpuint(c.b.edges[12], ==, edges + 3);
    g_assert_cmphex(call(&c, 40, 0), ==, 4);
    expect_packet(&c, 0, 0, 0xffff, 0);
    input_buttons(c.b.m, INPUT_LEFT | INPUT_MIDDLE);
    expect_ps2_packet(&c, &now);
    expect_packet(&c, 0x28, 0, 0xffff, 0);
    input_buttons(c.b.m, INPUT_RIGHT);
    input_wheel(c.b.m, -1);
    expect_packet(&c, 0x10, 0, 0xffff, 0);
    expect_packet(&c, 0x10, 0, 0xffff, (uint32_t)-1);
    call(&c, 41, DISABLE);
    g_assert_cmphex(call(&c, 40, 0), ==, 0xffff0000);
    g_assert_false(input_is_absolute(c.b.m));
    down(&c);
}

static void test_relative(void)
{
    Caller c;
    up(&c);
    enable(&c, RELATIVE);
    g_assert_false(input_is_absolute(c.b.m));
    input_move(c.b.m, 5, 7);
    expect_packet(&c, 0x10000, 5, (uint32_t)-7, 0);
    call(&c, 41, ABSOLUTE);
    g_assert_true(input_is_absolute(c.b.m));
    down(&c);
}

/* However slow the guest is, the last place is not lost; a button's change neither. */
static void test_many(void)
{
    Caller c;
    unsigned packets = 0;
    up(&c);
    enable(&c, ABSOLUTE);
    for (unsigned n = 0; n < 10000; n++)
        input_place(c.b.m, n, 2 * n);
    input_buttons(c.b.m, INPUT_LEFT);
    while (call(&c, 40, 0)) {
        call(&c, 39, 4);
        packets++;
        if (c.r[IO_EAX])
            break;
    }
    expect_registers(&c, 0x20, 9999 << 1, 19998 << 1 | 1, 0);
    g_assert_cmpuint(packets, <=, 256);
    for (unsigned n = 0; n < 1000; n++)
        input_buttons(c.b.m, n % 2 ? INPUT_RIGHT : INPUT_MIDDLE);
    g_assert_cmphex(call(&c, 40, 0), ==, 1024);
    uint32_t last = 0;
    while (call(&c, 40, 0))
        last = call(&c, 39, 4);
    g_assert_cmphex(last, ==, 0x10); /* what is held now */
    down(&c);
}

static void test_state(void)
{
    Caller a, b;
    GError *err = NULL;
    up(&a);
    up(&b);
    enable(&a, ABSOLUTE);
    input_place(a.b.m, 100, 200);
    input_place(a.b.m, 300, 400);
    call(&a, 39, 2); /* half a packet */
    expect_registers(&a, 0, 200, 39, PORT);
    GByteArray *saved = machine_save(a.b.m);
    machine_load(b.b.m, saved->data, saved->len, &err);
    g_assert_no_error(err);
    g_assert_true(input_is_absolute(b.b.m));
    call(&b, 39, 2);
    expect_registers(&b, 400, 0, 39, PORT);
    expect_packet(&b, 0, 600, 800, 0);
    g_byte_array_unref(saved);
    machine_reset(b.b.m);
    g_assert_false(input_is_absolute(b.b.m));
    g_assert_cmphex(call(&b, 40, 0), ==, 0xffff0000);
    down(&a);
    down(&b);
}

/* Asking for more than there is, or than registers hold, turns it off. */
static void test_abuse(void)
{
    static const uint32_t sizes[] = { 0, 1, 7, 0x80000004, UINT32_MAX };
    Caller c;
    up(&c);
    for (unsigned n = 0; n < G_N_ELEMENTS(sizes); n++) {
        enable(&c, ABSOLUTE);
        call(&c, 39, sizes[n]);
        g_assert_cmphex(call(&c, 40, 0), ==, 0xffff0000);
        g_assert_false(input_is_absolute(c.b.m));
        call(&c, 41, ABSOLUTE); /* not before its identity is asked for again */
        g_assert_false(input_is_absolute(c.b.m));
    }
    GRand *rand = g_rand_new_with_seed(7);
    const uint32_t requests[] = { READ_ID, DISABLE, RELATIVE, ABSOLUTE, 1, 4 };
    for (unsigned n = 0; n < 20000; n++) {
        call(&c, 39 + g_rand_int_range(rand, 0, 3), requests[g_rand_int_range(rand, 0, 6)]);
        input_move(c.b.m, g_rand_int_range(rand, -9, 9), g_rand_int_range(rand, -9, 9));
        input_buttons(c.b.m, g_rand_int_range(rand, 0, 32));
    }
    g_rand_free(rand);
    call(&c, 41, DISABLE);
    while (call(&c, 40, 0) & 0xffff)
        call(&c, 39, 1);
    enable(&c, ABSOLUTE);
    down(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmport/calls", test_port);
    g_test_add_func("/vmmouse/absolute", test_absolute);
    g_test_add_func("/vmmouse/relative", test_relative);
    g_test_add_func("/vmmouse/many", test_many);
    g_test_add_func("/vmmouse/state", test_state);
    g_test_add_func("/vmmouse/abuse", test_abuse);
    return g_test_run();
}
