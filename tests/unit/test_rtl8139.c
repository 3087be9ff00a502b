/*
 * Realtek's RTL8139C and C+, as a driver sees them: registers, EEPROM, the ring of bytes, descriptors. Section
 * numbers: RTL8139C(L)+ data sheet.
 */
#include "hw/net/rtl8139.h"

#include "hw/net/rtl8139_internal.h"
#include "nic.h"

enum { RX_RING = 0x20000, TX_RING = 0x10000, HIGH_RING = 0x11000, TX_BUFFER = 0x100000, RX_BUFFER = 0x200000 };

static void up(Nic *n, const char *cplus)
{
    nic_up(n, &rtl8139_type, "cplus", cplus);
    nic_map(n, 1, 0);
}

static void start(Nic *n, uint32_t rcr)
{
    nic_out(n, CR, CR_RST, 1);
    nic_out(n, RBSTART, RX_RING, 4);
    nic_out(n, CR, CR_TE | CR_RE, 1);
    nic_out(n, RCR, rcr, 4);
    nic_out(n, IMR, 0xffff, 2);
}

/* ---- registers ---- */

static void test_registers(void)
{
    Nic n;
    up(&n, "on");

    g_assert_cmphex(nic_in(&n, IDR0, 4), ==, 0xaa005452);
    g_assert_cmphex(nic_in(&n, IDR0 + 4, 2), ==, 0xccbb);
    g_assert_cmphex(nic_in(&n, TCR, 4) & 0x7cc00000, ==, 0x74800000); /* 8139C+ (6.6) */
    g_assert_cmphex(nic_read(&n, IDR0), ==, 0xaa005452);              /* by memory */
    nic_out(&n, IDR0, 0x11, 1);
    g_assert_cmphex(nic_in(&n, IDR0, 1), ==, 0x52); /* locked */
    nic_out(&n, CR9346, 0xc0, 1);
    nic_out(&n, IDR0, 0x11, 1);
    g_assert_cmphex(nic_in(&n, IDR0, 1), ==, 0x11);
    nic_out(&n, CR9346, 0, 1);
    nic_out(&n, MAR0, 0x12345678, 4);
    nic_out(&n, MAR0 + 4, 0x9abcdef0, 4);
    g_assert_cmphex(nic_in(&n, MAR0 + 3, 4), ==, 0xbcdef012);
    g_assert_cmphex(nic_in(&n, CR, 1), ==, CR_BUFE);
    g_assert_cmphex(nic_in(&n, BMSR, 2), ==, 0x786d);
    g_assert_cmphex(nic_in(&n, MSR, 1) & 4, ==, 0);
    nic_out(&n, IMR, INT_LINK, 2);
    net_set_link(net_find(n.b.m, "card"), false);
    g_assert_cmphex(nic_in(&n, MSR, 1) & 4, ==, 4);
    g_assert_cmpint(n.irq, ==, 1);
    nic_out(&n, ISR, INT_LINK, 2);
    g_assert_cmpint(n.irq, ==, 0);
    for (unsigned k = 0; k < 4; k++)
        g_assert_cmphex(nic_in(&n, TSD0 + 4 * k, 4), ==, TSD_OWN);
    nic_down(&n);
}

static unsigned eeprom_clock(Nic *n, unsigned bits, unsigned v)
{
    unsigned out = 0;
    while (bits--) {
        unsigned di = v >> bits & 1 ? EEPROM_DI : 0;
        nic_out(n, CR9346, MODE_PROGRAM | EEPROM_CS | di, 1);
        nic_out(n, CR9346, MODE_PROGRAM | EEPROM_CS | EEPROM_SK | di, 1);
        out = out << 1 | (nic_in(n, CR9346, 1) & EEPROM_DO);
    }
    return out;
}

static unsigned eeprom_read(Nic *n, unsigned word)
{
    nic_out(n, CR9346, MODE_PROGRAM, 1);
    eeprom_clock(n, 11, 6u << 6 | word); /* zeros before the start bit do not count */
    return eeprom_clock(n, 16, 0);
}

static void test_eeprom(void)
{
    Nic n;
    up(&n, "on");

    g_assert_cmphex(eeprom_read(&n, 0), ==, 0x8129);
    g_assert_cmphex(eeprom_read(&n, 2), ==, 0x8139);
    g_assert_cmphex(eeprom_read(&n, 7), ==, 0x5452);
    g_assert_cmphex(eeprom_clock(&n, 16, 0), ==, 0xaa00); /* goes on with the next */
    nic_down(&n);
}

/* The counter's clock is PCI's, 33 MHz (6.18, 6.19). */
static void test_timer(void)
{
    Nic n;
    up(&n, "on");

    at(&n.b, SECOND(1));
    nic_out(&n, TCTR, 0, 4);
    at(&n.b, SECOND(1) + 1000000);
    g_assert_cmpuint(nic_in(&n, TCTR, 4), ==, 33000);
    nic_out(&n, IMR, INT_TIMEOUT, 2);
    nic_out(&n, TIMERINT, 66000, 4);
    g_assert_cmpint(deadline(n.dev, "timer"), >=, SECOND(1) + 2000000);
    g_assert_cmpint(deadline(n.dev, "timer"), <, SECOND(1) + 2000100);
    g_assert_cmpint(n.irq, ==, 0);
    run_to(&n.b, SECOND(1) + 2000100);
    g_assert_cmpint(n.irq, ==, 1);
    nic_down(&n);
}

/* ---- C mode ---- */

static void test_ring(void)
{
    Nic n;
    uint8_t f[1000];
    up(&n, "off");
    g_assert_cmphex(nic_in(&n, TCR, 4) & 0x7cc00000, ==, 0x74000000);
    start(&n, RCR_APM | RCR_AB);

    nic_fill(f, 101, nic_mac, 4);
    nic_deliver(&n, f, 101);
    g_assert_cmpint(n.irq, ==, 1);
    g_assert_cmphex(nic_in(&n, ISR, 2), ==, INT_ROK);
    g_assert_cmphex(nic_in(&n, CR, 1) & CR_BUFE, ==, 0);
    g_assert_cmphex(ld16le(nic_ram(&n, RX_RING)), ==, RX_OK | RX_PHYSICAL);
    g_assert_cmpuint(ld16le(nic_ram(&n, RX_RING + 2)), ==, 105);
    g_assert_cmpmem(nic_ram(&n, RX_RING + 4), 101, f, 101);
    g_assert_cmpuint(nic_in(&n, CBR, 2), ==, 112); /* 4 + 105, to a multiple of 4 */
    nic_out(&n, CAPR, 112 - 16, 2);
    g_assert_cmphex(nic_in(&n, CR, 1) & CR_BUFE, ==, CR_BUFE);
    nic_fill(f, 1000, nic_mac, 5);
    for (unsigned k = 0; k < 9; k++) {
        nic_deliver(&n, f, 1000);
        nic_out(&n, CAPR, nic_in(&n, CBR, 2) - 16, 2);
    }
    g_assert_cmpuint(nic_in(&n, CBR, 2), ==, (112 + 9 * 1008) % 8192);
    nic_down(&n);
}

/* With WRAP the frame is in one piece behind the ring's end (6.11). */
static void test_wrap(void)
{
    Nic n;
    uint8_t f[1400];
    nic_fill(f, sizeof f, nic_mac, 1);

    for (unsigned wrap = 0; wrap < 2; wrap++) {
        up(&n, "off");
        start(&n, RCR_APM | (wrap ? RCR_WRAP : 0));
        for (unsigned k = 0; k < 5; k++) {
            nic_deliver(&n, f, sizeof f);
            nic_out(&n, CAPR, nic_in(&n, CBR, 2) - 16, 2);
        }
        nic_deliver(&n, f, sizeof f); /* at 5 * 1408 = 7040: 1152 bytes to the end */
        g_assert_cmpuint(nic_in(&n, CBR, 2), ==, 6 * 1408 - 8192);
        g_assert_cmpmem(nic_ram(&n, RX_RING + 7044), 1148, f, 1148);
        g_assert_cmpmem(nic_ram(&n, wrap ? RX_RING + 8192 : RX_RING), 252, f + 1148, 252);
        nic_down(&n);
    }
}

/* A ring that is full keeps what comes with the network, which a driver that did its share hears of again. */
static void test_full(void)
{
    Nic n;
    up(&n, "off");
    start(&n, RCR_APM);

    for (unsigned k = 0; k < 12; k++)
        nic_deliver_to(&n, nic_mac, 1000, k);
    uint32_t stored = nic_in(&n, CBR, 2) / 1008;
    g_assert_cmpuint(stored, ==, 7); /* a whole frame of 1514 must fit */
    nic_out(&n, ISR, INT_ROK, 2);
    g_assert_cmpint(n.irq, ==, 0);
    run_to(&n.b, 10000000);
    g_assert_cmpint(n.irq, ==, 1);
    nic_out(&n, CAPR, 7 * 1008 - 16, 2);
    nic_out(&n, ISR, INT_ROK, 2);
    g_assert_cmpuint(nic_in(&n, CBR, 2), ==, 12 * 1008 - 8192);
    nic_down(&n);
}

static bool receives(Nic *n, const uint8_t *to)
{
    uint32_t before = nic_in(n, CBR, 2);
    nic_deliver_to(n, to, 100, 0);
    uint32_t after = nic_in(n, CBR, 2);
    nic_out(n, CAPR, after - 16, 2);
    return before != after;
}

static void test_filters(void)
{
    static const uint8_t other[6] = { 0x52, 0x54, 0, 1, 1, 1 }, group[6] = { 1, 0, 0x5e, 0, 0, 1 },
                         all[6] = { 255, 255, 255, 255, 255, 255 };
    Nic n;
    up(&n, "off");
    start(&n, 0);

    g_assert_false(receives(&n, nic_mac));
    nic_out(&n, RCR, RCR_APM, 4);
    g_assert_true(receives(&n, nic_mac));
    g_assert_false(receives(&n, other) || receives(&n, all) || receives(&n, group));
    nic_out(&n, RCR, RCR_AB, 4);
    g_assert_true(receives(&n, all));
    nic_out(&n, RCR, RCR_AM, 4);
    g_assert_false(receives(&n, group));
    nic_out(&n, MAR0, 1u << 31, 4); /* its CRC begins with 011111 */
    g_assert_true(receives(&n, group));
    nic_out(&n, RCR, RCR_AAP, 4);
    g_assert_true(receives(&n, other) && receives(&n, group) && receives(&n, all));
    nic_down(&n);
}

static void test_transmit(void)
{
    Nic n;
    uint8_t f[300];
    up(&n, "off");
    start(&n, 0);
    nic_fill(f, sizeof f, nic_mac, 3);
    memcpy(nic_ram(&n, TX_BUFFER), f, sizeof f);

    for (unsigned k = 0; k < 6; k++) {
        nic_out(&n, TSAD0 + 4 * (k % 4), TX_BUFFER, 4);
        nic_out(&n, TSD0 + 4 * (k % 4), 200 + k, 4);
        g_assert_cmpmem(nic_sent(&n, k)->data, nic_sent(&n, k)->len, f, 200 + k);
        g_assert_cmphex(nic_in(&n, TSD0 + 4 * (k % 4), 4), ==, TSD_OWN | TSD_TOK | (200 + k));
    }
    g_assert_cmphex(nic_in(&n, ISR, 2), ==, INT_TOK);
    g_assert_cmphex(nic_in(&n, TSAD, 2), ==, 0xf00f);
    nic_out(&n, TSD0, 100, 4); /* not its turn */
    g_assert_cmpuint(n.frames->len, ==, 6);
    nic_out(&n, TSAD0 + 8, TX_BUFFER, 4);
    nic_out(&n, TSAD0 + 12, TX_BUFFER, 4);
    nic_out(&n, TSD0 + 8, 100, 4);
    nic_out(&n, TSD0 + 12, 100, 4);
    g_assert_cmpuint(n.frames->len, ==, 9);
    nic_out(&n, TCR, TCR_LOOPBACK, 4); /* comes back */
    nic_out(&n, RCR, RCR_AAP, 4);
    nic_out(&n, TSD0 + 4, 100, 4);
    g_assert_cmpuint(n.frames->len, ==, 9);
    g_assert_cmpmem(nic_ram(&n, RX_RING + 4), 100, f, 100);
    nic_down(&n);
}

/* ---- C+ mode ---- */

static void descriptor(Nic *n, uint32_t at, uint32_t word, uint32_t tag, uint64_t address)
{
    st32le(nic_ram(n, at), word);
    st32le(nic_ram(n, at + 4), tag);
    st64le(nic_ram(n, at + 8), address);
}

static void start_cplus(Nic *n, unsigned cpcr)
{
    nic_out(n, CPCR, CPCR_TX | CPCR_RX | cpcr, 2);
    start(n, RCR_APM);
    nic_out(n, CPCR, CPCR_TX | CPCR_RX | cpcr, 2);
    nic_out(n, TNPDS, TX_RING, 4);
    nic_out(n, THPDS, HIGH_RING, 4);
    nic_out(n, RDSAR, RX_RING, 4);
    for (unsigned k = 0; k < 4; k++)
        descriptor(n, RX_RING + 16 * k, 0x80000000 | (k == 3 ? 0x40000000 : 0) | 1536, 0, RX_BUFFER + 2048 * k);
}

static void test_cplus_receive(void)
{
    Nic n;
    uint8_t f[700];
    size_t size = nic_fill_tcp(f, 600);
    up(&n, "on");
    start_cplus(&n, CPCR_RX_SUMS | CPCR_RX_VLAN);

    nic_deliver(&n, f, size);
    g_assert_cmphex(ld32le(nic_ram(&n, RX_RING)), ==, 0x32010000 | (size + 4)); /* FS LS, PAM, TCP, no failure */
    g_assert_cmpmem(nic_ram(&n, RX_BUFFER), size, f, size);
    f[300] ^= 1;
    nic_deliver(&n, f, size);
    g_assert_cmphex(ld32le(nic_ram(&n, RX_RING + 16)), ==, 0x32012000 | (size + 4)); /* TCPF */
    nic_fill(f, 104, nic_mac, 0);
    memcpy(f + 12, (uint8_t[]){ 0x81, 0, 0x01, 0x23 }, 4);
    nic_deliver(&n, f, 104);
    g_assert_cmphex(ld32le(nic_ram(&n, RX_RING + 32)), ==, 0x32000000 | 104);
    g_assert_cmphex(ld32le(nic_ram(&n, RX_RING + 36)), ==, 0x10000 | 0x2301);
    g_assert_cmpmem(nic_ram(&n, RX_BUFFER + 4096 + 12), 88, f + 16, 88);
    nic_deliver_to(&n, nic_mac, 100, 0);
    g_assert_cmphex(ld32le(nic_ram(&n, RX_RING + 48)), ==, 0x72000000 | 104); /* EOR stays */
    nic_deliver_to(&n, nic_mac, 100, 7); /* none is free: it waits */
    g_assert_cmphex(ld32le(nic_ram(&n, RX_RING)) & 0x80000000, ==, 0);
    descriptor(&n, RX_RING, 0x80000000 | 64, 0, RX_BUFFER);
    run_to(&n.b, 10000000);
    g_assert_cmphex(ld32le(nic_ram(&n, RX_RING)), ==, 0x32300000 | 64); /* too small: an error */
    nic_down(&n);
}

static void test_cplus_transmit(void)
{
    Nic n;
    uint8_t whole[4000], *f;
    up(&n, "on");
    start_cplus(&n, 0);
    f = nic_ram(&n, TX_BUFFER);

    size_t size = nic_fill_tcp(f, 600);
    memcpy(whole, f, size);
    memset(f + 24, 0xee, 2); /* the card's own sums do not care */
    memset(f + 50, 0xee, 2);
    descriptor(&n, TX_RING, 0xa0000000 | 0x50000 | 100, 0, TX_BUFFER); /* FS, IPCS, TCPCS */
    descriptor(&n, TX_RING + 16, 0x90000000 | 0x50000 | (size - 100), 0, TX_BUFFER + 100);
    nic_out(&n, TPPOLL, TPPOLL_NORMAL, 1);
    g_assert_cmpmem(nic_sent(&n, 0)->data, nic_sent(&n, 0)->len, whole, size);
    g_assert_cmphex(ld32le(nic_ram(&n, TX_RING)) & 0x80000000, ==, 0);
    g_assert_cmphex(nic_in(&n, ISR, 2), ==, INT_TOK);
    size = nic_fill_tcp(f, 3000); /* a large send with a tag: LGSEN, MSS 1000 */
    descriptor(&n, TX_RING + 32, 0xf8000000 | 1000 << 16 | size, 0x20000 | 0x2301, TX_BUFFER);
    nic_out(&n, TPPOLL, TPPOLL_NORMAL, 1);
    g_assert_cmpuint(n.frames->len, ==, 4);
    for (unsigned k = 0; k < 3; k++) {
        const GByteArray *a = nic_sent(&n, 1 + k);
        g_assert_cmpuint(a->len, ==, 1058);
        g_assert_cmphex(ld32be(a->data + 12), ==, 0x81000123);
        g_assert_cmphex(ld32be(a->data + 42), ==, 0x1000 + 1000 * k);
    }
    nic_fill(f, 80, nic_mac, 0);
    descriptor(&n, HIGH_RING, 0xf0000000 | 80, 0, TX_BUFFER);
    nic_out(&n, TPPOLL, TPPOLL_HIGH, 1);
    g_assert_cmpmem(nic_sent(&n, 4)->data, nic_sent(&n, 4)->len, f, 80);
    nic_out(&n, DTCCR + 4, 0, 4);
    nic_out(&n, DTCCR, 0x3000 | 8, 4); /* the counters (6.3) */
    g_assert_cmpuint(ld64le(nic_ram(&n, 0x3000)), ==, 3);
    g_assert_cmphex(nic_in(&n, DTCCR, 4), ==, 0x3000);
    nic_down(&n);
}

/* ---- state, abuse ---- */

static void test_state(void)
{
    Nic n, to;
    uint8_t *f, whole[600];
    up(&n, "on");
    start_cplus(&n, 0);
    f = nic_ram(&n, TX_BUFFER);
    nic_fill(f, sizeof whole, nic_mac, 6);
    memcpy(whole, f, sizeof whole);
    descriptor(&n, TX_RING, 0xa0000000 | 100, 0, TX_BUFFER);
    nic_out(&n, TPPOLL, TPPOLL_NORMAL, 1);
    nic_deliver_to(&n, nic_mac, 90, 0);

    nic_move(&n, &rtl8139_type, "cplus", "on", &to);
    g_assert_cmpuint(to.frames->len, ==, 0);
    descriptor(&to, TX_RING + 16, 0xd0000000 | 500, 0, TX_BUFFER + 100);
    nic_out(&to, TPPOLL, TPPOLL_NORMAL, 1);
    g_assert_cmpmem(nic_sent(&to, 0)->data, nic_sent(&to, 0)->len, whole, sizeof whole);
    nic_deliver_to(&to, nic_mac, 91, 0);
    g_assert_cmphex(ld32le(nic_ram(&to, RX_RING + 16)), ==, 0x32000000 | 95);
    nic_down(&to);
}

static uint32_t some_value(GRand *r)
{
    switch (g_rand_int_range(r, 0, 4)) {
    case 0: return g_rand_int(r);
    case 1: return g_rand_int_range(r, 0, 256);
    case 2: return NIC_MEMORY + (g_rand_int(r) & 0xff); /* the card itself */
    default: return g_rand_int(r) & 0xfffff;
    }
}

static void test_abuse(gconstpointer cplus)
{
    static const uint8_t often[] = { CR, CR, RCR, TSD0, TSD0 + 4, TSD0 + 8, TSD0 + 12, TPPOLL, CPCR, RDSAR,
                                     TNPDS, CAPR, ISR };
    GRand *r = g_rand_new_with_seed(2);
    Nic n;
    uint8_t f[1600];
    up(&n, cplus);

    for (unsigned round = 0; round < 40000; round++) {
        unsigned size = 1 << g_rand_int_range(r, 0, 4), at = g_rand_int_range(r, 0, 256);
        if (round % 1000 == 0)
            for (unsigned k = 0; k < 0x100000; k += 4)
                st32le(nic_ram(&n, k), some_value(r));
        if (round % 100 == 0) /* a reset is likely now and then; what follows should run */
            nic_out(&n, CR, CR_TE | CR_RE, 1);
        at = g_rand_boolean(r) ? at : often[g_rand_int_range(r, 0, sizeof often)];
        if (g_rand_int_range(r, 0, 6))
            as_write(n.b.m->ports, NIC_PORTS + at, some_value(r), size);
        else
            as_read(n.b.m->memory, NIC_MEMORY + at, size);
        if (g_rand_int_range(r, 0, 8) == 0) {
            size_t length = g_rand_int_range(r, 14, sizeof f);
            nic_fill(f, length, nic_mac, round);
            nic_deliver(&n, f, length);
        }
        if (g_rand_int_range(r, 0, 100) == 0)
            run_to(&n.b, clock_now(n.b.m->clocks, MYNA_CLOCK_VIRTUAL) + g_rand_int_range(r, 0, 10000000));
        if (n.frames->len > 100)
            g_ptr_array_set_size(n.frames, 0);
    }
    nic_map(&n, 1, 0);
    nic_out(&n, CPCR, 0, 2); /* and works again */
    start(&n, RCR_AAP);
    nic_deliver_to(&n, nic_mac, 60, 0);
    g_assert_cmpuint(nic_in(&n, CBR, 2), >, 0);
    g_rand_free(r);
    nic_down(&n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rtl8139/registers", test_registers);
    g_test_add_func("/rtl8139/eeprom", test_eeprom);
    g_test_add_func("/rtl8139/timer", test_timer);
    g_test_add_func("/rtl8139/ring", test_ring);
    g_test_add_func("/rtl8139/wrap", test_wrap);
    g_test_add_func("/rtl8139/full", test_full);
    g_test_add_func("/rtl8139/filters", test_filters);
    g_test_add_func("/rtl8139/transmit", test_transmit);
    g_test_add_func("/rtl8139/cplus-receive", test_cplus_receive);
    g_test_add_func("/rtl8139/cplus-transmit", test_cplus_transmit);
    g_test_add_func("/rtl8139/state", test_state);
    g_test_add_data_func("/rtl8139/abuse", "off", test_abuse);
    g_test_add_data_func("/rtl8139/abuse-cplus", "on", test_abuse);
    return g_test_run();
}
