/*
 * The e1000's PHY (M88E1000 and M88E1149: 317453, 13.4.7 and chapter 11; IEEE 802.3, 22.2.4), its link, and its EEPROM
 * (317453, chapter 5).
 */
#include <string.h>

#include "core/machine.h"
#include "hw/net/e1000_internal.h"
#include "util/bits.h"

enum {
    PHY_CTRL = 0, PHY_STATUS = 1, PHY_ID1 = 2, PHY_ID2 = 3, PHY_ADVERTISED = 4, PHY_PARTNER = 5, PHY_EXPANSION = 6,
    PHY_1000_CTRL = 9, PHY_1000_STATUS = 10, PHY_EXT_STATUS = 15, PHY_SPECIFIC_CTRL = 16, PHY_SPECIFIC_STATUS = 17,
    PHY_EXT_SPECIFIC_CTRL = 20, PHY_PAGE = 22,
};
enum { CTRL_RESET = 0x8000, CTRL_LOOPBACK = 0x4000, CTRL_AUTONEG = 0x1000, CTRL_POWER_DOWN = 0x0800,
       CTRL_RESTART = 0x0200, PHY_CTRL_INITIAL = 0x1140 };
enum { STATUS_LINK = 0x0004, STATUS_COMPLETE = 0x0020, PHY_STATUS_INITIAL = 0x7949 };
enum { SPECIFIC_LINK = 0x0400, SPECIFIC_RESOLVED = 0xa800 }; /* 1000 Mb/s, full duplex */
enum { PHY_ADDRESS = 1 };
/* How long the two ends take to agree; the standard allows seconds (802.3, 28.3). */
#define AUTONEGOTIATION_NS (NS_PER_SECOND / 10)

/* ---- link ---- */

bool e1000_phy_loopback(const E1000 *s) { return s->phy[PHY_CTRL] & CTRL_LOOPBACK; }

static bool phy_linked(const E1000 *s)
{
    return net_link_up(s->net) && !timer_armed(s->autonegotiation) && !(s->phy[PHY_CTRL] & CTRL_POWER_DOWN);
}

static void phy_show_link(E1000 *s, bool up)
{
    s->phy[PHY_STATUS] &= ~(STATUS_LINK | STATUS_COMPLETE);
    s->phy[PHY_SPECIFIC_STATUS] &= ~(SPECIFIC_LINK | SPECIFIC_RESOLVED);
    s->phy[PHY_PARTNER] = s->phy[PHY_1000_STATUS] = 0;
    if (!up)
        return;
    s->phy[PHY_STATUS] |= STATUS_LINK | (s->phy[PHY_CTRL] & CTRL_AUTONEG ? STATUS_COMPLETE : 0);
    s->phy[PHY_SPECIFIC_STATUS] |= SPECIFIC_LINK | SPECIFIC_RESOLVED;
    s->phy[PHY_PARTNER] = 0x41e1;      /* 10 and 100 Mb/s, acknowledged */
    s->phy[PHY_1000_STATUS] = 0x7c00;  /* both receivers well, partner does 1000 Mb/s */
}

void e1000_link_update(E1000 *s)
{
    bool was_up = REG(s, STATUS) & STATUS_LU, up = phy_linked(s) || e1000_phy_loopback(s);

    phy_show_link(s, up);
    if (up == was_up)
        return;
    REG(s, STATUS) ^= STATUS_LU;
    e1000_raise(s, INT_LSC);
}

void e1000_phy_negotiated(void *opaque)
{
    E1000 *s = opaque;
    e1000_link_update(s);
    net_accept(s->net);
}

static void autonegotiate(E1000 *s)
{
    timer_arm(s->autonegotiation, clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL) + AUTONEGOTIATION_NS);
    e1000_link_update(s);
}

/* ---- registers ---- */

void e1000_phy_reset(E1000 *s)
{
    memset(s->phy, 0, sizeof s->phy);
    s->phy[PHY_CTRL] = PHY_CTRL_INITIAL;
    s->phy[PHY_STATUS] = PHY_STATUS_INITIAL;
    s->phy[PHY_ID1] = 0x0141;
    s->phy[PHY_ID2] = s->model->phy_id2;
    s->phy[PHY_ADVERTISED] = 0x0de1;
    s->phy[PHY_EXPANSION] = 0x000d;
    s->phy[PHY_1000_CTRL] = 0x0e00;
    s->phy[PHY_EXT_STATUS] = 0x3000;
    s->phy[PHY_SPECIFIC_CTRL] = 0x0360;
    s->phy[PHY_EXT_SPECIFIC_CTRL] = 0x0d60;
}

static void write_phy_ctrl(E1000 *s, uint16_t v)
{
    if (v & CTRL_RESET) {
        e1000_phy_reset(s);
        autonegotiate(s);
        return;
    }
    s->phy[PHY_CTRL] = v & ~CTRL_RESTART;
    if (v & CTRL_RESTART && v & CTRL_AUTONEG)
        autonegotiate(s);
    else
        e1000_link_update(s);
}

/* Of the 82574's PHY only page 0 is there; the pages replace registers 16 to 31 but for the one that chooses. */
static bool phy_has(const E1000 *s, unsigned n)
{
    return n < 16 || n == PHY_PAGE || !s->model->is_82574 || !(s->phy[PHY_PAGE] & 0xff);
}

static void phy_write(E1000 *s, unsigned n, uint16_t v)
{
    const uint32_t read_only = BIT(PHY_STATUS) | BIT(PHY_ID1) | BIT(PHY_ID2) | BIT(PHY_PARTNER) | BIT(PHY_EXPANSION) |
                               BIT(PHY_1000_STATUS) | BIT(PHY_EXT_STATUS) | BIT(PHY_SPECIFIC_STATUS);
    if (n == PHY_CTRL)
        write_phy_ctrl(s, v);
    else if (!(read_only >> n & 1) && phy_has(s, n))
        s->phy[n] = v;
}

void e1000_write_mdic(E1000 *s, uint32_t v)
{
    unsigned n = v >> 16 & 31, operation = v >> 26 & 3;

    v &= ~MDIC_ERROR;
    if ((v >> 21 & 31) != PHY_ADDRESS || (operation != MDIC_READ && operation != MDIC_WRITE))
        v |= MDIC_ERROR;
    else if (operation == MDIC_WRITE)
        phy_write(s, n, v);
    else
        v = (v & ~0xffffu) | (phy_has(s, n) ? s->phy[n] : 0);
    REG(s, MDIC) = v | MDIC_READY;
    if (v & MDIC_INT)
        e1000_raise(s, INT_MDAC);
}

/* ---- EEPROM ---- */

/* Word 3Fh makes the sum of all BABAh (317453, 5.6.35). */
static void eeprom_seal(uint16_t word[EEPROM93C46_WORDS])
{
    uint16_t sum = 0;
    for (unsigned n = 0; n < EEPROM93C46_WORDS - 1; n++)
        sum += word[n];
    word[EEPROM93C46_WORDS - 1] = 0xbaba - sum;
}

/* The words that software looks at (317453, table 5-2). */
void e1000_eeprom_init(E1000 *s)
{
    uint16_t *w = s->eeprom.word;
    const PciId *id = &s->model->id;

    memset(w, 0xff, sizeof s->eeprom.word);
    for (unsigned n = 0; n < 3; n++)
        w[n] = s->mac[2 * n] | s->mac[2 * n + 1] << 8;
    w[0x03] = 0;
    w[0x0a] = 0x4403; /* initialization control 1: signature; identities are loaded */
    w[0x0b] = id->subsystem;
    w[0x0c] = id->subsystem_vendor;
    w[0x0d] = id->device;
    w[0x0e] = id->vendor;
    w[0x0f] = 0x3040; /* control 2: pause in both directions */
    w[0x13] = w[0x14] = w[0x23] = w[0x24] = 0; /* control 3: no wake-up by magic packet */
    eeprom_seal(w);
}

uint32_t e1000_read_eecd(const E1000 *s)
{
    uint32_t v = (REG(s, EECD) & ~(uint32_t)(EECD_DO | EECD_GNT)) | EECD_PRES | (s->eeprom.out ? EECD_DO : 0);
    if (s->model->is_82574)
        v |= EECD_AUTO_RD;
    return v & EECD_REQ ? v | EECD_GNT : v;
}

void e1000_write_eecd(E1000 *s, uint32_t v)
{
    REG(s, EECD) = v & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ | 0x30);
    if (!s->model->is_82574)
        eeprom93c46_drive(&s->eeprom, v & EECD_CS, v & EECD_SK, v & EECD_DI);
}

/* START, DONE and the address stand elsewhere in the two (317453, 13.4.4; 317694, 10.2.2.5). */
void e1000_write_eerd(E1000 *s, uint32_t v)
{
    unsigned shift = s->model->is_82574 ? 2 : 8, done = s->model->is_82574 ? 2 : 0x10;
    unsigned address = v >> shift & (s->model->is_82574 ? 0x3fff : 0xff);

    REG(s, EERD) = v & 0xffff & ~done;
    if (v & 1)
        REG(s, EERD) = (v & 0xfffe) | done | (uint32_t)s->eeprom.word[address % EEPROM93C46_WORDS] << 16;
}
