/*
 * A bench for USB: a machine with 8 MiB of memory, a PCI bus, no CPU, and a device "usb-test" whose endpoints a test
 * sets: bulk OUT and IN, which may NAK, stall, or be answered later.  Messages of MSI-X and MSI are counted by their
 * data.
 */
#ifndef MYNA_TESTS_UNIT_USB_BENCH_H
#define MYNA_TESTS_UNIT_USB_BENCH_H

#include <string.h>

#include "core/machine.h"
#include "hw/pci/pci_msi.h"
#include "hw/usb/usb_hid.h"
#include "util/bits.h"
#include "util/endian.h"

#define BENCH_MSI_AT UINT64_C(0xfee00000)
enum { BENCH_DEVFN = 3 << 3, BENCH_MESSAGES = 64 };

typedef struct UsbBench {
    Machine *m;
    PciBus *pci;
    Region *ram, *msi;
    int level;
    unsigned messages[BENCH_MESSAGES];
} UsbBench;

static inline uint32_t get32(UsbBench *b, uint64_t at) { return as_read(b->m->memory, at, 4); }
static inline uint64_t get64(UsbBench *b, uint64_t at) { return as_read(b->m->memory, at, 8); }
static inline void put32(UsbBench *b, uint64_t at, uint32_t v) { as_write(b->m->memory, at, v, 4); }
static inline void put64(UsbBench *b, uint64_t at, uint64_t v) { as_write(b->m->memory, at, v, 8); }

static inline void bench_line_set(void *opaque, int n, int level)
{
    (void)n;
    ((UsbBench *)opaque)->level = level;
}

static inline uint64_t bench_msi_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static inline void bench_msi_write(void *opaque, uint64_t offset, uint64_t v, unsigned size)
{
    (void)offset, (void)size;
    ((UsbBench *)opaque)->messages[v % BENCH_MESSAGES]++;
}

static inline void bench_config_write(UsbBench *b, unsigned at, uint32_t v, unsigned size)
{
    pci_bus_config_write(b->pci, 1u << 31 | BENCH_DEVFN << 8 | at, v, size);
}

static inline uint32_t bench_config_read(UsbBench *b, unsigned at, unsigned size)
{
    return pci_bus_config_read(b->pci, 1u << 31 | BENCH_DEVFN << 8 | at, size);
}

static inline void usb_bench_up(UsbBench *b)
{
    static const RegionOps msi_ops = { bench_msi_read, bench_msi_write, 4, 4 };
    IrqLine lines[4];
    memset(b, 0, sizeof *b);
    b->m = machine_new(64 * MiB, NULL);
    b->ram = region_new_ram(b->m->pool, "ram", 8 * MiB, NULL);
    b->msi = region_new_io("msi", 4096, &msi_ops, b);
    region_add(as_root(b->m->memory), 0, b->ram, 0);
    region_add(as_root(b->m->memory), BENCH_MSI_AT, b->msi, 0);
    b->pci = pci_bus_new(b->m, b->m->memory, b->m->ports);
    for (unsigned i = 0; i < 4; i++)
        lines[i] = (IrqLine) { bench_line_set, b, i };
    pci_bus_set_lines(b->pci, lines);
}

static inline void usb_bench_down(UsbBench *b)
{
    while (machine_devices(b->m)->len)
        device_remove(g_ptr_array_index(machine_devices(b->m), machine_devices(b->m)->len - 1));
    pci_bus_free(b->pci);
    region_remove(b->ram);
    region_remove(b->msi);
    machine_free(b->m);
    region_free(b->ram);
    region_free(b->msi);
}

static inline Device *usb_bench_add(UsbBench *b, const DeviceType *type, const char *property, const char *value)
{
    GError *err = NULL;
    Device *dev = device_add(b->m, type, NULL, &err, property, value, NULL);
    g_assert_no_error(err);
    return dev;
}

/* ---- usb-test: endpoint 1 OUT takes bytes, 81h gives them; 82h is isochronous ---- */

enum { TEST_BYTES = 1 << 20 };

typedef struct UsbTest {
    UsbDevice usb;
    UsbStatus answer;          /* of the next transfers, if not USB_OK; USB_ASYNC: kept in `packet` */
    UsbPacket *packet;
    bool ready_inside;         /* it says that it is ready while it answers NAK, and gives data next time */
    uint32_t taken, given, limit; /* bytes; limit: of a transfer, 0: none */
    unsigned transfers, cancelled;
    uint8_t sum;               /* of the bytes taken */
} UsbTest;

static inline uint8_t test_byte(uint32_t n) { return n * 5 + (n >> 8) + 3; }

static inline void usb_test_move(UsbTest *t, UsbPacket *p)
{
    uint8_t byte;
    uint64_t most = t->limit ? MIN(t->limit, p->data.size) : p->data.size;
    for (uint64_t n = 0; n < most; n++)
        if (p->pid == USB_IN) {
            byte = test_byte(t->given++);
            usb_packet_put(p, &byte, 1);
        } else {
            usb_packet_get(p, &byte, 1);
            t->sum += byte;
            t->taken++;
        }
}

static inline void usb_test_transfer(UsbDevice *d, UsbPacket *p)
{
    UsbTest *t = (UsbTest *)d;
    t->transfers++;
    p->status = t->answer;
    if (t->ready_inside) {
        t->ready_inside = false;
        p->status = USB_NAK;
        usb_ready(d, p->endpoint | (p->pid == USB_IN ? 0x80 : 0));
    } else if (t->answer == USB_OK) {
        usb_test_move(t, p);
    } else if (t->answer == USB_ASYNC) {
        g_assert_null(t->packet);
        t->packet = p;
    }
}

static inline void usb_test_cancel(UsbDevice *d, UsbPacket *p)
{
    UsbTest *t = (UsbTest *)d;
    g_assert_true(t->packet == p);
    t->packet = NULL;
    t->cancelled++;
}

/* Ends the transfer that it kept. */
static inline void usb_test_finish(UsbTest *t)
{
    UsbPacket *p = t->packet;
    g_assert_nonnull(p);
    t->packet = NULL;
    p->status = USB_OK;
    usb_test_move(t, p);
    usb_complete(p);
}

static const UsbEndpointDesc usb_test_endpoints[] = {
    { .address = 0x01, .attributes = USB_BULK, .max_packet = 1024, .max_burst = 3 },
    { .address = 0x81, .attributes = USB_BULK, .max_packet = 1024, .max_burst = 3 },
};
static const UsbEndpointDesc usb_test_alternate[] = {
    { .address = 0x82, .attributes = USB_ISOCHRONOUS, .max_packet = 192, .interval = 4 },
};
static const UsbInterfaceDesc usb_test_interfaces[] = {
    { .interface_class = 0xff, .endpoints = usb_test_endpoints, .endpoint_count = 2 },
    { .interface_class = 0xff, .alternate = 1, .endpoints = usb_test_alternate, .endpoint_count = 1 },
};
static const UsbConfigurationDesc usb_test_configuration = {
    .value = 3, .attributes = 0xe0, .milliamperes = 40, .interfaces = usb_test_interfaces, .interface_count = 2,
};
static const UsbSpeedDesc usb_test_high = { 0x0210, 0, 0, 0, 64, &usb_test_configuration, 1 };
static const UsbSpeedDesc usb_test_super = { 0x0300, 0, 0, 0, 512, &usb_test_configuration, 1 };
static const char *const usb_test_strings[] = { "", "Test", "Ger\303\244t \360\237\220\246", NULL };
static const UsbDesc usb_test_desc = {
    .vendor = 0x1234, .product = 0x5678, .release = 0x0102, .strings = usb_test_strings,
    .speeds = { [USB_HIGH] = &usb_test_high, [USB_SUPER] = &usb_test_super },
};
static const UsbType usb_test_usb_type = {
    .desc = &usb_test_desc, .transfer = usb_test_transfer, .cancel = usb_test_cancel,
};

static inline gboolean usb_test_create(Device *dev, GError **err)
{
    return usb_device_init((UsbDevice *)dev, &usb_test_usb_type, err);
}
static inline void usb_test_reset(Device *dev) { usb_device_reset((UsbDevice *)dev); }
static inline void usb_test_destroy(Device *dev) { usb_device_exit((UsbDevice *)dev); }
static inline gboolean usb_test_post_load(Device *dev, GError **err)
{
    return usb_device_post_load((UsbDevice *)dev, err);
}

static const Property usb_test_properties[] = { USB_PROPERTIES(UsbTest), PROPERTY_END };
static const StateField usb_test_state[] = {
    STATE_STRUCT(UsbTest, usb, usb_device_state), STATE_U32(UsbTest, taken), STATE_U32(UsbTest, given), STATE_END
};
static const DeviceType usb_test_type = {
    .name = "usb-test", .description = "for tests", .bus = "usb", .size = sizeof(UsbTest),
    .properties = usb_test_properties, .create = usb_test_create, .reset = usb_test_reset,
    .destroy = usb_test_destroy, .state = usb_test_state, .post_load = usb_test_post_load,
};

#endif
