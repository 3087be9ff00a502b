/*
 * What the files of the RTL8139 share (Realtek RTL8139C(L)+ data sheet, rev. 1.6: chapters 6 for registers, 9 for C+).
 *
 *   rtl8139.c             identity, life, state
 *   rtl8139_registers.c   the guest's accesses, interrupts, timer, EEPROM
 *   rtl8139_ring.c        which frames; C mode: a ring of bytes, four transmit descriptors
 *   rtl8139_cplus.c       C+ mode: rings of descriptors
 *
 * Guest memory may be this device's own registers: while `busy` they take nothing.
 */
#ifndef MYNA_HW_NET_RTL8139_INTERNAL_H
#define MYNA_HW_NET_RTL8139_INTERNAL_H

#include "core/clock.h"
#include "hw/net/eeprom93c46.h"
#include "hw/net/frame.h"
#include "hw/pci/pci.h"
#include "util/endian.h"

enum {
    IDR0 = 0x00, MAR0 = 0x08, TSD0 = 0x10, DTCCR = 0x10, TSAD0 = 0x20, TNPDS = 0x20, THPDS = 0x28, RBSTART = 0x30,
    ERBCR = 0x34, ERSR = 0x36, CR = 0x37, CAPR = 0x38, CBR = 0x3a, IMR = 0x3c, ISR = 0x3e, TCR = 0x40, RCR = 0x44,
    TCTR = 0x48, MPC = 0x4c, CR9346 = 0x50, CONFIG0 = 0x51, CONFIG1 = 0x52, TIMERINT = 0x54, MSR = 0x58, CONFIG3 = 0x59,
    CONFIG4 = 0x5a, MULINT = 0x5c, RERID = 0x5e, TSAD = 0x60, BMCR = 0x62, BMSR = 0x64, ANAR = 0x66, ANLPAR = 0x68,
    ANER = 0x6a, CSCR = 0x74, CONFIG5 = 0xd8, TPPOLL = 0xd9, CPCR = 0xe0, RDSAR = 0xe4, REGISTERS = 0x100,
};
enum { CR_BUFE = 1, CR_TE = 4, CR_RE = 8, CR_RST = 0x10 };
enum { INT_ROK = 1, INT_RER = 2, INT_TOK = 4, INT_TER = 8, INT_RXOVW = 0x10, INT_LINK = 0x20, INT_FOVW = 0x40,
       INT_TDU = 0x80, INT_SW = 0x100, INT_TIMEOUT = 0x4000, INT_ALL = 0xe1ff };
enum { TCR_LOOPBACK = 0x60000 };
enum { RCR_AAP = 1, RCR_APM = 2, RCR_AM = 4, RCR_AB = 8, RCR_WRAP = 0x80 };
enum { TSD_SIZE = 0x1fff, TSD_OWN = 0x2000, TSD_TUN = 0x4000, TSD_TOK = 0x8000, TSD_ABORT = 0x40000000 };
enum { RX_OK = 0x0001, RX_BROADCAST = 0x2000, RX_PHYSICAL = 0x4000, RX_MULTICAST = 0x8000 };
enum { MODE_CONFIG = 0xc0, MODE_PROGRAM = 0x80, EEPROM_CS = 8, EEPROM_SK = 4, EEPROM_DI = 2, EEPROM_DO = 1 };
enum { CPCR_TX = 1, CPCR_RX = 2, CPCR_DAC = 0x10, CPCR_RX_SUMS = 0x20, CPCR_RX_VLAN = 0x40 };
enum { TPPOLL_HIGH = 0x80, TPPOLL_NORMAL = 0x40, TPPOLL_SW = 1 };
enum { RTL8139_FRAME_MAX = NET_FRAME_MAX, TRANSMITS = 4, RINGS = 2 };

/* The counters of DTCCR's dump (6.3), in its order. */
typedef struct Rtl8139Tally {
    uint64_t tx_ok, rx_ok, tx_error, rx_physical, rx_broadcast;
    uint32_t rx_error, rx_multicast;
    uint16_t missed;
} Rtl8139Tally;

typedef struct Rtl8139 {
    PciDevice pci;
    NetBackend *net;
    uint8_t mac[6];
    bool cplus;              /* property: is an 8139C+ */
    Region *ports, *memory;
    bool busy;
    /* state */
    uint8_t reg[REGISTERS];
    Eeprom93c46 eeprom;
    uint32_t transmit;       /* C mode: the descriptor that is next */
    uint32_t rx_write, rx_read; /* C mode: places in the ring */
    uint32_t rx_index;       /* C+ mode */
    uint32_t tx_index[RINGS]; /* C+ mode: of normal and of high priority */
    bool tx_too_long;
    uint32_t tx_size;
    uint8_t *frame;          /* C+ mode: of pieces; room for a tag in front */
    int64_t timer_start;     /* when TCTR was 0 */
    Rtl8139Tally tally;
    Timer *timer, *look;     /* TimerInt; for a descriptor that the guest gives without a word */
} Rtl8139;

static inline bool rtl8139_cplus_tx(const Rtl8139 *s) { return s->cplus && s->reg[CPCR] & CPCR_TX; }
static inline bool rtl8139_cplus_rx(const Rtl8139 *s) { return s->cplus && s->reg[CPCR] & CPCR_RX; }

/* rtl8139.c */
void rtl8139_chip_reset(Rtl8139 *s);
bool rtl8139_link_up(const Rtl8139 *s);

/* rtl8139_registers.c */
extern const RegionOps rtl8139_ops;
void rtl8139_raise(Rtl8139 *s, unsigned causes);
void rtl8139_irq_update(Rtl8139 *s);
void rtl8139_timer_expired(void *opaque);

/* rtl8139_ring.c */
extern const NetUser rtl8139_net_user;
void rtl8139_transmit(Rtl8139 *s);           /* C mode: what is due */
void rtl8139_send(Rtl8139 *s, uint8_t *f, size_t size, const NetOffload *o); /* to the network, or back */
uint32_t rtl8139_ring_size(const Rtl8139 *s);
void rtl8139_look_in(Rtl8139 *s, int64_t ns); /* whether there is room for what waits: in so many ns at the latest */
void rtl8139_look(void *opaque);

/* rtl8139_cplus.c */
void rtl8139_cplus_poll(Rtl8139 *s, unsigned ring);
/* A frame, padded, with room for its FCS; status: RX_*. */
void rtl8139_cplus_store(Rtl8139 *s, uint8_t *f, size_t size, unsigned status, bool good);
bool rtl8139_cplus_has_room(Rtl8139 *s);

/* A descriptor's word: what it says is in memory before it. */
void rtl8139_report(Rtl8139 *s, uint64_t address, uint32_t v);

#endif
