/*
 * The IDE controller of the PIIX3 with a disk of 4 MiB: IDENTIFY, transfers by ports and by bus master DMA, errors
 * (ATA/ATAPI-6; Intel 82371SB data sheet 2.8; "Programming Interface for Bus Master IDE Controller" 1.0).
 */
#include "lib/guest.h"

enum {
    DATA = 0x1f0, ERROR = 0x1f1, FEATURES = 0x1f1, NSECTOR = 0x1f2, LBA0 = 0x1f3, LBA1, LBA2, DEVICE, STATUS,
    COMMAND = 0x1f7,
    CONTROL = 0x3f6, BSY = 0x80, DRDY = 0x40, FAULT_ = 0x20, DRQ = 8, ERR = 1, ABRT = 4, IDNF = 0x10,
    READ = 0x20, READ_EXT = 0x24, READ_DMA = 0xc8, WRITE = 0x30, WRITE_DMA = 0xca, READ_MULTIPLE = 0xc4,
    SET_MULTIPLE = 0xc6,
    FLUSH = 0xe7, IDENTIFY = 0xec, SET_FEATURES = 0xef, DIAGNOSTIC = 0x90,
    SECTOR = 512, SECTORS = 4 * 2048, IRQ = 14,
};

static u16 buffer[8 * 256] __attribute__((aligned(4096))), other[8 * 256] __attribute__((aligned(4096)));
static u16 identity[256];
static struct { u32 address, count; } table[2] __attribute__((aligned(4096)));
static u16 bus_master;
static volatile u32 irqs;

static void irq14(Frame *f)
{
    (void)f;
    irqs = irqs + 1;
    in8(STATUS);
    pic_eoi(IRQ);
}

static bool ready(void) { return WAIT_FOR(!(in8(CONTROL) & BSY)); }

static void command(u8 c, u32 lba, u8 n)
{
    ready();
    out8(DEVICE, 0xe0 | (lba >> 24 & 15));
    out8(NSECTOR, n);
    out8(LBA0, lba);
    out8(LBA1, lba >> 8);
    out8(LBA2, lba >> 16);
    out8(COMMAND, c);
}

static bool sectors_in(void *to, u32 n)
{
    u16 *p = to;
    for (u32 s = 0; s < n; s++, p += 256) {
        if (!ready() || !(in8(STATUS) & DRQ))
            return false;
        u16 *q = p;
        u32 words = 256;
        asm volatile("rep insw" : "+D"(q), "+c"(words) : "d"((u16)DATA) : "memory");
    }
    return !(in8(STATUS) & (ERR | DRQ));
}

static bool sectors_out(const void *from, u32 n)
{
    const u16 *p = from;
    for (u32 s = 0; s < n; s++, p += 256) {
        if (!ready() || !(in8(STATUS) & DRQ))
            return false;
        const u16 *q = p;
        u32 words = 256;
        asm volatile("rep outsw" : "+S"(q), "+c"(words) : "d"((u16)DATA) : "memory");
    }
    return ready() && !(in8(STATUS) & (ERR | DRQ | FAULT_));
}

static void pattern(u16 *p, u32 n, u32 seed)
{
    memcpy(p, "GUES", 4);
    for (u32 k = 2; k < n * 256; k++)
        p[k] = seed += 0x9e37;
}

static void test_identify(void)
{
    char model[41];
    group("IDENTIFY");
    out8(DEVICE, 0xe0);
    check("drive 0 is ready", ready() && (in8(STATUS) & (DRDY | DRQ | ERR)) == DRDY, "status 0x%x", in8(STATUS));
    command(IDENTIFY, 0, 0);
    if (!check("data comes", sectors_in(identity, 1), "status 0x%x, error 0x%x", in8(STATUS), in8(ERROR)))
        return;
    for (unsigned k = 0; k < 40; k++)
        model[k] = identity[27 + k / 2] >> (k & 1 ? 0 : 8);
    model[40] = 0;
    check("a model", model[0] > ' ' && (u8)model[0] < 127, "%s", model);
    check("a fixed ATA disk", !(identity[0] & 0x8000), "word 0 is 0x%x", identity[0]);
    check("LBA and DMA", (identity[49] & 0x300) == 0x300, "word 49 is 0x%x", identity[49]);
    check_equal("sectors", identity[60] | identity[61] << 16, SECTORS);
    check("48-bit addresses", identity[83] & 0x400, "word 83 is 0x%x", identity[83]);
    check_equal("sectors in 48 bits", identity[100] | identity[101] << 16, SECTORS);
    out8(DEVICE, 0xf0);
    out8(COMMAND, IDENTIFY);
    u8 s = in8(STATUS);
    check("no drive 1", s == 0 || (s & ERR) || !(s & DRQ), "status 0x%x", s);
    out8(DEVICE, 0xe0);
}

static void test_ports(void)
{
    group("PIO");
    command(READ, 3, 1);
    check("read", sectors_in(buffer, 1) && !memcmp(buffer, "MYNA", 4), "status 0x%x", in8(STATUS));
    pattern(buffer, 4, 1);
    command(WRITE, 100, 4);
    check("write", sectors_out(buffer, 4), "status 0x%x, error 0x%x", in8(STATUS), in8(ERROR));
    memset(other, 0, sizeof other);
    command(READ, 100, 4);
    check("read back", sectors_in(other, 4) && !memcmp(buffer, other, 4 * SECTOR), "status 0x%x", in8(STATUS));
    command(SET_MULTIPLE, 0, 4);
    ready();
    check_equal("set multiple", in8(STATUS) & ERR, 0);
    memset(other, 0, sizeof other);
    command(READ_MULTIPLE, 100, 4);
    if (ready() && (in8(STATUS) & DRQ)) {
        u16 *q = other;
        u32 words = 4 * 256;
        asm volatile("rep insw" : "+D"(q), "+c"(words) : "d"((u16)DATA) : "memory");
    }
    check("read multiple", !memcmp(buffer, other, 4 * SECTOR), "status 0x%x", in8(STATUS));
    ready();
    out8(DEVICE, 0xe0);
    for (unsigned k = 0; k < 2; k++) { /* high halves, then low halves */
        out8(NSECTOR, k ? 1 : 0);
        out8(LBA0, k ? 101 : 0);
        out8(LBA1, 0);
        out8(LBA2, 0);
    }
    out8(COMMAND, READ_EXT);
    check("48-bit read", sectors_in(other, 1) && !memcmp((u8 *)buffer + SECTOR, other, SECTOR), "status 0x%x",
          in8(STATUS));
    command(FLUSH, 0, 0);
    ready();
    check_equal("flush", in8(STATUS) & (ERR | DRQ), 0);
}

static void test_errors(void)
{
    group("errors");
    command(READ, SECTORS, 1);
    ready();
    qemu_is_wrong("leaves the status to data that never comes");
    check("read behind the end", (in8(STATUS) & (ERR | DRQ)) == ERR && (in8(ERROR) & (IDNF | ABRT)),
          "status 0x%x, error 0x%x",
          in8(STATUS), in8(ERROR));
    command(0x0f, 0, 0);
    ready();
    check("an unknown command", (in8(STATUS) & ERR) && (in8(ERROR) & ABRT), "status 0x%x, error 0x%x", in8(STATUS),
          in8(ERROR));
    out8(DEVICE, 0xa0);
    out8(COMMAND, DIAGNOSTIC);
    ready();
    check_equal("diagnostic", in8(ERROR), 1);
    out8(CONTROL, 4);
    for (unsigned k = 0; k < 20; k++)
        in8(0x80);
    out8(CONTROL, 0);
    check("soft reset", ready() && in8(ERROR) == 1 && in8(NSECTOR) == 1 && in8(LBA0) == 1 && !in8(LBA1) && !in8(LBA2),
          "error 0x%x count 0x%x lba 0x%x %x %x", in8(ERROR), in8(NSECTOR), in8(LBA0), in8(LBA1), in8(LBA2));
}

static u32 pci_read(u32 devfn, u32 reg)
{
    out32(0xcf8, 0x80000000u | devfn << 8 | reg);
    return in32(0xcfc);
}

/* direction: 8 into memory, 0 out of it */
static bool dma(u8 c, u32 lba, u8 n, u8 direction)
{
    out8(bus_master, 0);
    out8(bus_master + 2, in8(bus_master + 2) | 6);
    out32(bus_master + 4, (word)table);
    command(c, lba, n);
    out8(bus_master, direction | 1);
    bool done = WAIT_FOR(in8(bus_master + 2) & 4);
    u8 status = in8(bus_master + 2);
    out8(bus_master, 0);
    return done && !(status & 3) && ready() && !(in8(STATUS) & (ERR | DRQ));
}

static void test_dma(void)
{
    group("DMA");
    bus_master = pci_read(9, 0x20) & 0xfff0;
    if (!check("bus master ports", bus_master, "base address is 0"))
        return;
    out32(0xcf8, 0x80000904);
    out16(0xcfc, in16(0xcfc) | 5);
    pic_init();
    handlers[IRQ_BASE + IRQ] = irq14;
    pic_mask(0xffff & ~(BIT(2) | BIT(IRQ)));
    interrupts_on();
    pattern(buffer, 8, 77);
    table[0].address = (word)buffer;
    table[0].count = 3 * SECTOR;
    table[1].address = (word)buffer + 3 * SECTOR;
    table[1].count = 0x80000000u | 5 * SECTOR;
    irqs = 0;
    check("write in two pieces", dma(WRITE_DMA, 200, 8, 0), "bus master status 0x%x", in8(bus_master + 2));
    check("IRQ 14", WAIT_FOR(irqs >= 1), "%u", irqs);
    memset(other, 0, sizeof other);
    table[0].address = (word)other;
    table[0].count = 0x80000000u | 8 * SECTOR;
    check("read", dma(READ_DMA, 200, 8, 8) && !memcmp(buffer, other, 8 * SECTOR), "bus master status 0x%x",
          in8(bus_master + 2));
    interrupts_off();
    memset(other, 0, sizeof other);
    command(READ, 203, 1);
    check("the same by ports", sectors_in(other, 1) && !memcmp((u8 *)buffer + 3 * SECTOR, other, SECTOR),
          "status 0x%x", in8(STATUS));
    command(FLUSH, 0, 0);
    ready();
}

void guest_main(void)
{
    out8(CONTROL, 0);
    test_identify();
    test_ports();
    test_errors();
    test_dma();
}
