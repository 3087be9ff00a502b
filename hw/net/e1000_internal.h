/*
 * What the files of the e1000 share.
 *
 *   e1000.c           the two types: identity, life, state
 *   e1000_registers.c   the guest's accesses
 *   e1000_irq.c       causes, mask, moderation; INTx, MSI, MSI-X
 *   e1000_phy.c       PHY, link, EEPROM
 *   e1000_tx.c        transmit rings: segmentation, checksums, VLAN tags
 *   e1000_rx.c        receive rings; e1000_filter.c: which frames, and what their checksums are worth
 *
 * Guest memory may be this device's own registers: while `busy`, in the middle of a ring, they take nothing.
 */
#ifndef MYNA_HW_NET_E1000_INTERNAL_H
#define MYNA_HW_NET_E1000_INTERNAL_H

#include "backends/net/net.h"
#include "core/clock.h"
#include "hw/net/e1000_regs.h"
#include "hw/net/eeprom93c46.h"
#include "hw/pci/pci_msi.h"

enum { E1000_QUEUES = 2, E1000_VECTORS = 5, E1000_FRAME_MAX = NET_FRAME_MAX };

typedef struct E1000Model {
    PciId id;
    uint16_t phy_id2;
    bool is_82574;    /* MSI-X, two queues, extended descriptors, EEPROM by registers only */
} E1000Model;

/* A context descriptor's fields (317453, 3.3.6). */
typedef struct E1000Context {
    uint8_t ipcss, ipcso, tucss, tucso, tucmd, header_size;
    uint16_t ipcse, tucse, segment;
} E1000Context;

/* A transmit queue, with the frame that is being gathered. */
typedef struct E1000Tx {
    E1000Context context[2]; /* without and with segmentation: both stay (317453, 3.3.5) */
    bool begun, too_long, extended, segmented, tagged;
    uint8_t options;         /* POPTS of the first descriptor */
    uint16_t tag;
    uint32_t size;
    uint8_t *frame;          /* E1000_FRAME_MAX bytes, with room in front for a tag */
} E1000Tx;

typedef struct E1000Throttle {
    Timer *timer;            /* armed: no further interrupt until then */
} E1000Throttle;

typedef struct E1000 {
    PciDevice pci;
    Msix msix;
    const E1000Model *model;
    NetBackend *net;
    uint8_t mac[6];
    Region *registers, *ports;
    bool busy;
    /* state */
    uint32_t reg[REGISTERS_END / 4];
    uint32_t io_address;     /* IOADDR */
    uint16_t phy[32];
    Eeprom93c46 eeprom;
    E1000Tx tx[E1000_QUEUES];
    bool irq_asserted;       /* INTx is up, or the message is sent */
    uint32_t sent_causes;    /* MSI-X: messages are sent for these */
    Timer *autonegotiation, *rx_delay, *rx_absolute, *tx_delay, *tx_absolute;
    E1000Throttle throttle[E1000_VECTORS]; /* INTx and MSI: the first */
} E1000;

#define REG(s, at) ((s)->reg[(at) / 4])

/* e1000.c */
void e1000_mac_reset(E1000 *s);

/* e1000_registers.c */
extern const RegionOps e1000_register_ops, e1000_port_ops;

/* e1000_irq.c */
void e1000_raise(E1000 *s, uint32_t causes);
void e1000_irq_update(E1000 *s);
uint32_t e1000_read_icr(E1000 *s);
void e1000_write_icr(E1000 *s, uint32_t v);
void e1000_irq_reset(E1000 *s);
/* A frame was stored, descriptors were reported: now, or after RDTR and RADV, TIDV and TADV. */
void e1000_rx_done(E1000 *s);
void e1000_tx_done(E1000 *s, unsigned queue, bool delay);
void e1000_timers_new(E1000 *s);
void e1000_timers_free(E1000 *s);

/* e1000_phy.c */
void e1000_phy_reset(E1000 *s);
void e1000_link_update(E1000 *s);            /* link state to the registers; LSC when it changes */
void e1000_phy_negotiated(void *opaque);     /* autonegotiation's timer */
void e1000_write_mdic(E1000 *s, uint32_t v);
bool e1000_phy_loopback(const E1000 *s);
void e1000_eeprom_init(E1000 *s);
uint32_t e1000_read_eecd(const E1000 *s);
void e1000_write_eecd(E1000 *s, uint32_t v);
void e1000_write_eerd(E1000 *s, uint32_t v);

/* e1000_tx.c */
void e1000_tx_run(E1000 *s, unsigned queue);
void e1000_tx_reset(E1000 *s);

/* e1000_rx.c */
extern const NetUser e1000_net_user;
void e1000_rx_frame(E1000 *s, const struct iovec *iov, unsigned count, const NetOffload *offload);

/* e1000_filter.c */
bool e1000_accepts(const E1000 *s, const uint8_t *frame);
/* Status bits, and errors from bit 8 on, for checksums of a frame of `size` bytes; good: the sender vouches for it. */
unsigned e1000_check_sums(const E1000 *s, const uint8_t *frame, size_t size, bool good);
uint32_t e1000_rss_hash(const E1000 *s, const uint8_t *frame, size_t size, unsigned *type);

/* Statistics: a counter of 32 bits; of 64 bits, whose low half is at `at`. */
static inline void e1000_count(E1000 *s, unsigned at) { REG(s, at)++; }
void e1000_count_octets(E1000 *s, unsigned at, uint64_t n);
/* PRC64.. or PTC64..: frames by length, FCS included. */
void e1000_count_size(E1000 *s, unsigned first, size_t size);

/* A descriptor's last word: what it says is in memory before it. */
void e1000_report(E1000 *s, uint64_t address, uint64_t v, unsigned size);

#endif
