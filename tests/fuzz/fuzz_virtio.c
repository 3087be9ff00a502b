/*
 * libFuzzer on virtio: a driver that means harm.  An input names a device and how its driver agrees with it; what
 * follows are writes of rings, buffers and registers, notifications and resets.  Nothing may crash, hang, or take
 * memory without bounds; what a device answers is not looked at.
 */
#include <unistd.h>

#include "../unit/virtio_driver.h"
#include "backends/block/block.h"
#include "hw/scsi/scsi.h"
#include "hw/virtio/virtio_balloon.h"
#include "hw/virtio/virtio_blk.h"
#include "hw/virtio/virtio_rng.h"
#include "hw/virtio/virtio_scsi.h"
#include "hw/virtio/virtio_serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input {
    const uint8_t *at;
    size_t left;
} Input;

static unsigned take(Input *in, unsigned bytes)
{
    unsigned v = 0;
    for (unsigned k = 0; k < bytes && in->left; k++, in->left--)
        v |= (unsigned)*in->at++ << 8 * k;
    return v;
}

enum { DISK_SIZE = 1 << 20 };

static void add_drive(Machine *m)
{
    char path[] = "/tmp/myna-fuzz-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0 || ftruncate(fd, DISK_SIZE))
        g_error("cannot make a file in /tmp");
    close(fd);
    block_open(m, &(BlockOptions){ .id = "disk", .file = path, .format = "raw" }, NULL);
    unlink(path);
}

static void add_device(Machine *m, unsigned which)
{
    switch (which % 5) {
    case 0:
        add_drive(m);
        device_add(m, &virtio_blk_type, NULL, NULL, "addr", "0x18", "packed", "on", "drive", "disk", NULL);
        break;
    case 1: device_add(m, &virtio_rng_type, NULL, NULL, "addr", "0x18", "packed", "on", NULL); break;
    case 2:
        device_add(m, &virtio_serial_type, NULL, NULL, "addr", "0x18", "packed", "on", "max_ports", "2", NULL);
        device_add(m, &virtconsole_type, NULL, NULL, NULL);
        device_add(m, &virtserialport_type, NULL, NULL, "name", "port", NULL);
        break;
    case 3:
        device_add(m, &virtio_balloon_type, NULL, NULL, "addr", "0x18", "packed", "on", "free-page-reporting", "on",
                   NULL);
        break;
    default:
        add_drive(m);
        device_add(m, &virtio_scsi_type, NULL, NULL, "addr", "0x18", "packed", "on", NULL);
        device_add(m, &scsi_hd_type, NULL, NULL, "drive", "disk", NULL);
        break;
    }
}

/* Bytes into a ring, an indirect table or a buffer, near its beginning. */
static void write_memory(Driver *d, Input *in)
{
    static const uint32_t places[] = { RING_AT, RING_AT + RING_STEP, RING_AT + 2 * RING_STEP, RING_AT + 3 * RING_STEP,
                                       TABLES_AT, BUFFERS_AT };
    uint64_t at = places[take(in, 1) % G_N_ELEMENTS(places)] + take(in, 2);
    unsigned n = take(in, 1) % 65;
    n = MIN(n, in->left);
    as_write_bytes(d->m->memory, at, in->at, n);
    in->at += n;
    in->left -= n;
}

/* A well-formed request with the input's bytes as what the device reads. */
static void add_request(Driver *d, Input *in)
{
    unsigned queue = take(in, 1) % DRIVER_QUEUES, slot = take(in, 1) % SLOTS, out = take(in, 1), room = take(in, 2);
    unsigned out_at = take(in, 2), in_at = take(in, 2);
    Segment s[] = { { BUFFERS_AT + out_at, out, false }, { BUFFERS_AT + 0x20000 + in_at, room, true } };
    out = MIN(out, in->left);
    as_write_bytes(d->m->memory, s[0].at, in->at, out);
    in->at += out;
    in->left -= out;
    if (d->queue[queue].size >= DRIVER_RING)
        driver_add(d, queue, slot, s, 2);
    driver_kick(d, queue);
}

static void start(Driver *d, Input *in)
{
    unsigned how = take(in, 1);
    uint64_t features = take(in, 4) | (uint64_t)take(in, 1) << 32;

    d->legacy = how & 1;
    d->indirect = how & 2;
    driver_set_status(d, 0);
    block_drain_all(d->m);
    driver_agree(d, d->legacy ? (uint32_t)features : features | UINT64_C(1) << VIRTIO_F_VERSION_1);
    for (unsigned n = 0; n < DRIVER_QUEUES; n++)
        driver_setup_queue(d, n);
    driver_set_status(d, d->legacy ? 7 : 15);
}

static void step(Driver *d, Input *in)
{
    unsigned size, at;
    switch (take(in, 1) % 8) {
    case 0:
    case 1: write_memory(d, in); break;
    case 2: add_request(d, in); break;
    case 3: driver_kick(d, take(in, 1) % 8); break;
    case 4:
        size = 1 << take(in, 1) % 3;
        at = take(in, 2) % 0x4000;
        mwrite(d, MODERN + at, take(in, size), size);
        mread(d, MODERN + at, size);
        break;
    case 5:
        size = 1 << take(in, 1) % 3;
        at = take(in, 1) % 64;
        as_write(d->m->ports, BAR0_AT + at, take(in, size), size);
        break;
    case 6: settle(d); break;
    default: start(d, in); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };
    Driver d;

    driver_machine_up(&d);
    add_device(d.m, take(&in, 1));
    machine_reset(d.m);
    driver_map(&d);
    start(&d, &in);
    for (unsigned k = 0; k < 100 && in.left; k++)
        step(&d, &in);
    settle(&d);
    while (d.m->devices->len)
        device_remove(d.m->devices->pdata[d.m->devices->len - 1]);
    block_close_all(d.m);
    driver_machine_down(&d);
    return 0;
}
