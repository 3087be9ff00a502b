/*
 * NE2000 cards, as a driver sees them: PROM, remote DMA, the receive ring, transmission. Section numbers: DP8390D data
 * sheet.
 */
#include "hw/net/ne2000.h"

#include "nic.h"

enum { CR = 0, PSTART = 1, PSTOP = 2, BNRY = 3, TPSR = 4, TSR = 4, TBCR = 5, ISR = 7, CURR = 7, RSAR = 8, MAR = 8,
       RBCR = 10, RCR = 12, RSR = 12, TCR = 13, DCR = 14, IMR = 15, CNTR2 = 15, DATA = 16, RESET = 31 };
enum { PAGE0 = 0x22, PAGE1 = 0x62, READ = 0x0a, WRITE = 0x12, SEND = 0x1a, TRANSMIT = 0x26, STOP = 0x21 };
enum { PRX = 1, PTX = 2, OVW = 0x10, RDC = 0x40, RST = 0x80 };
enum { FIRST = 0x46, END = 0x80 };

/* The ISA card is at the same ports as the PCI card, so that the tests serve both. */
static void up(Nic *n, const DeviceType *type)
{
    bool isa = type == &ne2k_isa_type;
    nic_up(n, type, isa ? "iobase" : NULL, isa ? "0xc000" : NULL);
    if (!isa)
        nic_map(n, 1, 0);
}

static int level(Nic *n) { return n->irq | n->b.level[9]; }

static void start(Nic *n, unsigned rcr)
{
    nic_out(n, CR, STOP, 1);
    nic_out(n, DCR, 0x49, 1);
    nic_out(n, RCR, rcr, 1);
    nic_out(n, TCR, 0, 1);
    nic_out(n, PSTART, FIRST, 1);
    nic_out(n, PSTOP, END, 1);
    nic_out(n, BNRY, FIRST, 1);
    nic_out(n, ISR, 0xff, 1);
    nic_out(n, IMR, 0x3f, 1);
    nic_out(n, CR, PAGE1, 1);
    for (unsigned k = 0; k < 6; k++)
        nic_out(n, 1 + k, nic_mac[k], 1);
    nic_out(n, CURR, FIRST + 1, 1);
    nic_out(n, CR, PAGE0, 1);
}

static void remote(Nic *n, unsigned at, unsigned count, unsigned command)
{
    nic_out(n, RSAR, at & 0xff, 1);
    nic_out(n, RSAR + 1, at >> 8, 1);
    nic_out(n, RBCR, count & 0xff, 1);
    nic_out(n, RBCR + 1, count >> 8, 1);
    nic_out(n, CR, command, 1);
}

static void remote_read(Nic *n, unsigned at, uint8_t *to, unsigned count)
{
    remote(n, at, count, READ);
    for (unsigned k = 0; k < count; k += 2)
        st16le(to + k, nic_in(n, DATA, 2));
}

static void remote_write(Nic *n, unsigned at, const uint8_t *from, unsigned count)
{
    remote(n, at, count, WRITE);
    for (unsigned k = 0; k < count; k += 2)
        nic_out(n, DATA, ld16le(from + k), 2);
}

static unsigned current(Nic *n)
{
    nic_out(n, CR, PAGE1, 1);
    unsigned v = nic_in(n, CURR, 1);
    nic_out(n, CR, PAGE0, 1);
    return v;
}

/* ---- */

static void test_prom(gconstpointer type)
{
    Nic n;
    uint8_t prom[32];
    up(&n, type);

    nic_in(&n, RESET, 1);
    g_assert_cmphex(nic_in(&n, ISR, 1), ==, RST);
    nic_out(&n, DCR, 0x49, 1);
    remote_read(&n, 0, prom, 32);
    for (unsigned k = 0; k < 6; k++) {
        g_assert_cmphex(prom[2 * k], ==, nic_mac[k]);
        g_assert_cmphex(prom[2 * k + 1], ==, nic_mac[k]);
    }
    g_assert_cmphex(prom[28], ==, 0x57);
    g_assert_cmphex(prom[30], ==, 0x57);
    g_assert_cmphex(nic_in(&n, ISR, 1) & RDC, ==, RDC);
    nic_out(&n, DCR, 0x48, 1); /* by bytes */
    remote(&n, 0, 3, READ);
    g_assert_cmphex(nic_in(&n, DATA, 1), ==, 0x52);
    g_assert_cmphex(nic_in(&n, DATA, 1), ==, 0x52);
    g_assert_cmphex(nic_in(&n, DATA, 1), ==, 0x54);
    g_assert_cmphex(nic_in(&n, 10, 1) | nic_in(&n, 11, 1) << 8, ==, 0x4350); /* "PC" */
    nic_down(&n);
}

static void test_memory(gconstpointer type)
{
    Nic n;
    uint8_t out[512], in[512];
    up(&n, type);
    start(&n, 0);
    nic_fill(out, sizeof out, nic_mac, 1);

    remote_write(&n, 0x4000, out, sizeof out);
    g_assert_cmphex(nic_in(&n, ISR, 1), ==, RDC);
    remote_read(&n, 0x4000, in, sizeof in);
    g_assert_cmpmem(in, sizeof in, out, sizeof out);
    remote(&n, 0x4000, 8, READ);
    g_assert_cmphex(nic_in(&n, DATA, 4), ==, ld32le(out)); /* four bytes at once */
    g_assert_cmphex(nic_in(&n, RSAR, 1) | nic_in(&n, RSAR + 1, 1) << 8, ==, 0x4004);
    remote_write(&n, (END - 1) << 8, out, sizeof out); /* goes on at the ring's first page (5.0) */
    remote_read(&n, FIRST << 8, in, 256);
    g_assert_cmpmem(in, 256, out + 256, 256);
    remote_write(&n, 0, out, 32); /* the PROM */
    remote_read(&n, 0, in, 32);
    g_assert_cmphex(in[28], ==, 0x57);
    nic_down(&n);
}

static void test_receive(gconstpointer type)
{
    Nic n;
    uint8_t f[700], in[704];
    up(&n, type);
    start(&n, 0);

    nic_fill(f, 600, nic_mac, 2);
    nic_deliver(&n, f, 600);
    g_assert_cmpint(level(&n), ==, 1);
    g_assert_cmphex(nic_in(&n, ISR, 1), ==, PRX);
    g_assert_cmphex(nic_in(&n, RSR, 1), ==, 1);
    remote_read(&n, (FIRST + 1) << 8, in, 604);
    g_assert_cmphex(in[0], ==, 1);
    g_assert_cmphex(in[1], ==, FIRST + 4);
    g_assert_cmpuint(ld16le(in + 2), ==, 604); /* with FCS */
    g_assert_cmpmem(in + 4, 600, f, 600);
    g_assert_cmphex(current(&n), ==, FIRST + 4);
    nic_out(&n, ISR, 0xff, 1);
    g_assert_cmpint(level(&n), ==, 0);
    nic_out(&n, BNRY, FIRST + 1, 1);
    nic_out(&n, CR, SEND, 1); /* 5.2: address and count from the header at BNRY */
    g_assert_cmphex(nic_in(&n, DATA, 2), ==, 1 | (FIRST + 4) << 8);
    g_assert_cmpuint(nic_in(&n, DATA, 2), ==, 604);
    nic_deliver_to(&n, nic_mac, 20, 0); /* padded to 60 */
    remote_read(&n, (FIRST + 4) << 8, in, 4);
    g_assert_cmpuint(ld16le(in + 2), ==, 64);
    nic_down(&n);
}

/* Frames go around the ring, and wait when it is full; the boundary is moved as Linux does, one page behind. */
static void test_ring(gconstpointer type)
{
    Nic n;
    uint8_t f[1400], in[1408];
    unsigned page = FIRST + 1, taken = 0;
    up(&n, type);
    start(&n, 0);

    for (unsigned k = 0; k < 50; k++) {
        nic_fill(f, sizeof f, nic_mac, k);
        nic_deliver(&n, f, sizeof f);
    }
    g_assert_cmphex(nic_in(&n, ISR, 1) & OVW, ==, 0);
    while (taken < 50) {
        remote_read(&n, page << 8, in, 1404);
        nic_fill(f, sizeof f, nic_mac, taken++);
        g_assert_cmpmem(in + 4, sizeof f, f, sizeof f);
        page = in[1];
        nic_out(&n, BNRY, page - 1, 1); /* also FIRST - 1 */
        nic_out(&n, ISR, PRX, 1);
    }
    g_assert_cmphex(current(&n), ==, page);
    nic_down(&n);
}

static bool receives(Nic *n, const uint8_t *to)
{
    unsigned before = current(n);
    nic_deliver_to(n, to, 100, 0);
    unsigned after = current(n);
    nic_out(n, BNRY, after - 1, 1);
    nic_out(n, ISR, 0xff, 1);
    return before != after;
}

static void test_filters(gconstpointer type)
{
    static const uint8_t other[6] = { 0x52, 0x54, 0, 1, 1, 1 }, group[6] = { 1, 0, 0x5e, 0, 0, 1 },
                         all[6] = { 255, 255, 255, 255, 255, 255 };
    Nic n;
    up(&n, type);
    start(&n, 0);

    g_assert_true(receives(&n, nic_mac));
    g_assert_false(receives(&n, other) || receives(&n, group) || receives(&n, all));
    nic_out(&n, RCR, 4, 1);
    g_assert_true(receives(&n, all));
    g_assert_false(receives(&n, group));
    nic_out(&n, RCR, 8, 1);
    g_assert_false(receives(&n, group));
    nic_out(&n, CR, PAGE1, 1);
    nic_out(&n, MAR + 3, 0x80, 1); /* its CRC begins with 011111 */
    nic_out(&n, CR, PAGE0, 1);
    g_assert_true(receives(&n, group));
    nic_out(&n, RCR, 0x10, 1);
    g_assert_true(receives(&n, other));
    nic_out(&n, RCR, 0x20, 1); /* monitor: counted only */
    g_assert_false(receives(&n, nic_mac));
    g_assert_cmpuint(nic_in(&n, CNTR2, 1), ==, 1);
    g_assert_cmpuint(nic_in(&n, CNTR2, 1), ==, 0);
    nic_out(&n, RCR, 0, 1);
    nic_out(&n, CR, 0x20, 1); /* neither STA nor STP: goes on */
    g_assert_true(receives(&n, nic_mac));
    nic_out(&n, CR, STOP, 1);
    nic_deliver_to(&n, nic_mac, 100, 0);
    nic_out(&n, CR, PAGE0, 1);
    g_assert_cmphex(nic_in(&n, ISR, 1), ==, 0);
    nic_down(&n);
}

static void test_transmit(gconstpointer type)
{
    Nic n;
    uint8_t f[300];
    up(&n, type);
    start(&n, 0);
    nic_fill(f, sizeof f, nic_mac, 3);

    remote_write(&n, 0x4000, f, sizeof f);
    nic_out(&n, ISR, RDC, 1);
    nic_out(&n, TPSR, 0x40, 1);
    nic_out(&n, TBCR, sizeof f & 0xff, 1);
    nic_out(&n, TBCR + 1, sizeof f >> 8, 1);
    nic_out(&n, CR, TRANSMIT, 1);
    g_assert_cmpmem(nic_sent(&n, 0)->data, nic_sent(&n, 0)->len, f, sizeof f);
    g_assert_cmphex(nic_in(&n, CR, 1), ==, PAGE0);
    g_assert_cmphex(nic_in(&n, TSR, 1), ==, 1);
    g_assert_cmphex(nic_in(&n, ISR, 1), ==, PTX);
    g_assert_cmpint(level(&n), ==, 1);
    nic_out(&n, TCR, 2, 1); /* loopback: not to the network */
    nic_out(&n, CR, TRANSMIT, 1);
    g_assert_cmpuint(n.frames->len, ==, 1);
    nic_down(&n);
}

static void test_state(gconstpointer type)
{
    bool isa = type == &ne2k_isa_type;
    Nic n, to;
    uint8_t f[300], in[304];
    up(&n, type);
    start(&n, 0);
    nic_fill(f, sizeof f, nic_mac, 3);
    nic_deliver(&n, f, sizeof f);
    remote(&n, (FIRST + 1) << 8, 304, READ); /* in the middle of reading the frame */
    for (unsigned k = 0; k < 100; k += 2)
        st16le(in + k, nic_in(&n, DATA, 2));

    nic_move(&n, type, isa ? "iobase" : NULL, isa ? "0xc000" : NULL, &to);
    for (unsigned k = 100; k < 304; k += 2)
        st16le(in + k, nic_in(&to, DATA, 2));
    g_assert_cmpmem(in + 4, sizeof f, f, sizeof f);
    g_assert_cmphex(nic_in(&to, ISR, 1), ==, PRX | RDC);
    nic_down(&to);
}

static void test_abuse(gconstpointer type)
{
    GRand *r = g_rand_new_with_seed(3);
    Nic n;
    uint8_t f[1600];
    up(&n, type);

    for (unsigned round = 0; round < 60000; round++) {
        unsigned size = 1 << g_rand_int_range(r, 0, 3), at = g_rand_int_range(r, 0, 32);
        if (round % 50 == 0)
            start(&n, 0x1f);
        if (at < 24 || g_rand_int_range(r, 0, 20) == 0) {
            if (g_rand_boolean(r))
                nic_out(&n, at, g_rand_int(r), size);
            else
                nic_in(&n, at, size);
        }
        if (g_rand_int_range(r, 0, 6) == 0) {
            size_t length = g_rand_int_range(r, 14, sizeof f);
            nic_fill(f, length, nic_mac, round);
            nic_deliver(&n, f, length);
        }
        if (g_rand_int_range(r, 0, 100) == 0)
            run_to(&n.b, clock_now(n.b.m->clocks, MYNA_CLOCK_VIRTUAL) + g_rand_int_range(r, 0, 10000000));
        if (n.frames->len > 100)
            g_ptr_array_set_size(n.frames, 0);
    }
    start(&n, 0x10);
    g_assert_true(receives(&n, nic_mac)); /* and works again */
    g_rand_free(r);
    nic_down(&n);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; GTestDataFunc fn; } tests[] = {
        { "prom", test_prom }, { "memory", test_memory }, { "receive", test_receive }, { "ring", test_ring },
        { "filters", test_filters }, { "transmit", test_transmit }, { "state", test_state }, { "abuse", test_abuse },
    };
    g_test_init(&argc, &argv, NULL);
    for (unsigned k = 0; k < G_N_ELEMENTS(tests); k++) {
        g_autofree char *isa = g_strconcat("/ne2k_isa/", tests[k].name, NULL);
        g_autofree char *pci = g_strconcat("/ne2k_pci/", tests[k].name, NULL);
        g_test_add_data_func(isa, &ne2k_isa_type, tests[k].fn);
        g_test_add_data_func(pci, &ne2k_pci_type, tests[k].fn);
    }
    return g_test_run();
}
