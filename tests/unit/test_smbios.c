/* SMBIOS tables: walked as a kernel does, from the entry point to the end. */
#include "core/machine.h"
#include "machines/smbios.h"
#include "util/bits.h"
#include "util/endian.h"

#include <string.h>

static const uint8_t uuid[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static SmbiosConfig config_of(unsigned cpus, uint64_t ram, uint64_t below)
{
    return (SmbiosConfig){ .version = "0.1", .uuid = uuid, .sockets = cpus, .cores = 4, .threads = 8, .cpu_vendor = "GenuineIntel",
                           .cpu_name = "Myna CPU", .cpu_signature = 0x000306c3, .cpu_features = 0x0783fbff,
                           .cpu_long_mode = true, .cpu_mhz = 2000, .ram_size = ram, .ram_below_4g = below };
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;
    while (n--)
        s += *p++;
    return s;
}

/* The n-th string of a structure. */
static const char *string_of(const uint8_t *structure, unsigned n)
{
    const char *s = (const char *)structure + structure[1];
    g_assert_cmpuint(n, >, 0);
    while (--n)
        s += strlen(s) + 1;
    return s;
}

static const uint8_t *next_of(const uint8_t *structure)
{
    const uint8_t *p = structure + structure[1];
    while (p[0] || p[1])
        p++;
    return p + 2;
}

/* Walks to the end; checks that handles are unique and counts structures; returns the n-th of a type. */
static const uint8_t *find(const SmbiosTables *t, uint8_t type, unsigned n)
{
    size_t size;
    const uint8_t *p = smbios_bytes(t, &size), *end = p + size, *found = NULL;
    for (; p < end; p = next_of(p)) {
        if (p[0] == type && !n--)
            found = p;
        for (const uint8_t *q = next_of(p); q < end; q = next_of(q))
            g_assert_cmphex(ld16le(p + 2), !=, ld16le(q + 2));
    }
    g_assert_true(p == end);
    return found;
}

static void test_structures(void)
{
    SmbiosConfig c = config_of(3, 6 * GiB, 3 * GiB);
    SmbiosTables *t = smbios_build(&c);
    const uint8_t *p = find(t, 1, 0);

    g_assert_cmpstr(string_of(p, p[4]), ==, "Myna");
    g_assert_cmpstr(string_of(p, p[5]), ==, "pc");
    g_assert_cmpmem(p + 8, 16, "\3\2\1\0\5\4\7\6\10\11\12\13\14\15\16\17", 16);
    p = find(t, 0, 0);
    g_assert_cmpstr(string_of(p, p[4]), ==, "Myna");
    g_assert_cmpuint(p[1], ==, 0x18);
    g_assert_nonnull(find(t, 3, 0));
    p = find(t, 4, 2);
    g_assert_cmpstr(string_of(p, p[4]), ==, "CPU 2");
    g_assert_cmpstr(string_of(p, p[0x10]), ==, "Myna CPU");
    g_assert_cmphex(ld32le(p + 8), ==, 0x000306c3);
    g_assert_null(find(t, 4, 3));
    p = find(t, 16, 0);
    g_assert_cmphex(ld32le(p + 7), ==, 6 << 20);
    p = find(t, 17, 0);
    g_assert_cmpuint(ld16le(p + 0x0c), ==, 6144);
    g_assert_null(find(t, 17, 1));
    p = find(t, 19, 0);
    g_assert_cmphex(ld32le(p + 8), ==, (3 << 20) - 1);
    p = find(t, 19, 1);
    g_assert_cmphex(ld32le(p + 4), ==, 4 << 20);
    g_assert_cmphex(ld32le(p + 8), ==, (7 << 20) - 1);
    g_assert_nonnull(find(t, 32, 0));
    g_assert_nonnull(find(t, 127, 0));
    smbios_free(t);
}

/* What the user says of the system, in place of our words. */
static void test_system(void)
{
    SmbiosConfig c = config_of(1, GiB, GiB);
    c.system = (SmbiosSystem){ .product = "box", .serial = "S-1", .sku = "K", .family = "F" };
    SmbiosTables *t = smbios_build(&c);
    const uint8_t *p = find(t, 1, 0);

    g_assert_cmpstr(string_of(p, p[4]), ==, "Myna");
    g_assert_cmpstr(string_of(p, p[5]), ==, "box");
    g_assert_cmpstr(string_of(p, p[7]), ==, "S-1");
    g_assert_cmpstr(string_of(p, p[0x19]), ==, "K");
    g_assert_cmpstr(string_of(p, p[0x1a]), ==, "F");
    smbios_free(t);
}

/* Small, odd and huge memories. */
static void test_memory_sizes(void)
{
    SmbiosConfig c = config_of(1, MiB + 512 * KiB, MiB + 512 * KiB);
    SmbiosTables *t = smbios_build(&c);
    g_assert_cmphex(ld16le(find(t, 17, 0) + 0x0c), ==, 0x8000 | 1536);
    g_assert_null(find(t, 19, 1));
    smbios_free(t);

    c = config_of(255, 40 * GiB, 3 * GiB);
    t = smbios_build(&c);
    g_assert_cmpuint(ld16le(find(t, 17, 2) + 0x0c), ==, 8192);
    g_assert_nonnull(find(t, 4, 254));
    g_assert_cmpuint(smbios_size(t), <, 0x10000);
    smbios_free(t);

    c = config_of(1, 16384 * GiB, 3 * GiB);
    t = smbios_build(&c);
    g_assert_cmphex(ld32le(find(t, 16, 0) + 7), ==, 0x80000000);
    g_assert_cmphex(ld64le(find(t, 16, 0) + 0x0f), ==, 16384 * GiB);
    g_assert_cmphex(ld16le(find(t, 17, 255) + 0x0c), ==, 0x7fff);
    g_assert_cmphex(ld32le(find(t, 17, 255) + 0x1c), ==, 64 << 10);
    g_assert_null(find(t, 17, 256));
    g_assert_cmphex(ld32le(find(t, 19, 1) + 4), ==, UINT32_MAX);
    g_assert_cmphex(ld64le(find(t, 19, 1) + 0x0f), ==, 4 * GiB);
    smbios_free(t);
}

static void test_install(void)
{
    GError *err = NULL;
    Machine *m = machine_new(MiB, &err);
    g_assert_no_error(err);
    Region *ram = region_new_ram(m->pool, "ram", MiB, &err);
    g_assert_no_error(err);
    region_add(as_root(m->memory), 0, ram, 0);

    SmbiosConfig c = config_of(2, GiB, GiB);
    SmbiosTables *t = smbios_build(&c);
    smbios_install(t, m->memory, 0xf0010);
    const uint8_t *p = region_host(ram) + 0xf0010;
    g_assert_cmpmem(p, 4, "_SM_", 4);
    g_assert_cmpmem(p + 16, 5, "_DMI_", 5);
    g_assert_cmpuint(p[5], ==, 31);
    g_assert_cmpuint(sum(p, 31), ==, 0);
    g_assert_cmpuint(sum(p + 16, 15), ==, 0);
    size_t size;
    const uint8_t *bytes = smbios_bytes(t, &size);
    g_assert_cmpmem(region_host(ram) + ld32le(p + 24), ld16le(p + 22), bytes, size);
    unsigned count = 0, largest = 0;
    for (const uint8_t *s = bytes, *n; s < bytes + size; s = n, count++) {
        n = next_of(s);
        largest = MAX(largest, (unsigned)(n - s));
    }
    g_assert_cmpuint(ld16le(p + 28), ==, count);
    g_assert_cmpuint(ld16le(p + 8), ==, largest);
    smbios_free(t);
    region_free(ram);
    machine_free(m);
}

static uint8_t fw_cfg_byte(Machine *m) { return as_read(m->ports, 0x511, 1); }

static uint32_t fw_cfg_be(Machine *m, unsigned bytes)
{
    uint32_t v = 0;
    while (bytes--)
        v = v << 8 | fw_cfg_byte(m);
    return v;
}

/* Looks a file up in the directory and reads it. */
static void fw_cfg_read(Machine *m, const char *name, uint8_t *to, size_t size)
{
    char found[56] = "";
    unsigned key = 0;
    as_write(m->ports, 0x510, FW_CFG_FILE_DIR, 2);
    for (unsigned n = fw_cfg_be(m, 4); n-- && strcmp(found, name);) {
        g_assert_true(fw_cfg_be(m, 4) == size || n);
        key = fw_cfg_be(m, 2);
        fw_cfg_be(m, 2);
        for (unsigned k = 0; k < sizeof found; k++)
            found[k] = fw_cfg_byte(m);
    }
    g_assert_cmpstr(found, ==, name);
    as_write(m->ports, 0x510, key, 2);
    for (size_t k = 0; k < size; k++)
        to[k] = fw_cfg_byte(m);
}

static void test_fw_cfg(void)
{
    GError *err = NULL;
    Machine *m = machine_new(MiB, &err);
    g_assert_no_error(err);
    FwCfg *f = (FwCfg *)device_add(m, &fw_cfg_type, NULL, &err, NULL);
    g_assert_no_error(err);
    SmbiosConfig c = config_of(1, GiB, GiB);
    SmbiosTables *t = smbios_build(&c);
    uint8_t anchor[SMBIOS_ANCHOR_SIZE];
    size_t size;
    const uint8_t *bytes = smbios_bytes(t, &size);
    g_autofree uint8_t *read = g_malloc(size);

    smbios_add_to_fw_cfg(t, f);
    fw_cfg_read(m, "etc/smbios/smbios-anchor", anchor, sizeof anchor);
    g_assert_cmpmem(anchor, 4, "_SM_", 4);
    fw_cfg_read(m, "etc/smbios/smbios-tables", read, size);
    g_assert_cmpmem(read, size, bytes, size);
    smbios_free(t);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/smbios/structures", test_structures);
    g_test_add_func("/smbios/system", test_system);
    g_test_add_func("/smbios/memory-sizes", test_memory_sizes);
    g_test_add_func("/smbios/install", test_install);
    g_test_add_func("/smbios/fw-cfg", test_fw_cfg);
    return g_test_run();
}
