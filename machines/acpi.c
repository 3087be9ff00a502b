/* ACPI tables of the pc board (acpi.h). */
#include "machines/acpi.h"

#include <string.h>

#include "hw/acpi/piix4_pm.h"
#include "hw/timer/hpet.h"
#include "machines/aml.h"
#include "util/endian.h"

#define SCI 9
#define RSDP_SIZE 20

/* A 32-bit pointer inside the tables: the value there is an offset, the base is added when the place is known. */
typedef struct Pointer {
    uint32_t at;
} Pointer;

/* A table: its checksum byte makes the whole add up to 0. */
typedef struct Extent {
    uint32_t start, length;
} Extent;

struct AcpiTables {
    GByteArray *bytes;  /* all tables but the RSDP */
    GArray *pointers;   /* of Pointer */
    GArray *extents;    /* of Extent */
    uint32_t rsdt, facs;
};

static void put(GByteArray *to, uint64_t v, unsigned size)
{
    uint8_t b[8];
    stle(b, v, size);
    g_byte_array_append(to, b, size);
}

static void put_zeros(GByteArray *to, unsigned n)
{
    for (; n; n--)
        put(to, 0, 1);
}

static void align_to(GByteArray *to, unsigned n)
{
    while (to->len % n)
        put(to, 0, 1);
}

/* Opens a table; close_table fills in length and checksum extent. */
static uint32_t open_table(AcpiTables *t, const char *signature, uint8_t revision)
{
    align_to(t->bytes, 16);
    uint32_t start = t->bytes->len;
    g_byte_array_append(t->bytes, (const uint8_t *)signature, 4);
    put(t->bytes, 0, 4);
    put(t->bytes, revision, 1);
    put(t->bytes, 0, 1);
    g_byte_array_append(t->bytes, (const uint8_t *)"MYNA  MYNAPC  ", 14);
    put(t->bytes, 1, 4);
    g_byte_array_append(t->bytes, (const uint8_t *)"MYNA", 4);
    put(t->bytes, 1, 4);
    return start;
}

static void close_table(AcpiTables *t, uint32_t start)
{
    Extent e = { start, t->bytes->len - start };
    st32le(t->bytes->data + start + 4, e.length);
    g_array_append_val(t->extents, e);
}

static void put_pointer(AcpiTables *t, uint32_t target)
{
    Pointer p = { t->bytes->len };
    g_array_append_val(t->pointers, p);
    put(t->bytes, target, 4);
}

/* DSDT: the PCI root bridge with its interrupt routing, and what hangs on ISA. */

static void describe_device(Aml *a, const char *name, const char *id, uint64_t uid)
{
    aml_device(a, name);
    aml_name(a, "_HID");
    aml_eisa_id(a, id);
    aml_name(a, "_UID");
    aml_integer(a, uid);
    aml_name(a, "_CRS");
    aml_resources_begin(a);
}

static void end_device(Aml *a)
{
    aml_resources_end(a);
    aml_close(a);
}

static void describe_isa(Aml *a, unsigned serial_count)
{
    static const struct { const char *name; uint16_t port; uint8_t irq; } serial[4] = {
        { "COM1", 0x3f8, 4 }, { "COM2", 0x2f8, 3 }, { "COM3", 0x3e8, 4 }, { "COM4", 0x2e8, 3 }
    };
    describe_device(a, "RTC", "PNP0B00", 0);
    aml_resource_io(a, 0x70, 8);
    aml_resource_irq(a, 8);
    end_device(a);
    describe_device(a, "KBD", "PNP0303", 0);
    aml_resource_io(a, 0x60, 1);
    aml_resource_io(a, 0x64, 1);
    aml_resource_irq(a, 1);
    end_device(a);
    describe_device(a, "MOU", "PNP0F13", 0);
    aml_resource_irq(a, 12);
    end_device(a);
    for (unsigned k = 0; k < serial_count && k < 4; k++) {
        describe_device(a, serial[k].name, "PNP0501", k + 1);
        aml_resource_io(a, serial[k].port, 8);
        aml_resource_irq(a, serial[k].irq);
        end_device(a);
    }
}

/* The PIRQ lines as firmware and board program them: A and B on 10, C and D on 11. */
static const uint8_t pirq_gsi[4] = { 10, 10, 11, 11 };

static void describe_routing(Aml *a)
{
    aml_name(a, "_PRT");
    aml_package(a, 31 * 4);
    for (unsigned slot = 1; slot < 32; slot++)
        for (unsigned pin = 0; pin < 4; pin++) {
            bool power = slot == 1 && pin == 0; /* the PIIX4's own pin is the SCI */
            aml_package(a, 4);
            aml_integer(a, slot << 16 | 0xffff);
            aml_integer(a, pin);
            aml_integer(a, 0);
            aml_integer(a, power ? SCI : pirq_gsi[(slot - 1 + pin) & 3]);
            aml_close(a);
        }
    aml_close(a);
}

static void describe_pci(Aml *a, const AcpiConfig *c)
{
    aml_device(a, "PCI0");
    aml_name(a, "_HID");
    aml_eisa_id(a, "PNP0A03");
    aml_name(a, "_UID");
    aml_integer(a, 0);
    aml_name(a, "_ADR");
    aml_integer(a, 0);
    aml_name(a, "_CRS");
    aml_resources_begin(a);
    aml_resource_bus(a, 0, 0xff);
    aml_resource_io(a, 0xcf8, 8);
    aml_resource_io_window(a, 0, 0xcf7);
    aml_resource_io_window(a, 0xd00, 0xffff);
    aml_resource_memory_window(a, 0xa0000, 0xbffff, TRUE);
    aml_resource_memory_window(a, c->pci_hole_start, c->pci_hole_end, FALSE);
    aml_resources_end(a);
    describe_routing(a);
    aml_device(a, "ISA");
    aml_name(a, "_ADR");
    aml_integer(a, 1 << 16);
    describe_isa(a, c->serial_count);
    aml_close(a);
    aml_close(a);
}

/* A sleep state: SLP_TYP for PM1a, for PM1b, two reserved (section 7.4.2). */
static void describe_sleep(Aml *a, const char *name, unsigned type)
{
    aml_name(a, name);
    aml_package(a, 4);
    aml_integer(a, type);
    for (unsigned k = 1; k < 4; k++)
        aml_integer(a, 0);
    aml_close(a);
}

static uint32_t build_dsdt(AcpiTables *t, const AcpiConfig *c)
{
    uint32_t start = open_table(t, "DSDT", 1);
    Aml *a = aml_new();
    aml_scope(a, "\\_SB");
    describe_pci(a, c);
    aml_close(a);
    describe_sleep(a, "_S3", PIIX4_SLEEP_S3);
    describe_sleep(a, "_S5", PIIX4_SLEEP_S5);
    g_autoptr(GByteArray) code = aml_take(a);
    g_byte_array_append(t->bytes, code->data, code->len);
    close_table(t, start);
    return start;
}

static uint32_t build_facs(AcpiTables *t)
{
    align_to(t->bytes, 64);
    uint32_t start = t->bytes->len;
    g_byte_array_append(t->bytes, (const uint8_t *)"FACS", 4);
    put(t->bytes, 64, 4);
    put_zeros(t->bytes, 56);
    return start;
}

enum { /* FADT flags (section 5.2.9.3) */
    FADT_WBINVD = 1 << 0, FADT_C1 = 1 << 2, FADT_SLEEP_BUTTON = 1 << 5, FADT_RTC_S4 = 1 << 7, FADT_RESET = 1 << 10,
};

static uint32_t build_fadt(AcpiTables *t, uint32_t facs, uint32_t dsdt)
{
    uint32_t start = open_table(t, "FACP", 3);
    GByteArray *b = t->bytes;
    put_pointer(t, facs);
    put_pointer(t, dsdt);
    put(b, 1, 1);                        /* interrupt model: APIC */
    put(b, 0, 1);                        /* profile */
    put(b, SCI, 2);
    put(b, 0xb2, 4);                     /* SMI command port, and its values */
    put(b, 0xf1, 1);
    put(b, 0xf0, 1);
    put_zeros(b, 2);
    put(b, PIIX4_PM_BASE, 4);            /* PM1a event, PM1b event */
    put(b, 0, 4);
    put(b, PIIX4_PM_BASE + 4, 4);        /* PM1a control, PM1b control, PM2 control */
    put_zeros(b, 8);
    put(b, PIIX4_PM_TIMER_PORT, 4);
    put_zeros(b, 8);                     /* no GPE blocks */
    put(b, 4, 1);                        /* lengths: PM1 event, PM1 control, PM2, timer, GPE0, GPE1, base */
    put(b, 2, 1);
    put(b, 0, 1);
    put(b, 4, 1);
    put_zeros(b, 4);
    put(b, 0xfff, 2);                    /* C2 and C3 latencies: not there */
    put(b, 0xfff, 2);
    put_zeros(b, 4 + 2);                 /* cache flush strides, duty */
    put(b, 0, 1);                        /* RTC day alarm, month alarm, century */
    put(b, 0, 1);
    put(b, 0x32, 1);
    put(b, 3, 2);                        /* boot flags: legacy devices, 8042 */
    put(b, 0, 1);
    put(b, FADT_WBINVD | FADT_C1 | FADT_SLEEP_BUTTON | FADT_RTC_S4 | FADT_RESET, 4);
    put(b, 1, 1);                        /* reset register: port CF9h, 8 bits */
    put(b, 8, 1);
    put(b, 0, 1);
    put(b, 1, 1);
    put(b, 0xcf9, 8);
    put(b, 0x0e, 1);                     /* its value */
    put_zeros(b, 3);
    put_zeros(b, 244 - (b->len - start));
    close_table(t, start);
    return start;
}

/* An interrupt source override: PCI interrupts and the SCI are level-triggered, active high on this chip set. */
static void put_override(GByteArray *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    put(b, 2, 1);
    put(b, 10, 1);
    put(b, 0, 1);
    put(b, irq, 1);
    put(b, gsi, 4);
    put(b, flags, 2);
}

static uint32_t build_madt(AcpiTables *t, const AcpiConfig *c)
{
    static const uint8_t level[] = { 5, 9, 10, 11 };
    uint32_t start = open_table(t, "APIC", 3);
    GByteArray *b = t->bytes;
    put(b, 0xfee00000, 4);
    put(b, 1, 4); /* PC/AT compatible: two 8259s as well */
    for (unsigned k = 0; k < c->cpu_count; k++) {
        put(b, 0, 1);
        put(b, 8, 1);
        put(b, k, 1);
        put(b, c->apic_ids[k], 1);
        put(b, 1, 4);
    }
    put(b, 1, 1); /* I/O APIC 0 */
    put(b, 12, 1);
    put(b, 0, 1);
    put(b, 0, 1);
    put(b, 0xfec00000, 4);
    put(b, 0, 4);
    put_override(b, 0, 2, 0);
    for (unsigned k = 0; k < sizeof level; k++)
        put_override(b, level[k], level[k], 0x0d);
    put(b, 4, 1); /* LINT1 of every local APIC is NMI */
    put(b, 6, 1);
    put(b, 0xff, 1);
    put(b, 0, 2);
    put(b, 1, 1);
    close_table(t, start);
    return start;
}

static uint32_t build_hpet(AcpiTables *t)
{
    uint32_t start = open_table(t, "HPET", 1);
    GByteArray *b = t->bytes;
    put(b, 0x8086a201, 4);
    put(b, 0, 1);
    put(b, 64, 1);
    put(b, 0, 2);
    put(b, HPET_BASE, 8);
    put(b, 0, 1);
    put(b, 100, 2);
    put(b, 0, 1);
    close_table(t, start);
    return start;
}

AcpiTables *acpi_build(const AcpiConfig *c)
{
    AcpiTables *t = g_new0(AcpiTables, 1);
    uint32_t tables[4];
    unsigned n = 0;
    t->bytes = g_byte_array_new();
    t->pointers = g_array_new(FALSE, FALSE, sizeof(Pointer));
    t->extents = g_array_new(FALSE, FALSE, sizeof(Extent));
    t->facs = build_facs(t);
    uint32_t dsdt = build_dsdt(t, c);
    tables[n++] = build_fadt(t, t->facs, dsdt);
    if (c->ioapic)
        tables[n++] = build_madt(t, c);
    if (c->hpet)
        tables[n++] = build_hpet(t);
    t->rsdt = open_table(t, "RSDT", 1);
    for (unsigned k = 0; k < n; k++)
        put_pointer(t, tables[k]);
    close_table(t, t->rsdt);
    return t;
}

void acpi_free(AcpiTables *t)
{
    if (!t)
        return;
    g_byte_array_free(t->bytes, TRUE);
    g_array_free(t->pointers, TRUE);
    g_array_free(t->extents, TRUE);
    g_free(t);
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;
    while (n--)
        s += *p++;
    return s;
}

/* The RSDP of ACPI 1.0 (section 5.2.5.3, the first 20 bytes); without its checksum. */
static void make_rsdp(uint8_t rsdp[RSDP_SIZE], uint32_t rsdt)
{
    memcpy(rsdp, "RSD PTR \0MYNA  \0", 16);
    st32le(rsdp + 16, rsdt);
}

#define RSDP_ROOM 64

size_t acpi_size(const AcpiTables *t) { return RSDP_ROOM + t->bytes->len; }

uint64_t acpi_install(const AcpiTables *t, AddressSpace *memory, uint64_t gpa)
{
    uint64_t base = gpa + RSDP_ROOM;
    uint8_t rsdp[RSDP_SIZE];
    g_autofree uint8_t *copy = g_memdup2(t->bytes->data, t->bytes->len);
    for (unsigned k = 0; k < t->pointers->len; k++) {
        uint8_t *p = copy + g_array_index(t->pointers, Pointer, k).at;
        st32le(p, ld32le(p) + base);
    }
    for (unsigned k = 0; k < t->extents->len; k++) {
        Extent e = g_array_index(t->extents, Extent, k);
        copy[e.start + 9] = -sum(copy + e.start, e.length);
    }
    make_rsdp(rsdp, base + t->rsdt);
    rsdp[8] = -sum(rsdp, sizeof rsdp);
    as_load_bytes(memory, gpa, rsdp, sizeof rsdp);
    as_load_bytes(memory, base, copy, t->bytes->len);
    return gpa;
}

/* Firmware_Waking_Vector: section 5.2.10. */
uint32_t acpi_waking_vector(const AcpiTables *t, AddressSpace *memory, uint64_t gpa)
{
    return as_read(memory, gpa + RSDP_ROOM + t->facs + 12, 4);
}

/* Commands of the firmware's table loader: 128 bytes each. */
enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
#define LOADER_COMMAND 128
#define LOADER_NAME 56

static const char tables_file[] = "etc/acpi/tables", rsdp_file[] = "etc/acpi/rsdp";

static uint8_t *add_command(GByteArray *script, uint32_t command)
{
    uint32_t at = script->len;
    g_byte_array_set_size(script, at + LOADER_COMMAND);
    memset(script->data + at, 0, LOADER_COMMAND);
    st32le(script->data + at, command);
    return script->data + at + 4;
}

static void add_allocate(GByteArray *script, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *p = add_command(script, LOADER_ALLOCATE);
    strcpy((char *)p, file);
    st32le(p + LOADER_NAME, align);
    p[LOADER_NAME + 4] = zone;
}

static void add_pointer(GByteArray *script, const char *file, uint32_t at)
{
    uint8_t *p = add_command(script, LOADER_ADD_POINTER);
    strcpy((char *)p, file);
    strcpy((char *)p + LOADER_NAME, tables_file);
    st32le(p + 2 * LOADER_NAME, at);
    p[2 * LOADER_NAME + 4] = 4;
}

static void add_checksum(GByteArray *script, const char *file, uint32_t at, uint32_t start, uint32_t length)
{
    uint8_t *p = add_command(script, LOADER_ADD_CHECKSUM);
    strcpy((char *)p, file);
    st32le(p + LOADER_NAME, at);
    st32le(p + LOADER_NAME + 4, start);
    st32le(p + LOADER_NAME + 8, length);
}

void acpi_add_to_fw_cfg(const AcpiTables *t, FwCfg *f)
{
    g_autoptr(GByteArray) script = g_byte_array_new();
    uint8_t rsdp[RSDP_SIZE];
    make_rsdp(rsdp, t->rsdt);
    add_allocate(script, tables_file, 64, ZONE_HIGH);
    add_allocate(script, rsdp_file, 16, ZONE_FSEG);
    for (unsigned k = 0; k < t->pointers->len; k++)
        add_pointer(script, tables_file, g_array_index(t->pointers, Pointer, k).at);
    for (unsigned k = 0; k < t->extents->len; k++) {
        Extent e = g_array_index(t->extents, Extent, k);
        add_checksum(script, tables_file, e.start + 9, e.start, e.length);
    }
    add_pointer(script, rsdp_file, 16);
    add_checksum(script, rsdp_file, 8, 0, RSDP_SIZE);
    fw_cfg_add_file(f, rsdp_file, rsdp, sizeof rsdp);
    fw_cfg_add_file(f, tables_file, t->bytes->data, t->bytes->len);
    fw_cfg_add_file(f, "etc/table-loader", script->data, script->len);
}
