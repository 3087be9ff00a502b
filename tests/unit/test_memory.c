/*
 * core/memory.c: the region tree and its views, RAM flags, device access sizes, and lookups during changes.
 */
#include "core/memory.h"

#include <string.h>

#include "util/bits.h"

/* A device that notes its last accesses. */
typedef struct Probe {
    unsigned count;
    struct {
        uint64_t offset, value;
        unsigned size;
        bool write;
    } log[16];
} Probe;

typedef struct Fixture {
    GRecMutex lock;
    RamPool *pool;
    AddressSpace *as;
    Probe probe;
} Fixture;

static void probe_note(Probe *p, uint64_t offset, uint64_t value, unsigned size, bool write)
{
    unsigned i = p->count++ % G_N_ELEMENTS(p->log);
    p->log[i].offset = offset;
    p->log[i].value = value;
    p->log[i].size = size;
    p->log[i].write = write;
}

/* Byte n of the device reads as n. */
static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= ((offset + i) & 0xff) << 8 * i;
    probe_note(opaque, offset, v, size, false);
    return v | (size < 8 ? ~bit_mask(8 * size) : 0); /* rubbish above */
}

static void probe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    probe_note(opaque, offset, value, size, true);
}

static const RegionOps probe_ops = { probe_read, probe_write, 0, 0 };
static const RegionOps probe_ops_dword = { probe_read, probe_write, 4, 4 };
static const RegionOps probe_ops_byte = { probe_read, probe_write, 1, 1 };
static const RegionOps probe_ops_qword = { probe_read, probe_write, 1, 8 };

static void fixture_up(Fixture *f, gconstpointer data)
{
    (void)data;
    g_rec_mutex_init(&f->lock);
    f->pool = ram_pool_new(64 * MiB, NULL);
    f->as = as_new("memory", 52, f->pool, &f->lock);
}

static void fixture_down(Fixture *f, gconstpointer data)
{
    (void)data;
    as_free(f->as);
    ram_pool_free(f->pool);
    g_rec_mutex_clear(&f->lock);
}

static const char *name_at(Fixture *f, uint64_t addr)
{
    AsTarget t = as_lookup(f->as, addr);
    return t.region ? region_name(t.region) : "";
}

static void test_priorities(Fixture *f, gconstpointer data)
{
    Region *ram = region_new_ram(f->pool, "ram", 1 * MiB, NULL);
    Region *low = region_new_io("low", 0x1000, &probe_ops, &f->probe);
    Region *high = region_new_io("high", 0x1000, &probe_ops, &f->probe);
    Region *later = region_new_io("later", 0x400, &probe_ops, &f->probe);
    (void)data;

    region_add(as_root(f->as), 0, ram, 0);
    region_add(as_root(f->as), 0x800, high, 2);
    region_add(as_root(f->as), 0, low, 1);
    g_assert_cmpstr(name_at(f, 0), ==, "low");
    g_assert_cmpstr(name_at(f, 0x7ff), ==, "low");
    g_assert_cmpstr(name_at(f, 0x800), ==, "high");
    g_assert_cmpstr(name_at(f, 0x17ff), ==, "high");
    g_assert_cmpstr(name_at(f, 0x1800), ==, "ram");
    g_assert_cmpuint(as_lookup(f->as, 0x1800).offset, ==, 0x1800);
    g_assert_cmpuint(as_lookup(f->as, 0x801).offset, ==, 1);
    g_assert_cmpuint(as_lookup(f->as, 0x10).room, ==, 0x7f0);
    region_add(as_root(f->as), 0xa00, later, 2); /* equal priority: the later one covers */
    g_assert_cmpstr(name_at(f, 0x9ff), ==, "high");
    g_assert_cmpstr(name_at(f, 0xa00), ==, "later");
    g_assert_cmpstr(name_at(f, 0xe00), ==, "high");
    g_assert_cmpuint(as_lookup(f->as, 0xe00).offset, ==, 0x600);
    region_move(high, 0x4000);
    g_assert_cmpstr(name_at(f, 0x800), ==, "low");
    g_assert_cmpstr(name_at(f, 0x4fff), ==, "high");
    region_remove(low);
    g_assert_cmpstr(name_at(f, 0), ==, "ram");
    g_assert_null(as_lookup(f->as, 1 * MiB).region);
    g_assert_cmpuint(as_lookup(f->as, 1 * MiB).room, >, GiB);
    region_set_enabled(high, false);
    g_assert_cmpstr(name_at(f, 0x4000), ==, "ram");
    region_free(ram);
    region_free(low);
    region_free(high);
    region_free(later);
    g_assert_null(as_lookup(f->as, 0).region);
}

/* Containers cut their contents, and a hole's room ends at the next range. */
static void test_containers(Fixture *f, gconstpointer data)
{
    Region *outer = region_new_container("outer", 0x2000), *inner = region_new_container("inner", 0x10000);
    Region *io = region_new_io("io", 0x10000, &probe_ops, &f->probe);
    (void)data;

    region_add(inner, 0x800, io, 0);
    region_add(outer, 0x1000, inner, 0);
    region_add(as_root(f->as), 0x100000, outer, 0);
    g_assert_cmpstr(name_at(f, 0x1017ff), ==, "");
    g_assert_cmpuint(as_lookup(f->as, 0x100000).room, ==, 0x1800);
    g_assert_cmpstr(name_at(f, 0x101800), ==, "io");
    g_assert_cmpuint(as_lookup(f->as, 0x101800).room, ==, 0x800);
    g_assert_cmpstr(name_at(f, 0x102000), ==, "");
    region_set_enabled(outer, false);
    region_move(io, 0);
    g_assert_cmpstr(name_at(f, 0x101800), ==, "");
    region_set_enabled(outer, true);
    g_assert_cmpstr(name_at(f, 0x101000), ==, "io");
    region_free(outer);
    region_free(inner);
    region_free(io);
}

static void test_aliases(Fixture *f, gconstpointer data)
{
    Region *ram = region_new_ram(f->pool, "ram", 4 * MiB, NULL);
    Region *pci = region_new_container("pci", 1 * GiB), *bar = region_new_io("bar", 0x1000, &probe_ops, &f->probe);
    Region *below = region_new_alias("below", ram, 0, 3 * MiB), *above = region_new_alias("above", ram, 3 * MiB, MiB);
    Region *hole = region_new_alias("hole", pci, 0x10000000, 0x10000);
    Region *second = region_new_alias("second", hole, 0x800, 0x10000);
    (void)data;

    region_add(as_root(f->as), 0, below, 0);
    region_add(as_root(f->as), 0x100000000, above, 0);
    as_write(f->as, 0x100000004, 0x11223344, 4);
    g_assert_cmphex(*(region_host(ram) + 3 * MiB + 4), ==, 0x44);
    g_assert_cmpuint(as_lookup(f->as, 0x100000004).pool_offset, ==, region_pool_offset(ram) + 3 * MiB + 4);
    /* An alias of a container, and one of that alias: what is added to the container shows in both. */
    region_add(as_root(f->as), 0xe0000000, hole, 1);
    region_add(as_root(f->as), 0xf0000000, second, 1);
    g_assert_cmpstr(name_at(f, 0xe0000000), ==, "");
    region_add(pci, 0x10000000, bar, 0);
    g_assert_cmpstr(name_at(f, 0xe0000000), ==, "bar");
    g_assert_cmpstr(name_at(f, 0xf0000000), ==, "bar");
    g_assert_cmpuint(as_lookup(f->as, 0xf0000000).offset, ==, 0x800);
    g_assert_cmpuint(as_lookup(f->as, 0xf0000000).room, ==, 0x800);
    region_set_enabled(hole, false);
    g_assert_cmpstr(name_at(f, 0xf0000000), ==, "");
    region_set_enabled(hole, true);
    region_set_alias_offset(hole, 0x10000800);
    g_assert_cmpuint(as_lookup(f->as, 0xe0000000).offset, ==, 0x800);
    region_set_alias_offset(below, 1 * MiB);
    g_assert_cmpuint(as_lookup(f->as, 0).offset, ==, 1 * MiB);
    region_free(ram); /* before its aliases: they show nothing */
    g_assert_null(as_lookup(f->as, 0).region);
    region_free(below);
    region_free(above);
    region_free(second);
    region_free(hole);
    region_free(bar);
    region_free(pci);
}

static void count_change(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* The i440FX's PAM: RAM or PCI at C0000h, the RAM writable or not. */
static void test_pam(Fixture *f, gconstpointer data)
{
    Region *ram = region_new_ram(f->pool, "ram", 2 * MiB, NULL), *rom = region_new_rom(f->pool, "rom", 0x4000, NULL);
    Region *shadow = region_new_alias("pam", ram, 0xc0000, 0x4000);
    Region *window = region_new_alias("window", rom, 0, 0x4000);
    unsigned changes = 0;
    (void)data;

    region_add(as_root(f->as), 0, ram, 0);
    region_add(as_root(f->as), 0xc0000, window, 1);
    region_add(as_root(f->as), 0xc0000, shadow, 2);
    region_set_enabled(shadow, false);
    as_load_bytes(f->as, 0xc0000, "\x55\xaa", 2);
    g_assert_cmphex(as_read(f->as, 0xc0000, 2), ==, 0xaa55);
    as_write(f->as, 0xc0000, 0x1234, 2); /* dropped */
    g_assert_cmphex(as_read(f->as, 0xc0000, 2), ==, 0xaa55);
    g_assert_true(as_lookup(f->as, 0xc0000).readonly);

    as_add_listener(f->as, count_change, &changes);
    region_set_enabled(shadow, true);
    g_assert_cmpuint(changes, ==, 1);
    as_write(f->as, 0xc0000, 0x1234, 2);
    region_set_readonly(shadow, true);
    g_assert_cmpuint(changes, ==, 2);
    as_write(f->as, 0xc0000, 0, 2);
    as_write_bytes(f->as, 0xc0000, "ab", 2);
    g_assert_cmphex(as_read(f->as, 0xc0000, 2), ==, 0x1234);
    g_assert_false(as_lookup(f->as, 0xbffff).readonly);
    /* Writable again, it continues the RAM around it: one range. */
    region_set_readonly(shadow, false);
    g_assert_cmpuint(as_lookup(f->as, 0).room, ==, 2 * MiB);
    /* No change of the view, no notice; and one for a whole batch. */
    region_set_readonly(shadow, false);
    g_assert_cmpuint(changes, ==, 3);
    as_batch_begin(f->as);
    for (unsigned i = 0; i < 7; i++)
        region_set_enabled(shadow, i & 1);
    as_batch_end(f->as);
    g_assert_cmpuint(changes, ==, 4);
    as_batch_begin(f->as);
    region_set_enabled(shadow, true);
    region_set_enabled(shadow, false);
    as_batch_end(f->as);
    g_assert_cmpuint(changes, ==, 4);
    as_remove_listener(f->as, count_change, &changes);
    region_set_enabled(shadow, true);
    g_assert_cmpuint(changes, ==, 4);
    region_free(shadow);
    region_free(window);
    region_free(rom);
    region_free(ram);
}

static void check_access(const Probe *p, unsigned i, bool write, uint64_t offset, uint64_t value, unsigned size)
{
    g_assert_cmpuint(i, <, p->count);
    g_assert_cmpint(p->log[i].write, ==, write);
    g_assert_cmphex(p->log[i].offset, ==, offset);
    g_assert_cmphex(p->log[i].value, ==, value);
    g_assert_cmpuint(p->log[i].size, ==, size);
}

static void test_device_sizes(Fixture *f, gconstpointer data)
{
    Region *io = region_new_io("io", 0x100, &probe_ops, &f->probe);
    Region *dword = region_new_io("dword", 0x100, &probe_ops_dword, &f->probe);
    Region *byte = region_new_io("byte", 0x100, &probe_ops_byte, &f->probe);
    Region *qword = region_new_io("qword", 0x100, &probe_ops_qword, &f->probe);
    Probe *p = &f->probe;
    uint8_t bytes[16];
    (void)data;

    region_add(as_root(f->as), 0x0000, io, 0);
    region_add(as_root(f->as), 0x1000, dword, 0);
    region_add(as_root(f->as), 0x2000, byte, 0);
    region_add(as_root(f->as), 0x3000, qword, 0);
    g_assert_cmphex(as_read(f->as, 0x10, 2), ==, 0x1110);
    g_assert_cmphex(as_read(f->as, 0x10, 8), ==, 0x1716151413121110);
    check_access(p, 0, false, 0x10, 0x1110, 2);
    check_access(p, 1, false, 0x10, 0x13121110, 4);
    check_access(p, 2, false, 0x14, 0x17161514, 4);
    p->count = 0;
    /* Narrow and unaligned reads of dword registers are cut out of whole ones. */
    g_assert_cmphex(as_read(f->as, 0x1021, 1), ==, 0x21);
    g_assert_cmphex(as_read(f->as, 0x1022, 4), ==, 0x25242322);
    check_access(p, 0, false, 0x20, 0x23222120, 4);
    check_access(p, 1, false, 0x20, 0x23222120, 4);
    check_access(p, 2, false, 0x24, 0x27262524, 4);
    p->count = 0;
    as_write(f->as, 0x1020, 0x12, 1); /* rejected */
    as_write(f->as, 0x1022, 0x12, 4);
    g_assert_cmpuint(p->count, ==, 0);
    as_write(f->as, 0x1020, 0x1122334455667788, 8);
    check_access(p, 0, true, 0x20, 0x55667788, 4);
    check_access(p, 1, true, 0x24, 0x11223344, 4);
    p->count = 0;
    as_write(f->as, 0x2040, 0xffff2211, 2);
    check_access(p, 0, true, 0x40, 0x11, 1);
    check_access(p, 1, true, 0x41, 0x22, 1);
    p->count = 0;
    as_write(f->as, 0x3008, 0x1122334455667788, 8);
    check_access(p, 0, true, 8, 0x1122334455667788, 8);
    p->count = 0;
    as_read_bytes(f->as, 0x3001, bytes, 15);
    for (unsigned i = 0; i < 15; i++)
        g_assert_cmphex(bytes[i], ==, i + 1);
    check_access(p, 0, false, 1, 1, 1);
    check_access(p, 1, false, 2, 0x0302, 2);
    check_access(p, 2, false, 4, 0x07060504, 4);
    check_access(p, 3, false, 8, 0x0f0e0d0c0b0a0908, 8);
    p->count = 0;
    as_write_bytes(f->as, 0x1000, "\1\2\3\4\5\6\7\10", 8);
    check_access(p, 0, true, 0, 0x04030201, 4);
    check_access(p, 1, true, 4, 0x08070605, 4);
    region_free(io);
    region_free(dword);
    region_free(byte);
    region_free(qword);
}

static void test_crossing(Fixture *f, gconstpointer data)
{
    Region *ram = region_new_ram(f->pool, "ram", 0x1000, NULL), *io = region_new_io("io", 4, &probe_ops, &f->probe);
    uint8_t bytes[12];
    (void)data;

    region_add(as_root(f->as), 0, ram, 0);
    region_add(as_root(f->as), 0x1000, io, 0);
    as_write(f->as, 0xffd, 0x8877665544332211, 8); /* 3 bytes RAM, 4 device, 1 nothing */
    g_assert_cmpmem(region_host(ram) + 0xffd, 3, "\x11\x22\x33", 3);
    check_access(&f->probe, 0, true, 0, 0x77665544, 4);
    g_assert_cmphex(as_read(f->as, 0xffd, 8), ==, 0xff03020100332211);
    g_assert_cmphex(as_read(f->as, 0xfff, 2), ==, 0x0033);
    g_assert_cmphex(as_read(f->as, 0x1003, 4), ==, 0xffffff03);
    g_assert_cmphex(as_read(f->as, 0x2000, 4), ==, 0xffffffff);
    g_assert_cmphex(as_read(f->as, UINT64_MAX - 1, 4), ==, 0x0000ffff); /* wraps to RAM at 0 */
    as_read_bytes(f->as, 0xffc, bytes, sizeof bytes);
    g_assert_cmpmem(bytes, 12, "\0\x11\x22\x33\0\1\2\3\xff\xff\xff\xff", 12);
    region_free(ram);
    region_free(io);
}

typedef struct CodeLog {
    unsigned count;
    uint64_t offset, size;
    unsigned cleared; /* dirty bits */
} CodeLog;

static void dirty_cleared(void *opaque) { ((CodeLog *)opaque)->cleared++; }

static void code_written(void *opaque, uint64_t offset, uint64_t size)
{
    CodeLog *log = opaque;
    log->count++;
    log->offset = offset;
    log->size = size;
}

static void test_flags(Fixture *f, gconstpointer data)
{
    Region *ram = region_new_ram(f->pool, "ram", 0x10000, NULL);
    uint64_t base = region_pool_offset(ram);
    CodeLog log = { 0 }, other = { 0 };
    uint8_t big[0x2000] = { 0 };
    (void)data;

    region_add(as_root(f->as), 0, ram, 0);
    g_assert_false(ram_test_and_clear_dirty(f->pool, base, 0x10000, PAGE_DIRTY_ALL));
    as_write(f->as, 0x2004, 1, 4);
    g_assert_cmphex(f->pool->page_flags[(base >> 12) + 2], ==, PAGE_DIRTY_ALL);
    g_assert_false(ram_test_and_clear_dirty(f->pool, base, 0x2000, PAGE_DIRTY_DISPLAY));
    g_assert_true(ram_test_and_clear_dirty(f->pool, base, 0x2001, PAGE_DIRTY_DISPLAY));
    g_assert_false(ram_test_and_clear_dirty(f->pool, base, 0x10000, PAGE_DIRTY_DISPLAY));
    g_assert_true(ram_test_and_clear_dirty(f->pool, base, 0x10000, PAGE_DIRTY_SAVE));
    as_write(f->as, 0x2fff, 0xffff, 2); /* two pages */
    g_assert_true(ram_test_and_clear_dirty(f->pool, base + 0x2000, 1, PAGE_DIRTY_ALL));
    g_assert_true(ram_test_and_clear_dirty(f->pool, base + 0x3000, 1, PAGE_DIRTY_ALL));

    ram_add_code_listener(f->pool, code_written, &log);
    ram_add_code_listener(f->pool, code_written, &other);
    f->pool->page_flags[(base >> 12) + 5] = PAGE_CODE;
    as_write(f->as, 0x4ffc, 0, 4);
    as_read(f->as, 0x5000, 4);
    g_assert_cmpuint(log.count, ==, 0);
    as_write(f->as, 0x5010, 0, 4);
    g_assert_cmpuint(log.count, >, 0);
    g_assert_cmphex(log.offset, ==, base + 0x5010);
    g_assert_cmphex(log.size, ==, 4);
    g_assert_cmphex(f->pool->page_flags[(base >> 12) + 5], ==, (PAGE_CODE | PAGE_DIRTY_ALL));
    as_write(f->as, 0x4ffe, 0, 4); /* only the part on the page */
    g_assert_cmphex(log.offset, ==, base + 0x5000);
    g_assert_cmphex(log.size, ==, 2);
    as_write_bytes(f->as, 0x4800, big, sizeof big);
    g_assert_cmphex(log.offset, ==, base + 0x5000);
    g_assert_cmphex(log.size, ==, 0x1000);
    log.count = 0;
    ram_mark_written(f->pool, base + 0x5ffe, 4);
    g_assert_cmpuint(log.count, ==, 1);
    g_assert_cmphex(log.offset, ==, base + 0x5ffe);
    g_assert_cmphex(log.size, ==, 2);
    g_assert_cmphex(other.offset, ==, base + 0x5ffe);
    ram_remove_code_listener(f->pool, code_written, &log);
    other.count = 0;
    ram_mark_written(f->pool, base + 0x5000, 1);
    g_assert_cmpuint(log.count, ==, 1);
    g_assert_cmpuint(other.count, ==, 1);
    ram_add_dirty_listener(f->pool, dirty_cleared, &log);
    ram_add_dirty_listener(f->pool, dirty_cleared, &other);
    ram_test_and_clear_dirty(f->pool, base + 0x5000, 1, PAGE_DIRTY_ALL);
    ram_remove_dirty_listener(f->pool, dirty_cleared, &log);
    ram_mark_written(f->pool, base + 0x5000, 1);
    ram_test_and_clear_dirty(f->pool, base + 0x5000, 1, PAGE_DIRTY_ALL);
    ram_test_and_clear_dirty(f->pool, base + 0x5000, 1, PAGE_DIRTY_ALL); /* nothing to clear: no call */
    g_assert_cmpuint(log.cleared, ==, 1);
    g_assert_cmpuint(other.cleared, ==, 2);
    /* of several pages, each is told, and listeners once */
    uint8_t taken[4];
    ram_mark_written(f->pool, base + 0x3ffe, 1);
    ram_mark_written(f->pool, base + 0x5000, 1);
    ram_test_and_clear_dirty(f->pool, base + 0x2000, 0x1000, PAGE_DIRTY_ALL);
    ram_test_and_clear_dirty(f->pool, base + 0x4000, 0x1000, PAGE_DIRTY_ALL);
    other.cleared = 0;
    g_assert_true(ram_take_dirty(f->pool, base + 0x2000, 0x4000, PAGE_DIRTY_DISPLAY, taken));
    g_assert_cmpmem(taken, 4, "\0\1\0\1", 4);
    g_assert_cmpuint(other.cleared, ==, 1);
    g_assert_false(ram_take_dirty(f->pool, base + 0x2000, 0x4000, PAGE_DIRTY_DISPLAY, taken));
    g_assert_cmpmem(taken, 4, "\0\0\0\0", 4);
    g_assert_true(ram_take_dirty(f->pool, base + 0x3000, 1, PAGE_DIRTY_SAVE, NULL));
    g_assert_cmpuint(other.cleared, ==, 2);
    region_free(ram);
}

static void test_pool(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    Region *a = region_new_ram(f->pool, "a", 5, NULL), *b = region_new_rom(f->pool, "b", 64 * MiB, NULL);
    (void)data;

    g_assert_nonnull(b); /* rounding up does not eat into what was asked for */
    g_assert_cmpuint(region_pool_offset(b) % (64 * KiB), ==, 0);
    g_assert_cmpuint(region_size(a), ==, 5);
    g_assert_null(region_new_ram(f->pool, "c", 64 * MiB, &error));
    g_assert_true(g_str_has_prefix(error->message, "no room for 67108864 bytes of memory 'c': "));
    g_assert_null(region_new_ram(f->pool, "d", UINT64_MAX, NULL));
    g_assert_null(ram_pool_new(UINT64_MAX, NULL));
    region_free(a);
    region_free(b);
}

static void test_dump(Fixture *f, gconstpointer data)
{
    g_autoptr(GString) out = g_string_new(NULL);
    Region *ram = region_new_ram(f->pool, "pc.ram", 1 * MiB, NULL), *pci = region_new_container("pci", 0x1000);
    Region *low = region_new_alias("low", ram, 0, 0x80000), *io = region_new_io("regs", 0x10, &probe_ops, &f->probe);
    Region *hole = region_new_alias("hole", pci, 0x100, 0x100);
    (void)data;

    region_add(as_root(f->as), 0, low, 0);
    region_add(as_root(f->as), 0x100000, hole, 1);
    region_add(pci, 0x108, io, -1);
    region_set_enabled(low, false);
    region_set_enabled(low, true);
    region_set_readonly(low, true);
    as_dump(f->as, out);
    g_assert_cmpstr(out->str, ==,
                    "address-space: memory\n"
                    "  0000000000000000-000fffffffffffff (prio 0, i/o): memory\n"
                    "    0000000000100000-00000000001000ff (prio 1, i/o): alias hole @pci "
                    "0000000000000100-00000000000001ff\n"
                    "    0000000000000000-000000000007ffff (prio 0, ram): alias low @pc.ram "
                    "0000000000000000-000000000007ffff\n"
                    "\n"
                    "memory-region: pci\n"
                    "  0000000000000000-0000000000000fff (prio 0, i/o): pci\n"
                    "    0000000000000108-0000000000000117 (prio -1, i/o): regs\n"
                    "\n"
                    "memory-region: pc.ram\n"
                    "  0000000000000000-00000000000fffff (prio 0, ram): pc.ram\n"
                    "\n"
                    "FlatView\n"
                    " AS \"memory\", root: memory\n"
                    "  0000000000000000-000000000007ffff (prio 0, rom): pc.ram\n"
                    "  0000000000100008-0000000000100017 (prio -1, i/o): regs\n"
                    "\n");
    region_free(low);
    region_free(hole);
    region_free(io);
    region_free(pci);
    region_free(ram);
}

/* --- readers without the lock ------------------------------------------------------------------------------------ */

typedef struct Race {
    Fixture *f;
    Region *ram;
    atomic_bool stop;
    atomic_uint lookups, wrong;
} Race;

/* Whatever the map is at the moment, an address below 2 MiB leads to a place of its own in RAM or to the device. */
static gpointer race_reader(gpointer data)
{
    Race *r = data;
    uint64_t addr = 0;
    unsigned n = 0;

    while (!atomic_load(&r->stop)) {
        addr = (addr * 29 + 4093) % (2 * MiB);
        AsTarget t = as_lookup(r->f->as, addr);
        bool device = t.region && !t.host && t.offset < 0x20000 && t.room <= 0x20000;
        bool ram = t.region == r->ram && t.host == region_host(r->ram) + addr && t.offset == addr &&
                   t.pool_offset == region_pool_offset(r->ram) + addr && t.room <= 2 * MiB - addr;
        if (!device && !ram)
            atomic_fetch_add(&r->wrong, 1);
        if (++n % 16 == 0)
            as_read(r->f->as, addr, 4); /* takes the lock for the device */
    }
    atomic_fetch_add(&r->lookups, n);
    return NULL;
}

static void test_race(Fixture *f, gconstpointer data)
{
    Race r = { .f = f, .ram = region_new_ram(f->pool, "ram", 2 * MiB, NULL) };
    Region *pieces[200];
    GThread *threads[3];
    (void)data;

    region_add(as_root(f->as), 0, r.ram, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("reader", race_reader, &r);
    gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC / 2;
    for (unsigned round = 0; g_get_monotonic_time() < end; round++) {
        unsigned n = round % G_N_ELEMENTS(pieces);
        g_rec_mutex_lock(&f->lock);
        for (unsigned i = 0; i < n; i++) { /* many ranges, so that the buffers grow */
            pieces[i] = region_new_io("piece", 0x100, &probe_ops, &f->probe);
            region_add(as_root(f->as), i * 0x1000, pieces[i], 1);
        }
        for (unsigned i = 0; i < n; i++)
            region_free(pieces[i]);
        g_rec_mutex_unlock(&f->lock);
    }
    atomic_store(&r.stop, true);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpuint(r.wrong, ==, 0);
    g_assert_cmpuint(r.lookups, >, 1000);
    region_free(r.ram);
}

static double seconds_since(gint64 begin)
{
    return (g_get_monotonic_time() - begin) / 1e6;
}

/* Changes without end leave no memory behind; and what things cost (-m perf). */
static void test_toggle(Fixture *f, gconstpointer data)
{
    unsigned n = g_test_perf() ? 1000000 : 20000;
    Region *ram = region_new_ram(f->pool, "ram", 2 * MiB, NULL), *io[60], *smram;
    uint64_t sum = 0;
    (void)data;

    region_add(as_root(f->as), 0, ram, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(io); i++) {
        io[i] = region_new_io("io", 0x1000, &probe_ops, &f->probe);
        region_add(as_root(f->as), 0xe0000000 + i * 0x10000, io[i], 0);
    }
    smram = region_new_io("smram", 0x20000, &probe_ops, &f->probe);
    region_add(as_root(f->as), 0xa0000, smram, 1);
    gint64 begin = g_get_monotonic_time();
    for (unsigned i = 0; i < n; i++)
        region_set_enabled(smram, i & 1);
    g_test_message("change of the map: %.0f ns", seconds_since(begin) / n * 1e9);
    begin = g_get_monotonic_time();
    for (unsigned i = 0; i < n; i++)
        sum += as_read(f->as, i * 64 % MiB % 0xa0000, 4);
    g_test_message("as_read of RAM: %.1f ns (%u)", seconds_since(begin) / n * 1e9, (unsigned)sum);
    begin = g_get_monotonic_time();
    for (unsigned i = 0; i < n; i++)
        as_write(f->as, i * 64 % MiB % 0xa0000, i, 4);
    g_test_message("as_write of RAM: %.1f ns", seconds_since(begin) / n * 1e9);
    begin = g_get_monotonic_time();
    for (unsigned i = 0; i < n; i++)
        as_read(f->as, 0xe0050000, 4);
    g_test_message("as_read of a device: %.1f ns", seconds_since(begin) / n * 1e9);
    for (unsigned i = 0; i < G_N_ELEMENTS(io); i++)
        region_free(io[i]);
    region_free(smram);
    region_free(ram);
}

/* A container shown by two address spaces changes both. */
static void test_two_spaces(Fixture *f, gconstpointer data)
{
    AddressSpace *ports = as_new("I/O", 16, f->pool, &f->lock);
    Region *io = region_new_io("io", 8, &probe_ops, &f->probe), *alias = region_new_alias("alias", io, 4, 4);
    (void)data;

    region_add(as_root(ports), 0xfffc, alias, 0);
    region_add(as_root(f->as), 0, io, 0);
    g_assert_cmphex(as_read(ports, 0xfffe, 4), ==, 0xffff0706);
    region_set_enabled(io, false);
    g_assert_cmphex(as_read(ports, 0xfffc, 1), ==, 0xff);
    g_assert_cmphex(as_read(f->as, 0, 1), ==, 0xff);
    as_free(ports);
    region_set_enabled(io, true);
    g_assert_cmphex(as_read(f->as, 5, 1), ==, 5);
    region_free(alias);
    region_free(io);
}

/* A device whose writes go on to other addresses, as DMA does. */
typedef struct Forwarder {
    AddressSpace *as;
    uint64_t to[2];
    unsigned count;
    uint64_t seen;
} Forwarder;

static void forward_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    static const uint8_t bytes[64];
    Forwarder *f = opaque;
    (void)offset;

    f->count++;
    as_write(f->as, f->to[0], value, size);
    as_write_bytes(f->as, f->to[1], bytes, sizeof bytes);
    f->seen = as_read(f->as, f->to[0], 4);
}

/* Devices that access themselves and each other come to an end; see NESTED_MAX of core/memory.c. */
static void test_nested(Fixture *f, gconstpointer data)
{
    static const RegionOps ops = { NULL, forward_write, 1, 8 };
    Forwarder d[6];
    Region *io[6], *ram = region_new_ram(f->pool, "ram", 0x1000, NULL);
    unsigned count = 0;
    (void)data;

    for (unsigned i = 0; i < 6; i++) {
        d[i] = (Forwarder){ .as = f->as, .to = { 0x10000 + (i + 1) % 6 * 0x100, 0x10000 + (i + 2) % 6 * 0x100 } };
        io[i] = region_new_io("io", 0x100, &ops, &d[i]);
        region_add(as_root(f->as), 0x10000 + i * 0x100, io[i], 0);
    }
    as_write(f->as, 0x10000, 1, 1);
    for (unsigned i = 0; i < 6; i++)
        count += d[i].count;
    g_assert_cmpuint(count, >, 4);
    g_assert_cmpuint(count, <=, 1 + 9 + 81 + 729);
    region_add(as_root(f->as), 0, ram, 0);
    d[0] = (Forwarder){ .as = f->as, .to = { 0x10080, 0x10000 } };
    as_write(f->as, 0x10000, 1, 8);
    g_assert_cmpuint(d[0].count, ==, 1);
    g_assert_cmphex(d[0].seen, ==, 0xffffffff);
    d[0].to[0] = 0x10;
    as_write(f->as, 0x10000, 0x1234, 4); /* and afterwards all is as before */
    g_assert_cmphex(as_read(f->as, 0x10, 4), ==, 0x1234);
    for (unsigned i = 0; i < 6; i++)
        region_free(io[i]);
    region_free(ram);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*fn)(Fixture *, gconstpointer);
    } tests[] = {
        { "/memory/priorities", test_priorities },   { "/memory/containers", test_containers },
        { "/memory/aliases", test_aliases },         { "/memory/pam", test_pam },
        { "/memory/device-sizes", test_device_sizes }, { "/memory/crossing", test_crossing },
        { "/memory/flags", test_flags },             { "/memory/pool", test_pool },
        { "/memory/dump", test_dump },               { "/memory/two-spaces", test_two_spaces },
        { "/memory/race", test_race },               { "/memory/toggle", test_toggle },
        { "/memory/nested", test_nested },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, fixture_up, tests[i].fn, fixture_down);
    return g_test_run();
}
