/*
 * National Semiconductor's DP8390 network interface controller with the memory and PROM of an NE2000 (DP8390D/NS32490D data
 * sheet, July 1995; AN-874 "Writing Drivers for the DP8390"; Realtek RTL8029AS data sheet for page 3).
 *
 * Memory as remote DMA sees it: 0000-001F the PROM, each byte twice; 4000-BFFF RAM, for the receive ring and for frames
 * to be sent.
 */
#ifndef MYNA_HW_NET_DP8390_H
#define MYNA_HW_NET_DP8390_H

#include "core/clock.h"
#include "core/device.h"
#include "core/memory.h"
#include "hw/net/frame.h"

enum { DP8390_PROM = 32, DP8390_RAM_START = 0x4000, DP8390_RAM_END = 0xc000, DP8390_PORTS = 32 };

typedef struct Dp8390 {
    Machine *machine;
    const char *id;
    NetBackend *net;
    uint8_t mac[6];
    void (*set_irq)(void *opaque, int level);
    void *opaque;
    /* state */
    uint8_t command, isr, imr, dcr, rcr, tcr, rsr, tsr;
    uint8_t start, stop, boundary, current, tx_page; /* pages of 256 bytes */
    uint16_t tx_count, remote, remote_count;
    uint8_t station[6], multicast[8], missed;
    uint8_t prom[DP8390_PROM], ram[DP8390_RAM_END - DP8390_RAM_START];
    Timer *look;
} Dp8390;

extern const RegionOps dp8390_ops;   /* of DP8390_PORTS ports; opaque: the Dp8390 */
extern const StateField dp8390_state[];

/* For create(), with net, mac, set_irq and opaque set; FALSE: the network is taken. */
gboolean dp8390_init(Dp8390 *d, Device *dev, GError **err);
void dp8390_exit(Dp8390 *d);
void dp8390_reset(Dp8390 *d);

#endif
