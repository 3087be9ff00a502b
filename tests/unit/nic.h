/*
 * A bench for network cards: a machine with RAM and a PCI bus, and on a hub the card and what the test plays itself.
 */
#ifndef MYNA_TESTS_UNIT_NIC_H
#define MYNA_TESTS_UNIT_NIC_H

#include "backends/net/net.h"
#include "bench.h"
#include "hw/pci/pci.h"
#include "util/endian.h"

enum { NIC_SLOT = 3, NIC_MEMORY = 0x10000000, NIC_PORTS = 0xc000, NIC_RAM = 8 << 20 };

typedef struct Nic {
    Bench b;
    CpuPort port;
    Region *ram;
    PciBus *pci;
    Device *dev;
    NetBackend *peer;
    GPtrArray *frames;      /* GByteArray *: what the card sent */
    NetOffload last;        /* of the last of them */
    int irq;                /* of any PCI line */
    unsigned edges;
} Nic;

static const uint8_t nic_mac[6] = { 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc };

static inline bool nic_can_receive(void *opaque)
{
    (void)opaque;
    return true;
}

static inline void nic_receive(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload)
{
    Nic *n = opaque;
    GByteArray *a = g_byte_array_new();

    g_byte_array_set_size(a, net_iov_size(iov, count));
    net_iov_copy(iov, count, 0, a->data, a->len);
    g_ptr_array_add(n->frames, a);
    n->last = *offload;
}

static const NetUser nic_peer = { nic_can_receive, nic_receive, NULL };

static inline void nic_line(void *opaque, int line, int level)
{
    Nic *n = opaque;
    (void)line;
    n->edges += level && !n->irq;
    n->irq = level;
}

static inline void nic_config(Nic *n, unsigned at, uint32_t v, unsigned size)
{
    pci_bus_config_write(n->pci, 1u << 31 | NIC_SLOT << 11 | at, v, size);
}

/* BARs of memory and ports where the tests look for them; command: what is decoded, and bus mastering. */
static inline void nic_map(Nic *n, unsigned memory_bar, unsigned port_bar)
{
    nic_config(n, PCI_BAR0 + 4 * memory_bar, NIC_MEMORY, 4);
    nic_config(n, PCI_BAR0 + 4 * port_bar, NIC_PORTS, 4);
    nic_config(n, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

/* property, value: one more of the card's, or NULL. */
static inline void nic_up(Nic *n, const DeviceType *type, const char *property, const char *value)
{
    GError *err = NULL;

    memset(n, 0, sizeof *n);
    bench_init(&n->b, &n->port);
    n->ram = region_new_ram(n->b.m->pool, "ram", NIC_RAM, &err);
    region_add(as_root(n->b.m->memory), 0, n->ram, 0);
    n->pci = pci_bus_new(n->b.m, n->b.m->memory, n->b.m->ports);
    const IrqLine line = { nic_line, n, 0 };
    pci_bus_set_lines(n->pci, (IrqLine[4]){ line, line, line, line });
    g_assert_true(net_open(n->b.m, "hubport,id=card,hubid=0", &err) && net_open(n->b.m, "hubport,id=peer,hubid=0", &err));
    n->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    n->peer = net_find(n->b.m, "peer");
    g_assert_true(net_attach(n->peer, "peer", &nic_peer, n, &err));
    n->dev = device_new(n->b.m, type, NULL);
    device_set(n->dev, "netdev", "card", &err);
    device_set(n->dev, "mac", "52:54:00:aa:bb:cc", &err);
    if (!strcmp(type->bus, "pci"))
        device_set(n->dev, "addr", "24", &err);
    if (property)
        device_set(n->dev, property, value, &err);
    g_assert_no_error(err);
    g_assert_true(device_create(n->dev, &err));
    type->reset(n->dev);
}

static inline void nic_down(Nic *n)
{
    device_remove(n->dev);
    net_detach(n->peer);
    net_close_all(n->b.m);
    g_ptr_array_unref(n->frames);
    pci_bus_free(n->pci);
    region_remove(n->ram);
    region_free(n->ram);
    machine_free(n->b.m);
}

static inline uint8_t *nic_ram(Nic *n, uint32_t at) { return region_host(n->ram) + at; }
static inline uint32_t nic_read(Nic *n, unsigned at) { return as_read(n->b.m->memory, NIC_MEMORY + at, 4); }
static inline void nic_write(Nic *n, unsigned at, uint32_t v) { as_write(n->b.m->memory, NIC_MEMORY + at, v, 4); }
static inline uint32_t nic_in(Nic *n, unsigned at, unsigned size) { return as_read(n->b.m->ports, NIC_PORTS + at, size); }

static inline void nic_out(Nic *n, unsigned at, uint32_t v, unsigned size)
{
    as_write(n->b.m->ports, NIC_PORTS + at, v, size);
}

/* A frame for `to` whose bytes follow from its size and seed. */
static inline void nic_fill(uint8_t *f, size_t size, const uint8_t *to, unsigned seed)
{
    for (size_t n = 0; n < size; n++)
        f[n] = n * 7 + seed;
    memcpy(f, to, 6);
    memcpy(f + 6, (uint8_t[]){ 0x52, 0x55, 0, 1, 2, 3, 0x88, 0xb5 }, 8);
}

static inline void nic_deliver(Nic *n, const uint8_t *f, size_t size)
{
    net_send(n->peer, &(struct iovec){ (void *)f, size }, 1, NULL);
}

static inline void nic_deliver_to(Nic *n, const uint8_t *to, size_t size, unsigned seed)
{
    uint8_t f[2000];
    nic_fill(f, size, to, seed);
    nic_deliver(n, f, size);
}

static inline const GByteArray *nic_sent(Nic *n, unsigned k)
{
    g_assert_cmpuint(k, <, n->frames->len);
    return n->frames->pdata[k];
}

/* An IPv4 frame of TCP with correct sums, `payload` bytes behind 54 of headers. */
static inline size_t nic_fill_tcp(uint8_t *f, size_t payload)
{
    static const uint8_t headers[54] = {
        0x52, 0x54, 0, 0xaa, 0xbb, 0xcc, 0x52, 0x55, 0, 1, 2, 3, 0x08, 0x00,
        0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15,
        0x1f, 0x90, 0x04, 0xd2, 0, 0, 0x10, 0, 0, 0, 0x20, 0, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0,
    };
    size_t size = sizeof headers + payload;
    const struct iovec iov = { f, size };

    memcpy(f, headers, sizeof headers);
    for (size_t n = 0; n < payload; n++)
        f[sizeof headers + n] = n * 3 + 1;
    st16be(f + 16, size - 14);
    st16be(f + 24, ~net_sum(&iov, 1, 14, 20));
    uint32_t sum = net_sum(&iov, 1, 26, 8) + 6 + (uint32_t)(size - 34) + net_sum(&iov, 1, 34, size - 34);
    sum = (sum & 0xffff) + (sum >> 16);
    st16be(f + 50, ~((sum & 0xffff) + (sum >> 16)));
    return size;
}

/* Saved and restored into another bench of the same kind, which takes the place of the first. */
static inline void nic_move(Nic *n, const DeviceType *type, const char *property, const char *value, Nic *to)
{
    GError *err = NULL;
    GByteArray *saved = machine_save(n->b.m);

    nic_up(to, type, property, value);
    g_assert_true(machine_load(to->b.m, saved->data, saved->len, &err));
    g_assert_no_error(err);
    g_byte_array_unref(saved);
    nic_down(n);
}

#endif
