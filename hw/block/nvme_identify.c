/* What an NVMe controller tells of itself: IDENTIFY and GET LOG PAGE (NVM Express 1.4, sections 5.14 and 5.15). */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/machine.h"
#include "hw/block/nvme_internal.h"
#include "util/bits.h"

enum { PAGE = 4096, MODEL_LENGTH = 40, SERIAL_LENGTH = 20, FIRMWARE_LENGTH = 8 };
#define MODEL "Myna NVMe Ctrl"
#define FIRMWARE "1.0"

/* Strings are padded with blanks. */
static void put_string(uint8_t *p, unsigned length, const char *text)
{
    unsigned n = strlen(text);

    memset(p, ' ', length);
    memcpy(p, text, MIN(n, length));
}

/* ---- the controller (figure 247) ---- */

static void put_capabilities(uint8_t *p)
{
    p[77] = 7;                      /* largest transfer: 2^7 pages of 4 KiB */
    st32le(p + 80, 0x10400);        /* version */
    st32le(p + 92, 0x100);          /* events: namespace attributes */
    p[111] = 1;                     /* an I/O controller */
    p[258] = 3;                     /* four aborts at a time */
    p[259] = NVME_EVENTS - 1;
    p[260] = 0x03;                  /* one slot of firmware, read-only */
    p[261] = 0x04;                  /* log pages may be read in parts */
    st16le(p + 266, NVME_TEMPERATURE_WARNING);
    st16le(p + 268, NVME_TEMPERATURE_CRITICAL);
    p[512] = 0x66;                  /* entries of queues: 2^6 and 2^4 bytes */
    p[513] = 0x44;
    st32le(p + 516, 1);             /* namespaces */
    st16le(p + 520, 0x1c);          /* DATASET MANAGEMENT, WRITE ZEROES, selection of features */
    p[525] = 0x07;                  /* a volatile write cache; FLUSH takes all namespaces */
    st16le(p + 2048, 2500);         /* power state 0: hundredths of a watt */
}

/* The name in the form that controllers before revision 1.3 have (section 7.9). */
static void put_subsystem_name(uint8_t *p, const uint8_t *serial, const uint8_t *model)
{
    static const char prefix[] = "nqn.2014.08.org.nvmexpress:1b361af4";
    unsigned n = strlen(prefix);

    memcpy(p, prefix, n);
    memcpy(p + n, serial, SERIAL_LENGTH);
    memcpy(p + n + SERIAL_LENGTH, model, MODEL_LENGTH);
}

static void put_controller(const Nvme *s, uint8_t *p)
{
    memcpy(p, s->pci.config + PCI_VENDOR_ID, 2);
    memcpy(p + 2, s->pci.config + PCI_SUBSYSTEM_VENDOR, 2);
    put_string(p + 4, SERIAL_LENGTH, s->serial);
    put_string(p + 24, MODEL_LENGTH, MODEL);
    put_string(p + 64, FIRMWARE_LENGTH, FIRMWARE);
    p[72] = 6;                      /* arbitration burst that is recommended: 2^6 */
    put_capabilities(p);
    put_subsystem_name(p + 768, p + 4, p + 24);
}

/* ---- the namespace (figure 245) ---- */

static void put_namespace(const Nvme *s, uint8_t *p)
{
    uint64_t blocks = nvme_blocks(s);

    st64le(p, blocks);              /* size, capacity, use */
    st64le(p + 8, blocks);
    st64le(p + 16, blocks);
    p[24] = block_can_discard(s->block) ? 1 : 0; /* thin */
    p[33] = 0x08;                   /* WRITE ZEROES may deallocate */
    p[99] = block_readonly(s->block) ? 1 : 0;
    p[128 + 2] = bit_lowest(s->block_bytes); /* format 0: 2^n bytes a block, no metadata */
}

/* A name that is the same wherever the serial number is: its FNV-1a hash, as a locally administered EUI. */
static void put_eui64(const Nvme *s, uint8_t *p)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *c = s->serial; *c; c++)
        hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    st64be(p, hash);
    p[0] = (p[0] & 0xfc) | 2;
}

static void put_descriptors(const Nvme *s, uint8_t *p)
{
    p[0] = 1; /* an IEEE extended unique identifier */
    p[1] = 8;
    put_eui64(s, p + 4);
}

/* Namespaces above a number. */
static bool put_list(uint8_t *p, uint32_t above)
{
    if (above >= UINT32_MAX - 1)
        return false;
    if (above < 1)
        st32le(p, 1);
    return true;
}

enum { CNS_NAMESPACE, CNS_CONTROLLER, CNS_LIST, CNS_DESCRIPTORS };

uint16_t nvme_identify(NvmeRequest *r)
{
    Nvme *s = r->controller;
    uint32_t id = nvme_namespace(r);
    uint8_t page[PAGE] = { 0 };

    switch (nvme_dword(r, 10) & 0xff) {
    case CNS_NAMESPACE:
        if (id != 1)
            return NVME_BAD_NAMESPACE;
        put_namespace(s, page);
        put_eui64(s, page + 120);
        break;
    case CNS_CONTROLLER: put_controller(s, page); break;
    case CNS_LIST:
        if (!put_list(page, id))
            return NVME_BAD_NAMESPACE;
        break;
    case CNS_DESCRIPTORS:
        if (id != 1)
            return NVME_BAD_NAMESPACE;
        put_descriptors(s, page);
        break;
    default: return NVME_BAD_FIELD;
    }
    return nvme_reply(r, page, PAGE);
}

/* ---- log pages (section 5.14.1) ---- */

static void put_health(const Nvme *s, uint8_t *p)
{
    const NvmeCounters *c = &s->counters;
    uint64_t hours = clock_now(s->pci.dev.machine->clocks, MYNA_CLOCK_VIRTUAL) / NS_PER_SECOND / 3600;

    p[0] = s->feature[FEATURE_TEMPERATURE] <= NVME_TEMPERATURE ? 2 : 0;
    st16le(p + 1, NVME_TEMPERATURE);
    p[3] = 100;                                /* spare: per cent, and below what it would be too little */
    p[4] = 10;
    st64le(p + 32, (c->blocks_read + 999) / 1000);
    st64le(p + 48, (c->blocks_written + 999) / 1000);
    st64le(p + 64, c->reads);
    st64le(p + 80, c->writes);
    st64le(p + 112, 1);                        /* power cycles */
    st64le(p + 128, hours);
}

static void put_firmware(uint8_t *p)
{
    p[0] = 1; /* slot 1 is active */
    put_string(p + 8, FIRMWARE_LENGTH, FIRMWARE);
}

/* The length of a page, 0: there is no such page. */
static unsigned put_log(const Nvme *s, unsigned page, uint8_t *p)
{
    switch (page) {
    case LOG_ERRORS: return 64;                /* one entry, with no error in it */
    case LOG_HEALTH: put_health(s, p); return 512;
    case LOG_FIRMWARE: put_firmware(p); return 512;
    case LOG_NAMESPACES: st32le(p, s->namespace_changed); return PAGE;
    default: return 0;
    }
}

static void log_seen(Nvme *s, unsigned page)
{
    switch (page) {
    case LOG_ERRORS: nvme_event_seen(s, EVENT_ERROR); break;
    case LOG_HEALTH: nvme_event_seen(s, EVENT_HEALTH); break;
    case LOG_NAMESPACES:
        s->namespace_changed = false;
        nvme_event_seen(s, EVENT_NOTICE);
        break;
    default: break;
    }
}

/* Doublewords, and where they begin; what is asked for beyond the page's end reads as 0. */
uint16_t nvme_log_page(NvmeRequest *r)
{
    Nvme *s = r->controller;
    unsigned page = nvme_dword(r, 10) & 0xff, retain = nvme_dword(r, 10) & 0x8000;
    uint64_t size = 4 * ((nvme_dword(r, 10) >> 16 | (uint64_t)(nvme_dword(r, 11) & 0xffff) << 16) + 1);
    uint64_t offset = nvme_qword(r, 12);
    uint8_t log[2 * PAGE] = { 0 };
    unsigned length = put_log(s, page, log);

    if (!length)
        return NVME_BAD_LOG_PAGE;
    if (offset & 3 || offset > length || (nvme_namespace(r) > 1 && nvme_namespace(r) != UINT32_MAX))
        return NVME_BAD_FIELD;
    uint16_t status = nvme_reply(r, log + offset, MIN(size, PAGE));
    if (!status && !retain)
        log_seen(s, page);
    return status;
}
