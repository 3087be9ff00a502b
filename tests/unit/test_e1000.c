/*
 * Intel's 82540EM and 82574L, as a driver sees them: registers, EEPROM, PHY, rings, interrupts.  Section numbers: 317453
 * (8254x) and 317694 (82574).
 */
#include "hw/net/e1000.h"

#include "hw/net/e1000_regs.h"
#include "hw/pci/pci_msi.h"
#include "nic.h"

enum { TX_RING = 0x10000, RX_RING = 0x20000, TX_BUFFER = 0x100000, RX_BUFFER = 0x200000, RING = 8 };

static void up(Nic *n, const DeviceType *type)
{
    nic_up(n, type, NULL, NULL);
    nic_map(n, 0, type == &e1000_type ? 1 : 2);
}

static void rx_start(Nic *n, uint32_t rctl)
{
    for (unsigned k = 0; k < RING; k++)
        st64le(nic_ram(n, RX_RING + 16 * k), RX_BUFFER + 0x4000 * k);
    nic_write(n, RDBAL, RX_RING);
    nic_write(n, RDLEN, 16 * RING);
    nic_write(n, RDH, 0);
    nic_write(n, RDT, RING - 1);
    nic_write(n, RCTL, rctl);
}

static void tx_start(Nic *n)
{
    nic_write(n, TDBAL, TX_RING);
    nic_write(n, TDLEN, 16 * RING);
    nic_write(n, TDH, 0);
    nic_write(n, TDT, 0);
    nic_write(n, TCTL, TCTL_EN | TCTL_PSP);
}

/* A descriptor at the tail, without telling the card. */
static unsigned tx_put(Nic *n, unsigned k, uint64_t address, uint32_t command, uint32_t options)
{
    uint8_t *d = nic_ram(n, TX_RING + 16 * (k % RING));
    st64le(d, address);
    st32le(d + 8, command);
    st32le(d + 12, options);
    return (k + 1) % RING;
}

/* ---- registers ---- */

static void test_registers(void)
{
    /* Which bits hold what is written (317453, chapter 13). */
    static const struct { uint16_t at; uint32_t mask; } registers[] = {
        { FCAL, 0xffffffff }, { FCAH, 0xffff }, { FCT, 0xffff }, { VET, 0xffff }, { RDTR, 0xffff }, { RDBAL, 0xfffffff0 },
        { RDBAH, 0xffffffff }, { RDLEN, 0xfff80 }, { RDH, 0xffff }, { RDT, 0xffff }, { FCRTH, 0xfff8 }, { FCTTV, 0xffff },
        { TIPG, 0x3fffffff }, { TDBAL, 0xfffffff0 }, { TDBAH, 0xffffffff }, { TDLEN, 0xfff80 }, { TIDV, 0xffff },
        { TXCW, 0xc000ffff }, { RA, 0xffffffff }, { RA + 4, 0x8003ffff }, { MTA + 508, 0xffffffff }, { VFTA, 0xffffffff },
        { IMS, 0x7fffffff }, { STATUS, 0 }, { RDBAL + QUEUE_STRIDE, 0 },
    };
    Nic n;
    up(&n, &e1000_type);

    for (unsigned k = 0; k < G_N_ELEMENTS(registers); k++) {
        uint32_t before = nic_read(&n, registers[k].at);
        nic_write(&n, registers[k].at, 0xffffffff);
        g_assert_cmphex(nic_read(&n, registers[k].at), ==, registers[k].mask ? registers[k].mask : before);
    }
    nic_write(&n, IMC, 0xfffffff0);
    g_assert_cmphex(nic_read(&n, IMS), ==, 0xf);
    nic_write(&n, CTRL, CTRL_RST);
    g_assert_cmphex(nic_read(&n, IMS), ==, 0);
    g_assert_cmphex(nic_read(&n, RA), ==, 0xaa005452);
    g_assert_cmphex(nic_read(&n, RA + 4), ==, 0x8000ccbb);
    nic_out(&n, 0, RA, 4); /* IOADDR, IODATA */
    g_assert_cmphex(nic_in(&n, 4, 4), ==, 0xaa005452);
    nic_down(&n);
}

static unsigned microwire(Nic *n, unsigned bits, unsigned v)
{
    unsigned out = 0;
    while (bits--) {
        uint32_t di = v >> bits & 1 ? EECD_DI : 0;
        nic_write(n, EECD, EECD_REQ | EECD_CS | di);
        nic_write(n, EECD, EECD_REQ | EECD_CS | di | EECD_SK);
        out = out << 1 | (nic_read(n, EECD) & EECD_DO ? 1 : 0);
    }
    return out;
}

static unsigned microwire_read(Nic *n, unsigned word)
{
    nic_write(n, EECD, EECD_REQ);
    nic_write(n, EECD, EECD_REQ | EECD_CS);
    microwire(n, 9, 6u << 6 | word);
    return microwire(n, 16, 0);
}

static void microwire_write(Nic *n, unsigned word, uint16_t v)
{
    nic_write(n, EECD, EECD_REQ);
    nic_write(n, EECD, EECD_REQ | EECD_CS);
    microwire(n, 9, 5u << 6 | word);
    microwire(n, 16, v);
    nic_write(n, EECD, EECD_REQ);
}

/* Both ways of reading, and the sum (317453, 5.6.35). */
static void test_eeprom(void)
{
    Nic n;
    uint16_t sum = 0;
    up(&n, &e1000_type);

    nic_write(&n, EECD, EECD_REQ);
    g_assert_cmphex(nic_read(&n, EECD) & (EECD_GNT | EECD_PRES), ==, EECD_GNT | EECD_PRES);
    for (unsigned k = 0; k < 64; k++) {
        nic_write(&n, EERD, k << 8 | 1);
        uint32_t v = nic_read(&n, EERD);
        g_assert_cmphex(v & 0x10, ==, 0x10);
        g_assert_cmphex(microwire_read(&n, k), ==, v >> 16);
        sum += v >> 16;
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    g_assert_cmphex(microwire_read(&n, 2), ==, 0xccbb);
    microwire_write(&n, 0x20, 0x1234);
    g_assert_cmphex(microwire_read(&n, 0x20), ==, 0xffff); /* not enabled */
    nic_write(&n, EECD, EECD_REQ);
    microwire(&n, 9, 0x130); /* EWEN */
    microwire_write(&n, 0x20, 0x1234);
    g_assert_cmphex(microwire_read(&n, 0x20), ==, 0x1234);
    nic_down(&n);
}

static unsigned phy_read(Nic *n, unsigned at)
{
    nic_write(n, MDIC, 2u << 26 | 1 << 21 | at << 16);
    g_assert_cmphex(nic_read(n, MDIC) & (MDIC_READY | MDIC_ERROR), ==, MDIC_READY);
    return nic_read(n, MDIC) & 0xffff;
}

static void test_phy_and_link(void)
{
    Nic n;
    up(&n, &e1000_type);

    g_assert_cmphex(phy_read(&n, 2), ==, 0x0141);
    g_assert_cmphex(phy_read(&n, 3), ==, 0x0c20);
    nic_write(&n, MDIC, 2u << 26 | 2 << 21);
    g_assert_cmphex(nic_read(&n, MDIC) & MDIC_ERROR, ==, MDIC_ERROR);
    g_assert_cmphex(nic_read(&n, STATUS) & (STATUS_LU | STATUS_FD | 0xc0), ==, STATUS_LU | STATUS_FD | STATUS_1000);
    nic_write(&n, IMS, INT_LSC);
    net_set_link(net_find(n.b.m, "card"), false);
    g_assert_cmphex(nic_read(&n, STATUS) & STATUS_LU, ==, 0);
    g_assert_cmphex(phy_read(&n, 1) & 4, ==, 0);
    g_assert_cmpint(n.irq, ==, 1);
    g_assert_cmphex(nic_read(&n, ICR), ==, INT_LSC);
    g_assert_cmpint(n.irq, ==, 0);
    net_set_link(net_find(n.b.m, "card"), true);
    g_assert_cmphex(nic_read(&n, ICR), ==, INT_LSC);
    nic_write(&n, MDIC, 1u << 26 | 1 << 21 | 0x1340); /* negotiates anew */
    g_assert_cmphex(nic_read(&n, STATUS) & STATUS_LU, ==, 0);
    run_to(&n.b, SECOND(1));
    g_assert_cmphex(nic_read(&n, STATUS) & STATUS_LU, ==, STATUS_LU);
    g_assert_cmphex(phy_read(&n, 1) & 0x24, ==, 0x24);
    nic_down(&n);
}

/* ---- receive ---- */

static void assert_received(Nic *n, unsigned k, const uint8_t *f, size_t size, unsigned status)
{
    const uint8_t *d = nic_ram(n, RX_RING + 16 * k);
    g_assert_cmphex(d[12], ==, status);
    g_assert_cmpuint(ld16le(d + 8), ==, size + 4);
    g_assert_cmpmem(nic_ram(n, RX_BUFFER + 0x4000 * k), size, f, size);
}

static void test_receive(void)
{
    Nic n;
    uint8_t f[2000] = { 0 };
    up(&n, &e1000_type);
    rx_start(&n, RCTL_EN | RCTL_BAM);
    nic_write(&n, IMS, INT_RXT0);

    nic_fill(f, 42, nic_mac, 1);
    nic_deliver(&n, f, 42);
    g_assert_cmpint(n.irq, ==, 1);
    memset(f + 42, 0, 18);
    assert_received(&n, 0, f, 60, RXD_DD | RXD_EOP | RXD_IXSM); /* padded */
    g_assert_cmpuint(nic_read(&n, RDH), ==, 1);
    g_assert_cmphex(nic_read(&n, ICR), ==, INT_RXT0);
    nic_write(&n, RCTL, RCTL_EN | 3 << 16); /* buffers of 256 bytes */
    nic_fill(f, 1000, nic_mac, 2);
    nic_deliver(&n, f, 1000);
    g_assert_cmpuint(nic_read(&n, RDH), ==, 5);
    for (unsigned k = 0; k < 4; k++) {
        g_assert_cmphex(*nic_ram(&n, RX_RING + 16 * (1 + k) + 12) & 3, ==, k == 3 ? 3 : 1);
        g_assert_cmpmem(nic_ram(&n, RX_BUFFER + 0x4000 * (1 + k)), k == 3 ? 232 : 256, f + 256 * k, k == 3 ? 232 : 256);
    }
    nic_deliver(&n, f, 1000); /* two buffers are left: lost */
    g_assert_cmphex(nic_read(&n, ICR) & INT_RXO, ==, INT_RXO);
    g_assert_cmpuint(nic_read(&n, MPC), ==, 1);
    g_assert_cmpuint(nic_read(&n, MPC), ==, 0); /* cleared by the read */
    nic_deliver(&n, f, 1515); /* longer than 1518 with FCS */
    g_assert_cmpuint(nic_read(&n, ROC), ==, 1);
    nic_down(&n);
}

static bool receives(Nic *n, const uint8_t *to)
{
    uint32_t before = nic_read(n, RDH);
    nic_deliver_to(n, to, 100, 0);
    bool moved = nic_read(n, RDH) != before;
    nic_write(n, RDT, (nic_read(n, RDH) + RING - 1) % RING);
    return moved;
}

static void test_filters(void)
{
    static const uint8_t other[6] = { 0x52, 0x54, 0, 1, 1, 1 }, group[6] = { 1, 0, 0x5e, 0, 0x12, 0x34 },
                         all[6] = { 255, 255, 255, 255, 255, 255 };
    Nic n;
    up(&n, &e1000_type);
    rx_start(&n, RCTL_EN);

    g_assert_true(receives(&n, nic_mac));
    g_assert_false(receives(&n, other));
    g_assert_false(receives(&n, group));
    g_assert_false(receives(&n, all));
    nic_write(&n, RCTL, RCTL_EN | RCTL_UPE);
    g_assert_true(receives(&n, other));
    g_assert_false(receives(&n, group));
    nic_write(&n, RCTL, RCTL_EN | RCTL_BAM);
    g_assert_true(receives(&n, all));
    g_assert_false(receives(&n, group));
    nic_write(&n, RCTL, RCTL_EN | RCTL_MPE);
    g_assert_true(receives(&n, group));
    for (unsigned mo = 0; mo < 4; mo++) { /* 12 bits of the last two bytes, 3412h, from bits 4, 3, 2, 0 (13.5.1) */
        unsigned bit = 0x3412 >> (mo == 3 ? 0 : 4 - mo) & 0xfff;
        nic_write(&n, RCTL, RCTL_EN | mo << 12);
        g_assert_false(receives(&n, group));
        nic_write(&n, MTA + 4 * (bit >> 5), 1u << (bit & 31));
        g_assert_true(receives(&n, group));
        nic_write(&n, MTA + 4 * (bit >> 5), 0);
    }
    nic_write(&n, RA + 8, 0x01005452);
    nic_write(&n, RA + 12, 0x80000101);
    g_assert_true(receives(&n, other));
    nic_write(&n, RA + 12, 0x00000101); /* AV is clear */
    g_assert_false(receives(&n, other));
    nic_down(&n);
}

static void test_vlan(void)
{
    Nic n;
    uint8_t f[100];
    up(&n, &e1000_type);
    rx_start(&n, RCTL_EN);
    nic_fill(f, sizeof f, nic_mac, 1);
    memcpy(f + 12, (uint8_t[]){ 0x81, 0x00, 0x20, 0x07 }, 4);

    nic_write(&n, CTRL, CTRL_SLU | CTRL_VME);
    nic_deliver(&n, f, sizeof f);
    const uint8_t *d = nic_ram(&n, RX_RING), *to = nic_ram(&n, RX_BUFFER);
    g_assert_cmphex(d[12], ==, RXD_DD | RXD_EOP | RXD_VP | RXD_IXSM);
    g_assert_cmphex(ld16le(d + 14), ==, 0x2007);
    g_assert_cmpuint(ld16le(d + 8), ==, 100);
    g_assert_cmpmem(to, 12, f, 12);
    g_assert_cmpmem(to + 12, 84, f + 16, 84);
    nic_write(&n, RCTL, RCTL_EN | RCTL_VFE);
    nic_deliver(&n, f, sizeof f);
    g_assert_cmpuint(nic_read(&n, RDH), ==, 1);
    nic_write(&n, VFTA, 1 << 7);
    nic_deliver(&n, f, sizeof f);
    g_assert_cmpuint(nic_read(&n, RDH), ==, 2);
    tx_start(&n);
    memcpy(nic_ram(&n, TX_BUFFER), to, 96);
    tx_put(&n, 0, TX_BUFFER, 96 | TXD_EOP | TXD_VLE | TXD_RS, 0x2007u << 16);
    nic_write(&n, TDT, 1);
    g_assert_cmpmem(nic_sent(&n, 0)->data, nic_sent(&n, 0)->len, f, sizeof f);
    nic_down(&n);
}

static void test_receive_sums(void)
{
    Nic n;
    uint8_t f[700];
    size_t size = nic_fill_tcp(f, 600);
    up(&n, &e1000_type);
    rx_start(&n, RCTL_EN);
    nic_write(&n, RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL);

    nic_deliver(&n, f, size);
    assert_received(&n, 0, f, size, RXD_DD | RXD_EOP | RXD_IPCS | RXD_TCPCS);
    g_assert_cmphex(*nic_ram(&n, RX_RING + 13), ==, 0);
    f[600] ^= 1;
    nic_deliver(&n, f, size);
    g_assert_cmphex(*nic_ram(&n, RX_RING + 16 + 13), ==, RXD_ERROR_TCPE);
    f[600] ^= 1;
    f[22] ^= 1;
    nic_deliver(&n, f, size);
    g_assert_cmphex(*nic_ram(&n, RX_RING + 32 + 13), ==, RXD_ERROR_IPE);
    f[16] = 0xff; /* longer than the frame: not looked at */
    nic_deliver(&n, f, size);
    g_assert_cmphex(*nic_ram(&n, RX_RING + 48 + 12), ==, RXD_DD | RXD_EOP | RXD_IXSM);
    nic_down(&n);
}

/* ---- transmit ---- */

static void test_transmit(void)
{
    Nic n;
    uint8_t f[300];
    up(&n, &e1000_type);
    tx_start(&n);
    nic_write(&n, IMS, INT_TXDW);
    nic_fill(f, sizeof f, nic_mac, 5);
    memcpy(nic_ram(&n, TX_BUFFER), f, sizeof f);

    tx_put(&n, 0, TX_BUFFER, 100, 0);
    nic_write(&n, TDT, tx_put(&n, 1, TX_BUFFER + 100, 200 | TXD_EOP | TXD_RS, 0));
    g_assert_cmpmem(nic_sent(&n, 0)->data, nic_sent(&n, 0)->len, f, sizeof f);
    g_assert_cmpuint(nic_read(&n, TDH), ==, 2);
    g_assert_cmphex(*nic_ram(&n, TX_RING + 12), ==, 0); /* RS was not set */
    g_assert_cmphex(*nic_ram(&n, TX_RING + 28), ==, TXD_DD);
    g_assert_cmpint(n.irq, ==, 1);
    g_assert_cmphex(nic_read(&n, ICR) & INT_TXDW, ==, INT_TXDW);
    nic_write(&n, TDT, tx_put(&n, 2, TX_BUFFER, 20 | TXD_EOP, 0));
    g_assert_cmpuint(nic_sent(&n, 1)->len, ==, 60); /* PSP */
    g_assert_cmpuint(nic_read(&n, GPTC), ==, 2);
    g_assert_cmpuint(nic_read(&n, GOTCL), ==, 304 + 64);
    nic_write(&n, TDT, RING); /* no such place */
    g_assert_cmpuint(n.frames->len, ==, 2);
    nic_down(&n);
}

static uint16_t sum_from(const GByteArray *a, unsigned at, uint32_t pseudo)
{
    uint32_t sum = pseudo + net_sum(&(struct iovec){ a->data, a->len }, 1, at, a->len - at);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16);
}

static uint32_t pseudo_of(const GByteArray *a)
{
    return net_sum(&(struct iovec){ a->data, a->len }, 1, 26, 8) + 6 + (a->len - 34);
}

static unsigned context_put(Nic *n, unsigned k, uint32_t payload, unsigned segment)
{
    uint8_t *d = nic_ram(n, TX_RING + 16 * k);
    uint32_t tse = segment ? TXD_TSE : 0;
    memcpy(d, (uint8_t[]){ 14, 24, 33, 0, 34, 50, 0, 0 }, 8);
    st32le(d + 8, payload | TXD_DEXT | tse | TUCMD_TCP << 24 | TUCMD_IP << 24);
    st32le(d + 12, 54 << 8 | segment << 16);
    return k + 1;
}

/* 317453, 3.5: checksums of a context; segments of 1000 bytes, of which the peer, which can nothing, sees each. */
static void test_offloads(void)
{
    Nic n;
    uint8_t *f;
    up(&n, &e1000_type);
    tx_start(&n);
    f = nic_ram(&n, TX_BUFFER);

    size_t size = nic_fill_tcp(f, 3500);
    st16be(f + 24, 0);
    st16be(f + 50, net_sum(&(struct iovec){ f, size }, 1, 26, 8) + 6); /* as the driver leaves it: without length */
    st16be(f + 16, 0);
    unsigned k = context_put(&n, 0, 3500, 1000);
    k = tx_put(&n, k, TX_BUFFER, 54 | TXD_DEXT | TXD_DTYP_DATA | TXD_TSE, TXD_POPTS_IXSM | TXD_POPTS_TXSM);
    k = tx_put(&n, k, TX_BUFFER + 54, 3500 | TXD_DEXT | TXD_DTYP_DATA | TXD_TSE | TXD_EOP | TXD_RS, 0);
    nic_write(&n, TDT, k);
    g_assert_cmpuint(n.frames->len, ==, 4);
    for (unsigned j = 0; j < 4; j++) {
        const GByteArray *a = nic_sent(&n, j);
        g_assert_cmpuint(a->len, ==, 54 + (j == 3 ? 500 : 1000));
        g_assert_cmpuint(ld16be(a->data + 16), ==, a->len - 14);
        g_assert_cmphex(net_sum(&(struct iovec){ a->data, a->len }, 1, 14, 20), ==, 0xffff);
        g_assert_cmphex(sum_from(a, 34, pseudo_of(a)), ==, 0xffff);
        g_assert_cmphex(ld32be(a->data + 38), ==, 0x1000 + 1000 * j);
        g_assert_cmpmem(a->data + 54, a->len - 54, f + 54 + 1000 * j, a->len - 54);
    }
    size = nic_fill_tcp(f, 600); /* without segmentation: the other context */
    uint8_t whole[700];
    memcpy(whole, f, size);
    st16be(f + 24, 0);
    uint32_t pseudo = net_sum(&(struct iovec){ f, size }, 1, 26, 8) + 6 + 620;
    st16be(f + 50, (pseudo & 0xffff) + (pseudo >> 16));
    k = context_put(&n, k, 0, 0);
    k = tx_put(&n, k, TX_BUFFER, size | TXD_DEXT | TXD_DTYP_DATA | TXD_EOP, TXD_POPTS_IXSM | TXD_POPTS_TXSM);
    nic_write(&n, TDT, k);
    g_assert_cmpmem(nic_sent(&n, 4)->data, nic_sent(&n, 4)->len, whole, size);
    nic_down(&n);
}

/* ---- interrupts ---- */

/* ITR: units of 256 ns between two; RDTR and RADV: units of 1.024 us after a frame. */
static void test_moderation(void)
{
    Nic n;
    up(&n, &e1000_type);
    rx_start(&n, RCTL_EN);
    nic_write(&n, IMS, INT_RXT0);
    at(&n.b, SECOND(1));

    nic_write(&n, ITR, 1000);
    nic_deliver_to(&n, nic_mac, 60, 0);
    g_assert_cmpint(n.irq, ==, 1);
    nic_read(&n, ICR);
    nic_deliver_to(&n, nic_mac, 60, 0);
    g_assert_cmpint(n.irq, ==, 0);
    run_to(&n.b, SECOND(1) + 256000);
    g_assert_cmpint(n.irq, ==, 1);
    nic_read(&n, ICR);
    nic_write(&n, ITR, 0);
    run_to(&n.b, SECOND(2));
    nic_write(&n, RDTR, 100);
    nic_write(&n, RADV, 150);
    nic_deliver_to(&n, nic_mac, 60, 0);
    g_assert_cmpint(n.irq, ==, 0);
    g_assert_cmpint(deadline(n.dev, "rx_delay"), ==, SECOND(2) + 102400);
    g_assert_cmpint(deadline(n.dev, "rx_absolute"), ==, SECOND(2) + 153600);
    at(&n.b, SECOND(2) + 90000);
    nic_deliver_to(&n, nic_mac, 60, 0);
    g_assert_cmpint(deadline(n.dev, "rx_delay"), ==, SECOND(2) + 192400);
    g_assert_cmpint(deadline(n.dev, "rx_absolute"), ==, SECOND(2) + 153600);
    run_to(&n.b, SECOND(2) + 153600);
    g_assert_cmpint(n.irq, ==, 1);
    g_assert_cmpint(deadline(n.dev, "rx_delay"), ==, -1);
    nic_down(&n);
}

/* 317694, 10.2.4.1: causes that do not interrupt stay; MSI-X: IVAR's vectors, EIAC clears and masks. */
static void test_82574(void)
{
    enum { MSIX = 0x10020000, MESSAGE = 0x3000 };
    Nic n;
    up(&n, &e1000e_type);
    nic_config(&n, PCI_BAR0 + 12, MSIX, 4);

    nic_write(&n, IMS, INT_LSC);
    nic_write(&n, ICS, INT_RXT0);
    g_assert_cmphex(nic_read(&n, ICR), ==, INT_RXT0);
    g_assert_cmphex(nic_read(&n, ICR), ==, INT_RXT0);
    nic_write(&n, ICS, INT_LSC);
    g_assert_cmpint(n.irq, ==, 1);
    g_assert_cmphex(nic_read(&n, ICR), ==, INT_RXT0 | INT_LSC | INT_OTHER | INT_ASSERTED);
    g_assert_cmphex(nic_read(&n, ICR), ==, 0);
    nic_write(&n, IMC, 0xffffffff);
    for (unsigned v = 0; v < 5; v++) {
        as_write(n.b.m->memory, MSIX + 16 * v, MESSAGE + 4 * v, 8);
        as_write(n.b.m->memory, MSIX + 16 * v + 8, 0x40 + v, 8);
    }
    unsigned at = 0x34; /* the capability is found as a driver does */
    do
        at = pci_bus_config_read(n.pci, 1u << 31 | NIC_SLOT << 11 | (at == 0x34 ? at : at + 1), 1);
    while (pci_bus_config_read(n.pci, 1u << 31 | NIC_SLOT << 11 | at, 1) != PCI_CAP_MSIX);
    nic_config(&n, at + 2, 0x8000, 2);
    rx_start(&n, RCTL_EN);
    nic_write(&n, IVAR, 0x80000000 | 0xa << 16 | 0x9 << 8 | 0x8); /* other 2, transmit 1, receive 0 */
    nic_write(&n, EIAC, INT_RXQ0 | INT_TXQ0);
    nic_write(&n, IMS, INT_RXQ0 | INT_OTHER | INT_LSC);
    nic_deliver_to(&n, nic_mac, 60, 0);
    g_assert_cmphex(ld32le(nic_ram(&n, MESSAGE)), ==, 0x40);
    g_assert_cmphex(nic_read(&n, IMS), ==, INT_OTHER | INT_LSC);
    st32le(nic_ram(&n, MESSAGE), 0);
    nic_deliver_to(&n, nic_mac, 60, 0);
    g_assert_cmphex(ld32le(nic_ram(&n, MESSAGE)), ==, 0);
    nic_write(&n, IMS, INT_RXQ0);
    g_assert_cmphex(ld32le(nic_ram(&n, MESSAGE)), ==, 0x40);
    net_set_link(net_find(n.b.m, "card"), false);
    g_assert_cmphex(ld32le(nic_ram(&n, MESSAGE + 8)), ==, 0x42);
    g_assert_cmpint(n.irq, ==, 0);
    nic_down(&n);
}

/* 317694, 7.1.5: extended descriptors; 7.1.6: the hash that the data sheet's table gives for its key and addresses. */
static void test_extended(void)
{
    static const uint8_t key[40] = {
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
        0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    };
    Nic n;
    uint8_t f[200];
    size_t size = nic_fill_tcp(f, 100);
    up(&n, &e1000e_type);
    rx_start(&n, RCTL_EN | RCTL_SECRC);
    nic_write(&n, RFCTL, RFCTL_EXTEN);
    nic_write(&n, RXCSUM, RXCSUM_IPOFL | RXCSUM_TUOFL | RXCSUM_PCSD);
    nic_write(&n, MRQC, 1 | 0x10000);
    for (unsigned k = 0; k < 40; k += 4)
        nic_write(&n, RSSRK + k, ld32le(key + k));

    memcpy(f + 26, (uint8_t[]){ 66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6 }, 12);
    nic_deliver(&n, f, size);
    const uint8_t *d = nic_ram(&n, RX_RING);
    g_assert_cmphex(ld32le(d), ==, 1);               /* TCP over IPv4, queue 0 */
    g_assert_cmphex(ld32le(d + 4), ==, 0x51ccc178);
    g_assert_cmphex(ld32le(d + 8) & 3, ==, 3);
    g_assert_cmpuint(ld16le(d + 12), ==, size);
    nic_down(&n);
}

/* ---- state, abuse ---- */

/* In the middle of a frame, a delay and an interrupt's interval. */
static void test_state(gconstpointer type)
{
    Nic n, to;
    uint8_t f[300];
    up(&n, type);
    tx_start(&n);
    rx_start(&n, RCTL_EN);
    nic_write(&n, IMS, INT_RXT0);
    nic_write(&n, RDTR, 100);
    nic_fill(f, sizeof f, nic_mac, 9);
    memcpy(nic_ram(&n, TX_BUFFER), f, sizeof f);
    nic_write(&n, TDT, tx_put(&n, 0, TX_BUFFER, 100, 0));
    nic_deliver_to(&n, nic_mac, 80, 3);

    nic_move(&n, type, NULL, NULL, &to);
    g_assert_cmpuint(nic_read(&to, RDH), ==, 1);
    g_assert_cmpint(to.irq, ==, 0);
    run_to(&to.b, 200000);
    g_assert_cmpint(to.irq, ==, 1);
    nic_write(&to, TDT, tx_put(&to, 1, TX_BUFFER + 100, 200 | TXD_EOP, 0));
    g_assert_cmpmem(nic_sent(&to, 0)->data, nic_sent(&to, 0)->len, f, sizeof f);
    nic_down(&to);
}

/* Registers that make the abuse reach rings more often than chance would. */
static unsigned some_register(GRand *r)
{
    static const uint16_t often[] = { RCTL, TCTL, RDBAL, RDLEN, RDH, RDT, TDBAL, TDLEN, TDH, TDT, ICS, IMS, IMC, CTRL, MDIC,
                                      EECD, ITR, RFCTL, PSRCTL, MRQC, IVAR, EIAC, CTRL_EXT };
    return g_rand_boolean(r) ? often[g_rand_int_range(r, 0, G_N_ELEMENTS(often))] : g_rand_int_range(r, 0, 0x20000) & ~3;
}

static uint32_t some_value(GRand *r)
{
    switch (g_rand_int_range(r, 0, 4)) {
    case 0: return g_rand_int(r);
    case 1: return g_rand_int_range(r, 0, 64);
    case 2: return NIC_MEMORY + (g_rand_int(r) & 0x1ffff); /* the card itself */
    default: return g_rand_int(r) & 0xfffff;
    }
}

static void test_abuse(gconstpointer type)
{
    GRand *r = g_rand_new_with_seed(1);
    Nic n;
    uint8_t f[1600];
    up(&n, type);

    for (unsigned round = 0; round < 40000; round++) {
        if (round % 1000 == 0)
            for (unsigned k = 0; k < 0x40000; k += 4)
                st32le(nic_ram(&n, k), some_value(r));
        if (g_rand_int_range(r, 0, 8))
            as_write(n.b.m->memory, NIC_MEMORY + some_register(r), some_value(r), 1 << g_rand_int_range(r, 0, 4));
        else
            as_read(n.b.m->memory, NIC_MEMORY + some_register(r), 1 << g_rand_int_range(r, 0, 4));
        if (g_rand_int_range(r, 0, 8) == 0) {
            size_t size = g_rand_int_range(r, 1, sizeof f);
            nic_fill(f, MAX(size, 14), nic_mac, round);
            nic_deliver(&n, f, size);
        }
        if (g_rand_int_range(r, 0, 100) == 0)
            run_to(&n.b, clock_now(n.b.m->clocks, MYNA_CLOCK_VIRTUAL) + g_rand_int_range(r, 0, 10000000));
        if (n.frames->len > 100)
            g_ptr_array_set_size(n.frames, 0);
    }
    nic_map(&n, 0, type == &e1000_type ? 1 : 2);
    nic_write(&n, CTRL, CTRL_RST); /* and works again */
    nic_write(&n, MDIC, 1u << 26 | 1 << 21 | 0x9140);
    run_to(&n.b, clock_now(n.b.m->clocks, MYNA_CLOCK_VIRTUAL) + SECOND(1));
    rx_start(&n, RCTL_EN | RCTL_UPE);
    nic_deliver_to(&n, nic_mac, 60, 0);
    g_assert_cmpuint(nic_read(&n, RDH), ==, 1);
    g_rand_free(r);
    nic_down(&n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/e1000/registers", test_registers);
    g_test_add_func("/e1000/eeprom", test_eeprom);
    g_test_add_func("/e1000/phy-and-link", test_phy_and_link);
    g_test_add_func("/e1000/receive", test_receive);
    g_test_add_func("/e1000/filters", test_filters);
    g_test_add_func("/e1000/vlan", test_vlan);
    g_test_add_func("/e1000/receive-sums", test_receive_sums);
    g_test_add_func("/e1000/transmit", test_transmit);
    g_test_add_func("/e1000/offloads", test_offloads);
    g_test_add_func("/e1000/moderation", test_moderation);
    g_test_add_func("/e1000e/interrupts", test_82574);
    g_test_add_func("/e1000e/extended", test_extended);
    g_test_add_data_func("/e1000/state", &e1000_type, test_state);
    g_test_add_data_func("/e1000e/state", &e1000e_type, test_state);
    g_test_add_data_func("/e1000/abuse", &e1000_type, test_abuse);
    g_test_add_data_func("/e1000e/abuse", &e1000e_type, test_abuse);
    return g_test_run();
}
