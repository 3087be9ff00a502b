/* A USB stick as a host sees it: command, data and status on its bulk endpoints (Bulk-Only Transport 1.0). */
#include "hw/usb/usb_storage.h"
#include "tests/unit/disk_bench.h"
#include "hw/usb/usb.h"
#include "hw/usb/xhci.h"

enum { COMMAND = 0x10000, DATA = 0x20000, STATUS = 0x11000 };
enum { READ = 0x28, WRITE = 0x2a, INQUIRY = 0x12, REQUEST_SENSE = 0x03, TEST_READY = 0x00, CAPACITY = 0x25 };

typedef struct Fixture {
    DiskBench b;
    UsbDevice *d;
    UsbPacket packet;
    uint32_t tag;
} Fixture;

static UsbStatus transfer(Fixture *f, UsbPid pid, unsigned endpoint, uint64_t at, unsigned size)
{
    usb_packet_setup(&f->packet, pid, endpoint);
    g_assert_true(dma_add(&f->packet.data, at, size));
    return usb_submit(f->d, &f->packet);
}

/* Waits for the disk while the stick says NAK. */
static UsbStatus transfer_end(Fixture *f, UsbPid pid, uint64_t at, unsigned size)
{
    while (transfer(f, pid, 1, at, size) == USB_NAK)
        disk_bench_turn(&f->b, true);
    return f->packet.status;
}

static int control(Fixture *f, unsigned type, unsigned request, unsigned value, unsigned length)
{
    usb_packet_setup(&f->packet, USB_SETUP, 0);
    f->packet.setup[0] = type;
    f->packet.setup[1] = request;
    st16le(f->packet.setup + 2, value);
    st16le(f->packet.setup + 4, type == 2 ? 0x81 : 0);
    st16le(f->packet.setup + 6, length);
    g_assert_cmpint(usb_submit(f->d, &f->packet), ==, USB_OK);
    if (length)
        g_assert_cmpint(transfer(f, USB_IN, 0, DATA, length), ==, USB_OK);
    return transfer(f, length ? USB_OUT : USB_IN, 0, DATA, 0);
}

static void fixture_up(Fixture *f, gconstpointer drive)
{
    GError *err = NULL;
    memset(f, 0, sizeof *f);
    disk_bench_up(&f->b);
    f->b.dev = device_add(f->b.m, &qemu_xhci_type, NULL, &err, "addr", "24", NULL);
    g_assert_no_error(err);
    f->d = (UsbDevice *)device_add(f->b.m, &usb_storage_type, "stick", &err, "drive", (const char *)drive, NULL);
    g_assert_no_error(err);
    machine_reset(f->b.m);
    usb_packet_init(&f->packet, f->b.m->memory, NULL, NULL);
    g_assert_cmpint(control(f, 0, 9, 1, 0), ==, USB_OK);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    usb_packet_clear(&f->packet);
    disk_bench_down(&f->b);
}

static void command_put(Fixture *f, unsigned opcode, uint32_t block, unsigned blocks, uint32_t length, bool in)
{
    uint8_t b[31] = { 0 };
    st32le(b, 0x43425355);
    st32le(b + 4, ++f->tag);
    st32le(b + 8, length);
    b[12] = in ? 0x80 : 0;
    b[14] = 10;
    b[15] = opcode;
    st32be(b + 17, block);
    st16be(b + 22, blocks);
    if (opcode == INQUIRY || opcode == REQUEST_SENSE)
        b[19] = length;
    as_write_bytes(f->b.m->memory, COMMAND, b, sizeof b);
    g_assert_cmpint(transfer(f, USB_OUT, 1, COMMAND, sizeof b), ==, USB_OK);
}

/* Status of the last command; its residue is what the host expected and the stick did not move. */
static unsigned status_take(Fixture *f, uint32_t residue)
{
    uint8_t b[13];
    g_assert_cmpint(transfer_end(f, USB_IN, STATUS, 64), ==, USB_OK);
    g_assert_cmpuint(f->packet.actual, ==, sizeof b);
    as_read_bytes(f->b.m->memory, STATUS, b, sizeof b);
    g_assert_cmphex(ld32le(b), ==, 0x53425355);
    g_assert_cmpuint(ld32le(b + 4), ==, f->tag);
    g_assert_cmpuint(ld32le(b + 8), ==, residue);
    return b[12];
}

/* A disk reports once that it was reset. */
static void attention_clear(Fixture *f)
{
    command_put(f, TEST_READY, 0, 0, 0, false);
    status_take(f, 0);
}

static void check_data(Fixture *f, uint64_t at, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        g_assert_cmphex(as_read(f->b.m->memory, DATA + n, 1), ==, disk_pattern(at + n));
}

static void test_read(Fixture *f, gconstpointer unused)
{
    (void)unused;
    attention_clear(f);
    command_put(f, READ, 100, 16, 8192, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 8192), ==, USB_OK);
    check_data(f, 100 * 512, 8192);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
    command_put(f, READ, 7, 2, 1024, true);
    for (unsigned n = 0; n < 1024; n += 64) /* as UHCI asks */
        g_assert_cmpint(transfer_end(f, USB_IN, DATA + n, 64), ==, USB_OK);
    check_data(f, 7 * 512, 1024);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
    g_assert_cmpint(transfer(f, USB_IN, 1, DATA, 64), ==, USB_NAK);
}

static void test_write(Fixture *f, gconstpointer unused)
{
    (void)unused;
    attention_clear(f);
    for (unsigned n = 0; n < 2048; n += 4)
        as_write(f->b.m->memory, DATA + n, n ^ 0xabcd1234, 4);
    command_put(f, WRITE, 50, 4, 2048, false);
    g_assert_cmpint(transfer(f, USB_IN, 1, STATUS, 64), ==, USB_NAK);
    g_assert_cmpint(transfer(f, USB_OUT, 1, DATA, 1500), ==, USB_OK);
    g_assert_cmpint(transfer(f, USB_OUT, 1, DATA + 1500, 548), ==, USB_OK);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
    as_write(f->b.m->memory, DATA + 4, 0, 4);
    command_put(f, READ, 50, 4, 2048, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 2048), ==, USB_OK);
    for (unsigned n = 0; n < 2048; n += 4)
        g_assert_cmphex(as_read(f->b.m->memory, DATA + n, 4), ==, n ^ 0xabcd1234);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
}

static void test_errors(Fixture *f, gconstpointer unused)
{
    (void)unused;
    command_put(f, TEST_READY, 0, 0, 0, false);
    g_assert_cmpuint(status_take(f, 0), ==, 1); /* was reset */
    command_put(f, REQUEST_SENSE, 0, 0, 18, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 18), ==, USB_OK);
    g_assert_cmphex(as_read(f->b.m->memory, DATA + 2, 1), ==, 6);
    g_assert_cmphex(as_read(f->b.m->memory, DATA + 12, 1), ==, 0x29);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
    command_put(f, READ, DISK_BYTES / 512, 1, 512, true); /* behind the end */
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 512), ==, USB_OK);
    g_assert_cmpuint(f->packet.actual, ==, 512);
    g_assert_cmphex(as_read(f->b.m->memory, DATA + 4, 4), ==, 0);
    g_assert_cmpuint(status_take(f, 512), ==, 1);
    command_put(f, REQUEST_SENSE, 0, 0, 18, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 18), ==, USB_OK);
    g_assert_cmphex(as_read(f->b.m->memory, DATA + 12, 1), ==, 0x21);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
    command_put(f, READ, 0, 4, 512, true); /* more than the host has room for (6.7.2, case 7) */
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 512), ==, USB_OK);
    g_assert_cmpuint(status_take(f, 512), ==, 2);
    command_put(f, INQUIRY, 0, 0, 255, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 255), ==, USB_OK);
    g_assert_cmpint(as_read(f->b.m->memory, DATA, 1), ==, 0);
    uint32_t residue = 255 - (5 + as_read(f->b.m->memory, DATA + 4, 1));
    g_assert_cmpuint(status_take(f, residue), ==, 0);
}

/* What is no command stops both endpoints until the transport is reset (6.6.1, 5.3.4). */
static void test_reset(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmpint(control(f, 0xa1, 0xfe, 0, 1), ==, USB_OK);
    g_assert_cmpuint(as_read(f->b.m->memory, DATA, 1), ==, 0);
    g_assert_cmpint(transfer(f, USB_OUT, 1, DATA, 30), ==, USB_STALL);
    g_assert_cmpint(transfer(f, USB_IN, 1, DATA, 13), ==, USB_STALL);
    g_assert_cmpint(control(f, 2, 1, 0, 0), ==, USB_OK);
    g_assert_cmpint(transfer(f, USB_IN, 1, DATA, 13), ==, USB_STALL);
    g_assert_cmpint(control(f, 0x21, 0xff, 0, 0), ==, USB_OK);
    g_assert_cmpint(control(f, 0, 9, 1, 0), ==, USB_OK);
    attention_clear(f);
    command_put(f, READ, 0, 1, 3 << 20, true); /* more than is moved at once */
    g_assert_cmpint(transfer(f, USB_IN, 1, DATA, 512), ==, USB_STALL);
    g_assert_cmpint(control(f, 0x21, 0xff, 0, 0), ==, USB_OK);
    g_assert_cmpint(control(f, 0, 9, 1, 0), ==, USB_OK);
    command_put(f, READ, 0, 1, 512, true);
    usb_port_reset(f->d->port); /* while the disk reads */
    g_assert_cmpint(control(f, 0, 9, 1, 0), ==, USB_OK);
    g_assert_cmpint(transfer(f, USB_IN, 1, DATA, 512), ==, USB_NAK);
    command_put(f, CAPACITY, 0, 0, 8, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 8), ==, USB_OK);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
}

static void test_save(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    attention_clear(f);
    command_put(f, READ, 20, 16, 8192, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 1024), ==, USB_OK);
    GByteArray *saved = machine_save(f->b.m);
    machine_reset(f->b.m);
    g_assert_true(machine_load(f->b.m, saved->data, saved->len, &err));
    g_assert_cmpint(transfer_end(f, USB_IN, DATA + 1024, 7168), ==, USB_OK);
    check_data(f, 20 * 512, 8192);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
    command_put(f, READ, 9, 1, 512, true); /* and with the disk at work */
    g_byte_array_unref(saved);
    saved = machine_save(f->b.m);
    machine_reset(f->b.m);
    g_assert_true(machine_load(f->b.m, saved->data, saved->len, &err));
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 512), ==, USB_OK);
    check_data(f, 9 * 512, 512);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
    g_byte_array_unref(saved);
}

static void test_cd(Fixture *f, gconstpointer unused)
{
    (void)unused;
    attention_clear(f);
    command_put(f, INQUIRY, 0, 0, 36, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 36), ==, USB_OK);
    g_assert_cmphex(as_read(f->b.m->memory, DATA, 2), ==, 0x8005);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
    command_put(f, READ, 5, 1, 2048, true);
    g_assert_cmpint(transfer_end(f, USB_IN, DATA, 2048), ==, USB_OK);
    check_data(f, 5 * 2048, 2048);
    g_assert_cmpuint(status_take(f, 0), ==, 0);
}

static void test_random(Fixture *f, gconstpointer unused)
{
    static const uint8_t opcodes[] = { READ, WRITE, INQUIRY, REQUEST_SENSE, CAPACITY, 0x5a, 0x1a, 0xa0, 0x9e, 0xff };
    GRand *random = g_rand_new_with_seed(4);
    (void)unused;
    for (unsigned n = 0; n < 3000; n++) {
        unsigned size = g_rand_int_range(random, 0, 3) ? 512 : g_rand_int_range(random, 0, 5000);
        switch (g_rand_int_range(random, 0, 6)) {
        case 0: case 1:
            if (transfer(f, USB_OUT, 1, DATA, 0) != USB_OK && f->packet.status != USB_NAK)
                break;
            transfer(f, USB_OUT, 1, COMMAND, g_rand_int_range(random, 0, 20) ? 31 : size);
            break;
        case 2: transfer(f, USB_OUT, 1, DATA, size); break;
        case 3: disk_bench_turn(&f->b, false); break;
        case 4: transfer(f, USB_IN, 1, DATA, size); break;
        default: {
            uint8_t b[31] = { 'U', 'S', 'B', 'C', n, n >> 8, 0, 0, size, size >> 8, 0, 0, n << 7, 0, 10,
                              opcodes[g_rand_int_range(random, 0, sizeof opcodes)], 0, 0, 0, 0, n, 0, n >> 3, 8 };
            as_write_bytes(f->b.m->memory, COMMAND, b, sizeof b);
            if (g_rand_int_range(random, 0, 10) == 0) {
                control(f, 0x21, 0xff, 0, 0);
                control(f, 0, 9, 1, 0);
            }
        }
        }
        g_assert_cmpuint(f->packet.actual, <=, f->packet.data.size);
    }
    g_rand_free(random);
}

static void test_properties(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    g_assert_null(device_add(f->b.m, &usb_storage_type, NULL, &err, NULL));
    g_assert_nonnull(strstr(err->message, "needs drive=ID"));
    g_clear_error(&err);
    g_assert_null(device_add(f->b.m, &usb_storage_type, NULL, &err, "drive", "disk", NULL));
    g_assert_nonnull(strstr(err->message, "already used"));
    g_clear_error(&err);
    g_assert_null(device_add(f->b.m, &usb_storage_type, NULL, &err, "drive", "dsik", NULL));
    g_assert_nonnull(strstr(err->message, "did you mean 'disk'"));
    g_clear_error(&err);
    g_assert_null(device_add(f->b.m, &usb_storage_type, NULL, &err, "drive", "cd", "port", "1", NULL));
    g_assert_nonnull(strstr(err->message, "taken by 'stick'"));
    g_clear_error(&err);
    g_assert_nonnull(device_add(f->b.m, &usb_storage_type, NULL, &err, "drive", "cd", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST_WITH(name, function, drive)                                                                               \
    g_test_add("/usb-storage/" name, Fixture, drive, fixture_up, function, fixture_down)
#define TEST(name, function) TEST_WITH(name, function, "disk")
    TEST("read", test_read);
    TEST("write", test_write);
    TEST("errors", test_errors);
    TEST("reset", test_reset);
    TEST("save", test_save);
    TEST_WITH("cd", test_cd, "cd");
    TEST("random", test_random);
    TEST("properties", test_properties);
    return g_test_run();
}
