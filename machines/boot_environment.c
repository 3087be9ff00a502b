/*
 * What a BIOS leaves behind, for kernels that start without one: interrupt vectors with handlers that acknowledge and
 * return, the BIOS data area, interrupt controllers with the bases 08h and 70h, and the 18.2 Hz tick running (IBM PC/AT
 * Technical Reference, BIOS data area and interrupt vectors; i8259A and i8254 data sheets).
 */
#include <string.h>

#include "machines/boot.h"
#include "util/bits.h"
#include "util/endian.h"

enum {
    CODE_SEGMENT = 0xf000, CODE_BASE = 0xf0000,
    EBDA_SEGMENT = 0x9fc0, LOW_KIB = 639,
    BDA_COM_PORTS = 0x400, BDA_EBDA = 0x40e, BDA_EQUIPMENT = 0x410, BDA_MEMORY = 0x413, BDA_SIZE = 0x100,
    EQUIPMENT = 0x0022, EQUIPMENT_SERIAL_SHIFT = 9, /* coprocessor, 80x25 colour; number of serial ports */
};

/* Real-mode code in segment F000h, at the offsets where PC BIOSes have it. */
typedef struct Stub {
    uint16_t offset;
    uint8_t size;
    uint8_t code[24];
} Stub;

enum { AT_IRQ_SLAVE = 0xe987, AT_EQUIPMENT = 0xf84d, AT_MEMORY = 0xf841, AT_TICK = 0xfea5, AT_IRQ_MASTER = 0xff23,
       AT_IRET = 0xff53, AT_RESET = 0xfff0 };

static const Stub stubs[] = {
    /* push ax; mov al,20h; out A0h,al; out 20h,al; pop ax; iret */
    {AT_IRQ_SLAVE, 9, {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf}},
    /* push ax; mov al,20h; out 20h,al; pop ax; iret */
    {AT_IRQ_MASTER, 7, {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf}},
    /* push ds; push ax; xor ax,ax; mov ds,ax; add word [46Ch],1; adc word [46Eh],0; mov al,20h; out 20h,al; pops; iret */
    {AT_TICK, 23, {0x1e, 0x50, 0x31, 0xc0, 0x8e, 0xd8, 0x83, 0x06, 0x6c, 0x04, 0x01, 0x83, 0x16, 0x6e, 0x04, 0x00,
                   0xb0, 0x20, 0xe6, 0x20, 0x58, 0x1f, 0xcf}},
    /* push ds; xor ax,ax; mov ds,ax; mov ax,[410h]; pop ds; iret */
    {AT_EQUIPMENT, 10, {0x1e, 0x31, 0xc0, 0x8e, 0xd8, 0xa1, 0x10, 0x04, 0x1f, 0xcf}},
    /* push ds; xor ax,ax; mov ds,ax; mov ax,[413h]; pop ds; iret */
    {AT_MEMORY, 10, {0x1e, 0x31, 0xc0, 0x8e, 0xd8, 0xa1, 0x13, 0x04, 0x1f, 0xcf}},
    {AT_IRET, 1, {0xcf}},
    /* mov al,FEh; out 64h,al (the keyboard controller resets the machine); hlt; jmp $-1 */
    {AT_RESET, 7, {0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd}},
};

static uint16_t vector_handler(unsigned vector)
{
    switch (vector) {
    case 0x08: return AT_TICK;
    case 0x09 ... 0x0f: return AT_IRQ_MASTER;
    case 0x11: return AT_EQUIPMENT;
    case 0x12: return AT_MEMORY;
    case 0x70 ... 0x77: return AT_IRQ_SLAVE;
    default: return AT_IRET;
    }
}

static void add_vectors(BootPlan *plan)
{
    uint8_t table[256 * 4];
    for (unsigned i = 0; i < 256; i++)
        st32le(table + 4 * i, (uint32_t)CODE_SEGMENT << 16 | vector_handler(i));
    boot_add_low(plan, 0, table, sizeof table);
}

static void add_data_area(BootPlan *plan, unsigned serial_ports)
{
    static const uint16_t com_ports[4] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    uint8_t area[BDA_SIZE] = {0};
    for (unsigned i = 0; i < MIN(serial_ports, ARRAY_SIZE(com_ports)); i++)
        st16le(area + 2 * i, com_ports[i]);
    st16le(area + (BDA_EBDA - BDA_COM_PORTS), EBDA_SEGMENT);
    st16le(area + (BDA_EQUIPMENT - BDA_COM_PORTS), EQUIPMENT | serial_ports << EQUIPMENT_SERIAL_SHIFT);
    st16le(area + (BDA_MEMORY - BDA_COM_PORTS), LOW_KIB);
    boot_add_low(plan, BDA_COM_PORTS, area, sizeof area);
    uint8_t ebda[1024] = {1}; /* its first byte is its size in KiB */
    boot_add_low(plan, (uint64_t)EBDA_SEGMENT << 4, ebda, sizeof ebda);
}

void boot_environment_add(BootPlan *plan, unsigned serial_ports)
{
    add_vectors(plan);
    add_data_area(plan, serial_ports);
    for (unsigned i = 0; i < ARRAY_SIZE(stubs); i++)
        boot_add_low(plan, CODE_BASE + stubs[i].offset, stubs[i].code, stubs[i].size);
}

void boot_environment_start(Machine *m)
{
    static const struct { uint16_t port; uint8_t value; } writes[] = {
        {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, /* master: cascaded, base 08h, slave on 2, 8086 mode */
        {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, /* slave: base 70h, identity 2 */
        {0x21, 0xfa}, {0xa1, 0xff},                             /* only the tick and the cascade are let through */
        {0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00},               /* counter 0: rate generator, 65536 */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(writes); i++)
        as_write(m->ports, writes[i].port, writes[i].value, 1);
}
