/* SMBIOS tables (smbios.h).  Chapter numbers are those of DMTF DSP0134 3.x, which keep the layouts of 2.8. */
#include "machines/smbios.h"

#include <string.h>

#include "util/bits.h"
#include "util/endian.h"

enum { TYPE_FIRMWARE = 0, TYPE_SYSTEM = 1, TYPE_CHASSIS = 3, TYPE_PROCESSOR = 4, TYPE_MEMORY_ARRAY = 16,
       TYPE_MEMORY_DEVICE = 17, TYPE_MEMORY_MAPPED = 19, TYPE_BOOT = 32, TYPE_END = 127 };

/* Handles: the type in the high byte, its instances in the low one (processors and memory: of a range of their own). */
enum { HANDLE_CHASSIS = 0x300, HANDLE_PROCESSOR = 0x400, HANDLE_MEMORY_ARRAY = 0x1000, HANDLE_MEMORY_DEVICE = 0x1100,
       HANDLE_MEMORY_MAPPED = 0x1300, HANDLE_BOOT = 0x2000, HANDLE_END = 0x7f00, HANDLE_NONE = 0xffff,
       HANDLE_NO_ERRORS = 0xfffe };

#define MANUFACTURER "Myna"
#define PRODUCT "pc"
#define MODULE_MAX (16 * GiB)
#define MODULES_MAX 256

enum { ANCHOR_ROOM = 32, STRUCTURE_MAX = 64 };

struct SmbiosTables {
    GByteArray *bytes;
    unsigned count;   /* of structures */
    unsigned largest; /* bytes, strings included */
};

/* A structure in the making: its formatted bytes, and its strings, which those name by number. */
typedef struct Structure {
    uint8_t bytes[STRUCTURE_MAX];
    unsigned length;
    GByteArray *strings;
    unsigned string_count;
} Structure;

static Structure structure_open(uint8_t type, unsigned length, uint16_t handle)
{
    Structure s = { .length = length, .strings = g_byte_array_new() };
    s.bytes[0] = type;
    s.bytes[1] = length;
    st16le(s.bytes + 2, handle);
    return s;
}

/* Section 6.1.3; no text is number 0. */
static void put_string(Structure *s, unsigned at, const char *text)
{
    if (!text || !*text)
        return;
    g_byte_array_append(s->strings, (const uint8_t *)text, strlen(text) + 1);
    s->bytes[at] = ++s->string_count;
}

/* Strings end with an empty one; a structure without any has two zero bytes. */
static void structure_close(SmbiosTables *t, Structure *s)
{
    static const uint8_t zeros[2];
    unsigned start = t->bytes->len;
    g_byte_array_append(t->bytes, s->bytes, s->length);
    g_byte_array_append(t->bytes, s->strings->data, s->strings->len);
    g_byte_array_append(t->bytes, zeros, s->string_count ? 1 : 2);
    g_byte_array_free(s->strings, TRUE);
    t->count++;
    t->largest = MAX(t->largest, t->bytes->len - start);
}

/* ---- firmware, system, chassis ---- */

static void add_firmware(SmbiosTables *t, const SmbiosConfig *c)
{
    Structure s = structure_open(TYPE_FIRMWARE, 0x18, 0);
    put_string(&s, 0x04, MANUFACTURER);
    put_string(&s, 0x05, c->version);
    st16le(s.bytes + 0x06, 0xe800);    /* segment */
    put_string(&s, 0x08, "01/01/2026");
    st64le(s.bytes + 0x0a, 1 << 3);    /* characteristics: none are said */
    s.bytes[0x13] = 1 << 2 | 1 << 4;   /* targeted content distribution; it is a virtual machine */
    s.bytes[0x14] = s.bytes[0x15] = 0; /* release */
    s.bytes[0x16] = s.bytes[0x17] = 0xff;
    structure_close(t, &s);
}

/* The first three fields of a UUID are little-endian numbers here (section 7.2.1). */
static void put_uuid(uint8_t *p, const uint8_t *uuid)
{
    st32le(p, ld32be(uuid));
    st16le(p + 4, ld16be(uuid + 4));
    st16le(p + 6, ld16be(uuid + 6));
    memcpy(p + 8, uuid + 8, 8);
}

static void add_system(SmbiosTables *t, const SmbiosConfig *c)
{
    Structure s = structure_open(TYPE_SYSTEM, 0x1b, TYPE_SYSTEM << 8);
    put_string(&s, 0x04, c->system.manufacturer ? c->system.manufacturer : MANUFACTURER);
    put_string(&s, 0x05, c->system.product ? c->system.product : PRODUCT);
    put_string(&s, 0x06, c->system.version ? c->system.version : c->version);
    put_string(&s, 0x07, c->system.serial);
    put_string(&s, 0x19, c->system.sku);
    put_string(&s, 0x1a, c->system.family);
    if (c->uuid)
        put_uuid(s.bytes + 0x08, c->uuid);
    s.bytes[0x18] = 6; /* woken by the power switch */
    structure_close(t, &s);
}

static void add_chassis(SmbiosTables *t, const SmbiosConfig *c)
{
    Structure s = structure_open(TYPE_CHASSIS, 0x16, HANDLE_CHASSIS);
    put_string(&s, 0x04, MANUFACTURER);
    s.bytes[0x05] = 1;                  /* type: other */
    put_string(&s, 0x06, c->version);
    memset(s.bytes + 0x09, 3, 3);       /* boot-up, power supply, thermal state: safe */
    s.bytes[0x0c] = 2;                  /* security: unknown */
    structure_close(t, &s);
}

/* ---- processors ---- */

static void add_processor(SmbiosTables *t, const SmbiosConfig *c, unsigned n)
{
    g_autofree char *socket = g_strdup_printf("CPU %u", n);
    Structure s = structure_open(TYPE_PROCESSOR, 0x2a, HANDLE_PROCESSOR + n);
    put_string(&s, 0x04, socket);
    s.bytes[0x05] = 3;                  /* central processor */
    s.bytes[0x06] = 1;                  /* family: other */
    put_string(&s, 0x07, c->cpu_vendor);
    st32le(s.bytes + 0x08, c->cpu_signature);
    st32le(s.bytes + 0x0c, c->cpu_features);
    put_string(&s, 0x10, c->cpu_name);
    st16le(s.bytes + 0x14, c->cpu_mhz); /* maximum and current speed */
    st16le(s.bytes + 0x16, c->cpu_mhz);
    s.bytes[0x18] = 0x41;               /* populated, enabled */
    s.bytes[0x19] = 1;                  /* upgrade: other */
    for (unsigned at = 0x1a; at < 0x20; at += 2)
        st16le(s.bytes + at, HANDLE_NONE); /* caches are not described */
    s.bytes[0x23] = s.bytes[0x24] = MIN(c->cores, 255); /* cores, and how many are enabled */
    s.bytes[0x25] = MIN(c->threads, 255);
    st16le(s.bytes + 0x26, c->cpu_long_mode ? 1 << 2 : 1 << 1);
    st16le(s.bytes + 0x28, 1);
    structure_close(t, &s);
}

/* ---- memory ---- */

/* Modules of 16 GiB, or larger ones when there would be too many. */
static uint64_t module_size(uint64_t ram)
{
    uint64_t size = MODULE_MAX;
    while (ram > size * MODULES_MAX)
        size *= 2;
    return size;
}

/* Section 7.17; sizes of 2 TiB and more go into the wider field. */
static void add_memory_array(SmbiosTables *t, uint64_t ram, unsigned modules)
{
    Structure s = structure_open(TYPE_MEMORY_ARRAY, 0x17, HANDLE_MEMORY_ARRAY);
    bool wide = ram >= 2048 * GiB;
    s.bytes[0x04] = 1;                  /* location: other */
    s.bytes[0x05] = 3;                  /* system memory */
    s.bytes[0x06] = 3;                  /* no error correction */
    st32le(s.bytes + 0x07, wide ? 0x80000000 : ram / KiB);
    st16le(s.bytes + 0x0b, HANDLE_NO_ERRORS);
    st16le(s.bytes + 0x0d, modules);
    st64le(s.bytes + 0x0f, wide ? ram : 0);
    structure_close(t, &s);
}

/* Section 7.18.4: megabytes, from 32 GiB on in the extended field; kilobytes for what is no whole megabyte. */
static void put_module_size(Structure *s, uint64_t size)
{
    bool wide = size >= 32767 * MiB;
    st16le(s->bytes + 0x0c, wide ? 0x7fff : size % MiB ? 0x8000 | size / KiB : size / MiB);
    st32le(s->bytes + 0x1c, wide ? size / MiB : 0);
}

static void add_module(SmbiosTables *t, unsigned n, uint64_t size)
{
    g_autofree char *locator = g_strdup_printf("DIMM %u", n);
    Structure s = structure_open(TYPE_MEMORY_DEVICE, 0x28, HANDLE_MEMORY_DEVICE + n);
    st16le(s.bytes + 0x04, HANDLE_MEMORY_ARRAY);
    st16le(s.bytes + 0x06, HANDLE_NO_ERRORS);
    st16le(s.bytes + 0x08, 64);         /* widths, total and data */
    st16le(s.bytes + 0x0a, 64);
    put_module_size(&s, size);
    s.bytes[0x0e] = 9;                  /* form: DIMM */
    put_string(&s, 0x10, locator);
    s.bytes[0x12] = 7;                  /* type: RAM */
    st16le(s.bytes + 0x13, 1 << 1);     /* detail: other */
    put_string(&s, 0x17, MANUFACTURER);
    structure_close(t, &s);
}

static void add_modules(SmbiosTables *t, uint64_t ram)
{
    uint64_t size = module_size(ram);
    unsigned count = (ram + size - 1) / size;
    add_memory_array(t, ram, count);
    for (unsigned n = 0; n < count; n++)
        add_module(t, n, MIN(size, ram - n * size));
}

/* Section 7.20: first and last kilobyte; from 4 TiB on in the wider fields, in bytes. */
static void add_mapping(SmbiosTables *t, unsigned n, uint64_t start, uint64_t size)
{
    Structure s = structure_open(TYPE_MEMORY_MAPPED, 0x1f, HANDLE_MEMORY_MAPPED + n);
    uint64_t last = start + size - 1;
    bool wide = last / KiB >= UINT32_MAX;
    st32le(s.bytes + 0x04, wide ? UINT32_MAX : start / KiB);
    st32le(s.bytes + 0x08, wide ? UINT32_MAX : last / KiB);
    st16le(s.bytes + 0x0c, HANDLE_MEMORY_ARRAY);
    s.bytes[0x0e] = 1;
    st64le(s.bytes + 0x0f, wide ? start : 0);
    st64le(s.bytes + 0x17, wide ? last : 0);
    structure_close(t, &s);
}

static void add_memory(SmbiosTables *t, const SmbiosConfig *c)
{
    add_modules(t, c->ram_size);
    add_mapping(t, 0, 0, c->ram_below_4g);
    if (c->ram_size > c->ram_below_4g)
        add_mapping(t, 1, 4 * GiB, c->ram_size - c->ram_below_4g);
}

/* ---- all ---- */

static void add_plain(SmbiosTables *t, uint8_t type, unsigned length, uint16_t handle)
{
    Structure s = structure_open(type, length, handle);
    structure_close(t, &s);
}

SmbiosTables *smbios_build(const SmbiosConfig *c)
{
    SmbiosTables *t = g_new0(SmbiosTables, 1);
    t->bytes = g_byte_array_new();
    add_firmware(t, c);
    add_system(t, c);
    add_chassis(t, c);
    for (unsigned n = 0; n < c->sockets; n++)
        add_processor(t, c, n);
    add_memory(t, c);
    add_plain(t, TYPE_BOOT, 0x0b, HANDLE_BOOT); /* status 0: no errors */
    add_plain(t, TYPE_END, 0x04, HANDLE_END);
    return t;
}

void smbios_free(SmbiosTables *t)
{
    if (!t)
        return;
    g_byte_array_free(t->bytes, TRUE);
    g_free(t);
}

const uint8_t *smbios_bytes(const SmbiosTables *t, size_t *size)
{
    *size = t->bytes->len;
    return t->bytes->data;
}

static uint8_t checksum(const uint8_t *p, size_t n)
{
    uint8_t sum = 0;
    while (n--)
        sum += *p++;
    return -sum;
}

/* Section 5.2.1: an entry point around the older one of DMI, each with a sum of its own. */
void smbios_anchor(const SmbiosTables *t, uint32_t table_address, uint8_t anchor[SMBIOS_ANCHOR_SIZE])
{
    memset(anchor, 0, SMBIOS_ANCHOR_SIZE);
    memcpy(anchor, "_SM_", 4);
    anchor[5] = SMBIOS_ANCHOR_SIZE;
    anchor[6] = 2;                      /* version 2.8 */
    anchor[7] = 8;
    st16le(anchor + 8, t->largest);
    memcpy(anchor + 16, "_DMI_", 5);
    st16le(anchor + 22, t->bytes->len);
    st32le(anchor + 24, table_address);
    st16le(anchor + 28, t->count);
    anchor[30] = 0x28;
    anchor[21] = checksum(anchor + 16, SMBIOS_ANCHOR_SIZE - 16);
    anchor[4] = checksum(anchor, SMBIOS_ANCHOR_SIZE);
}

size_t smbios_size(const SmbiosTables *t) { return ANCHOR_ROOM + t->bytes->len; }

void smbios_install(const SmbiosTables *t, AddressSpace *memory, uint64_t gpa)
{
    uint8_t anchor[SMBIOS_ANCHOR_SIZE];
    smbios_anchor(t, gpa + ANCHOR_ROOM, anchor);
    as_load_bytes(memory, gpa, anchor, sizeof anchor);
    as_load_bytes(memory, gpa + ANCHOR_ROOM, t->bytes->data, t->bytes->len);
}

/* Firmware chooses the place, and fills address and sums in. */
void smbios_add_to_fw_cfg(const SmbiosTables *t, FwCfg *f)
{
    uint8_t anchor[SMBIOS_ANCHOR_SIZE];
    smbios_anchor(t, 0, anchor);
    fw_cfg_add_file(f, "etc/smbios/smbios-tables", t->bytes->data, t->bytes->len);
    fw_cfg_add_file(f, "etc/smbios/smbios-anchor", anchor, sizeof anchor);
}
