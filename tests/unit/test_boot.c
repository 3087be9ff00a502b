/* The kernel loaders: what they make of right files, what they say of wrong ones, and that no file harms them. */
#include <string.h>
#include <unistd.h>

#include "machines/boot.h"
#include "util/bits.h"
#include "util/endian.h"

enum { FILE_SIZE = 8192 };

static const E820Entry map_entries[] = {
    {0, 0x9fc00, E820_RAM}, {0x9fc00, 0x400, E820_RESERVED}, {0xf0000, 0x10000, E820_RESERVED},
    {0x100000, 63 * MiB, E820_RAM},
};

typedef struct Fixture {
    BootSource source;
    GArray *map;
    char *file;
    uint8_t image[FILE_SIZE];
} Fixture;

static void setup(Fixture *f, gconstpointer data)
{
    (void)data;
    memset(f, 0, sizeof *f);
    f->map = g_array_new(FALSE, FALSE, sizeof(E820Entry));
    g_array_append_vals(f->map, map_entries, ARRAY_SIZE(map_entries));
    f->file = g_strdup_printf("%s/myna-test-boot-%d", g_get_tmp_dir(), (int)getpid());
    f->source = (BootSource){.kernel = f->file, .memory_map = f->map, .ram_below_4g = 64 * MiB, .long_mode = true};
}

static void teardown(Fixture *f, gconstpointer data)
{
    (void)data;
    unlink(f->file);
    g_free(f->file);
    g_array_unref(f->map);
}

static BootPlan *load(Fixture *f, size_t size, GError **err)
{
    unlink(f->file); /* an earlier plan may have it mapped */
    g_assert_true(g_file_set_contents(f->file, (const char *)f->image, size, NULL));
    return boot_load(&f->source, err);
}

static void expect_error(Fixture *f, const char *after_name)
{
    GError *err = NULL;
    g_assert_null(load(f, FILE_SIZE, &err));
    g_assert_true(strstr(err->message, after_name) != NULL);
    g_error_free(err);
}

static BootPlan *expect_plan(Fixture *f)
{
    GError *err = NULL;
    BootPlan *plan = load(f, FILE_SIZE, &err);
    g_assert_no_error(err);
    return plan;
}

/* A flat Multiboot image of 4 KiB at 1 MiB with a header at offset 64. */
static void make_multiboot(uint8_t *f)
{
    static const uint32_t header[] = {0x1badb002, 0x10003, -(0x1badb002 + 0x10003), 0x100040, 0x100000, 0x101000,
                                      0x102000, 0x100060};
    memset(f, 0, FILE_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(header); i++)
        st32le(f + 64 + 4 * i, header[i]);
}

static void test_multiboot(Fixture *f, gconstpointer data)
{
    (void)data;
    make_multiboot(f->image);
    BootPlan *plan = expect_plan(f);
    g_assert_cmphex(plan->cpu.entry, ==, 0x100060);
    g_assert_cmphex(plan->cpu.gpr[R_AX], ==, 0x2badb002);
    g_assert_cmphex(plan->cpu.gpr[R_BX], >=, 0x9000);
    g_assert_cmphex(plan->cpu.page_table, ==, 0);
    boot_plan_free(plan);
    f->source.initrd = "/nowhere/at/all args";
    expect_error(f, "cannot read it");
    f->source.initrd = NULL;
    st32le(f->image + 64 + 16, 0x200000);
    expect_error(f, "header_addr 0x100040 does not fit load_addr 0x200000");
    make_multiboot(f->image);
    st32le(f->image + 64 + 20, 0x200000);
    expect_error(f, "load_end_addr 0x200000 lies beyond the file");
    make_multiboot(f->image);
    st32le(f->image + 64 + 24, 0xf0000000);
    expect_error(f, "is not all RAM");
    make_multiboot(f->image);
    st32le(f->image + 64 + 4, 0x10043), st32le(f->image + 64 + 8, -(0x1badb002 + 0x10043));
    expect_error(f, "wants Multiboot features 0x40");
}

/* A bzImage with one setup sector, protocol 2.15, enterable in 64-bit mode. */
static void make_linux(uint8_t *f)
{
    memset(f, 0, FILE_SIZE);
    f[0x1f1] = 1;
    st16le(f + 0x1fe, 0xaa55);
    f[0x200] = 0xeb, f[0x201] = 0x66;
    memcpy(f + 0x202, "HdrS", 4);
    st16le(f + 0x206, 0x20f);
    f[0x211] = 1;
    st32le(f + 0x22c, 0x7fffffff);
    st32le(f + 0x230, 0x200000);
    f[0x234] = 1;
    st16le(f + 0x236, 1);
    st32le(f + 0x238, 2047);
    st64le(f + 0x258, 16 * MiB);
    st32le(f + 0x260, 8 * MiB);
}

static void test_linux(Fixture *f, gconstpointer data)
{
    (void)data;
    make_linux(f->image);
    BootPlan *plan = expect_plan(f);
    g_assert_cmphex(plan->cpu.entry, ==, 0x100200);
    g_assert_cmphex(plan->cpu.page_table, !=, 0);
    g_assert_cmphex(plan->cpu.gpr[R_SI], !=, 0);
    boot_plan_free(plan);
    f->source.long_mode = false;
    expect_error(f, "a 64-bit kernel, and this -cpu has no long mode (lm)");
    st16le(f->image + 0x236, 0);
    plan = expect_plan(f);
    g_assert_cmphex(plan->cpu.entry, ==, 0x100000);
    g_assert_cmphex(plan->cpu.page_table, ==, 0);
    boot_plan_free(plan);
    st32le(f->image + 0x260, 60 * MiB);
    expect_error(f, "it needs 76 MiB of memory; see -m");
    st32le(f->image + 0x260, 8 * MiB);
    f->image[0x211] = 0;
    expect_error(f, "a zImage, which only a boot sector under a BIOS can start");
    f->image[0x211] = 1;
    char *text = g_strnfill(2048, 'x');
    f->source.append = text;
    expect_error(f, "-append: 2048 characters, this kernel takes at most 2047");
    g_free(text);
}

static void test_unknown(Fixture *f, gconstpointer data)
{
    (void)data;
    memset(f->image, 0, FILE_SIZE);
    expect_error(f, "unknown format; known: Linux bzImage, Multiboot, ELF with a PVH note");
    memcpy(f->image, "\177ELF", 4);
    expect_error(f, "ELF class 0 is neither 32-bit nor 64-bit");
    GError *err = NULL;
    g_assert_null(load(f, 0, &err));
    g_assert_nonnull(strstr(err->message, "the file is empty"));
    g_error_free(err);
}

static void damage(uint8_t *image, GRand *rand)
{
    for (int n = g_rand_int_range(rand, 0, 6); n >= 0; n--) {
        unsigned at = g_rand_boolean(rand) ? g_rand_int_range(rand, 64, 104) : g_rand_int_range(rand, 0x1f0, 0x268);
        image[at] = g_rand_boolean(rand) ? 0xff : g_rand_int(rand);
    }
}

static void test_random(Fixture *f, gconstpointer data)
{
    GRand *rand = g_rand_new_with_seed(1);
    (void)data;
    for (unsigned i = 0; i < 600; i++) {
        if (i & 1)
            make_linux(f->image);
        else
            make_multiboot(f->image);
        damage(f->image, rand);
        GError *err = NULL;
        BootPlan *plan = load(f, i % 8 ? FILE_SIZE : (size_t)g_rand_int_range(rand, 1, FILE_SIZE), &err);
        g_assert_true(!plan == !!err);
        g_clear_error(&err);
        boot_plan_free(plan);
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/boot/multiboot", Fixture, NULL, setup, test_multiboot, teardown);
    g_test_add("/boot/linux", Fixture, NULL, setup, test_linux, teardown);
    g_test_add("/boot/unknown", Fixture, NULL, setup, test_unknown, teardown);
    g_test_add("/boot/random", Fixture, NULL, setup, test_random, teardown);
    return g_test_run();
}
