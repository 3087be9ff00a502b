/* The command line: the exact line that each mistake gives, and what right options mean. */
#include <string.h>

#include "core/options.h"
#include "machines/board.h"
#include "machines/options.h"
#include "tcg/tcg.h"
#include "util/bits.h"

static const DeviceType serial = {.name = "isa-serial", .bus = "isa", .user = true, .description = "serial port"};
static const DeviceType bridge = {.name = "bridge", .bus = "system", .description = "part of a board"};
static const DeviceType *const types[] = {&serial, &bridge, NULL};

/* Splits at blanks; a blank within a word is written '~'. */
static Options *parse(const char *line, GError **err)
{
    char *text = g_strconcat("myna ", line, NULL);
    char **words = g_strsplit(text, " ", -1);
    for (char **w = words; *w; w++)
        g_strdelimit(*w, "~", ' ');
    Options *o = options_parse(g_strv_length(words), words, types, err);
    g_strfreev(words);
    g_free(text);
    return o;
}

static const struct { const char *line, *error; } mistakes[] = {
    {"-kernle x", "unknown option '-kernle' (did you mean '-kernel'?); -help lists all"},
    {"--zzzzzzzzz", "unknown option '--zzzzzzzzz'; -help lists all"},
    {"-kernel", "-kernel needs an argument: FILE"},
    {"-append x", "-append needs -kernel"},
    {"-initrd x", "-initrd needs -kernel"},
    {"-M pcc", "-machine: unknown machine 'pcc' (did you mean 'pc'?); known: pc"},
    {"-M pc,pti=off", "-machine: unknown property 'pti' (did you mean 'pit'?); known: type, accel, max-ram-below-4g, pit, "
                      "i8042, hpet, acpi, usb, tablet, vmport, pcspk-audiodev, kernel-irqchip, smm, dump-guest-core, mem-merge, "
                      "graphics"},
    {"-M pc,pit=maybe", "-machine pit=: 'maybe' is neither on nor off"},
    {"-M pc,accel", "-machine: property 'accel' needs a value"},
    {"-M pc,accel=kvm", "-accel: 'kvm' is not built yet; known: tcg, interp"},
    {"-accel kvm,thread=multi", "-accel: 'kvm' is not built yet; known: tcg, interp"},
    {"-accel interp,thraed=single", "-accel: unknown property 'thraed' (did you mean 'thread'?); known: accel, thread, "
                                    "tb-size, verify, avx512, hot, split-wx"},
    {"-accel interp,thread=two", "-accel thread=: unknown value 'two'; known: multi, single"},
    {"-accel interp,hot=x", "-accel hot=: 'x' is not a number"},
    {"-accel interp,verify=1", "-accel verify=: '1' is neither on nor off"},
    {"-smbios type=0,vendor=x", "-smbios type=: unknown value '0'; known: 1"},
    {"-M pc,vmport=maybe", "-machine vmport=: unknown value 'maybe'; known: auto, on, off"},
    {"-smp 0", "-smp: 0 processors; machine 'pc' has 1 to 255"},
    {"-smp 4,cores=3", "-smp: 1 sockets of 1 dies of 3 cores of 1 threads are not 4 processors"},
    {"-smp 4,sockets=2,cores=2,threads=2", "-smp: 2 sockets of 1 dies of 2 cores of 2 threads are not 4 processors"},
    {"-smp 4,maxcpus=2", "-smp: 4 processors, but maxcpus=2"},
    {"-smp cores=300", "-smp: 300 of a kind; machine 'pc' has at most 255 processors"},
    {"-smp 300", "-smp: 300 processors; machine 'pc' has 1 to 255"},
    {"-smp two", "-smp cpus=: 'two' is not a number"},
    {"-smp 99999999999", "-smp cpus=: 99999999999 is too large, the most is 4294967295"},
    {"-drive fiel=x", "-drive: unknown property 'fiel' (did you mean 'file'?); known: file, format, if, media, id, "
                      "readonly, read-only, snapshot, index, bus, unit, cache, cache.direct, cache.no-flush, "
                      "cache.writeback, aio, discard, detect-zeroes, werror, rerror, copy-on-read, auto-read-only, "
                      "force-share"},
    {"-drive file=x,media=cdrm", "-drive media=: unknown value 'cdrm' (did you mean 'cdrom'?); known: disk, cdrom"},
    {"-drive file=x,index=a", "-drive index=: 'a' is not a number"},
    {"-vga qxl", "-vga: unknown card 'qxl'; known: std, cirrus, virtio, none"},
    {"-object filter-dmup,id=f", "-object: unknown type 'filter-dmup' (did you mean 'filter-dump'?); known: filter-dump, throttle-group"},
    {"-device isa-serail,help", "-device: unknown device 'isa-serail' (did you mean 'isa-serial'?); known: isa-serial"},
    {"-device bridge,help", "-device: 'bridge' is part of a board and cannot be added"},
    {"-m 512K", "-m: 524288 bytes; machine 'pc' has 1 MiB to 64 GiB"},
};

static void test_mistakes(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++) {
        GError *err = NULL;
        Options *o = parse(mistakes[i].line, &err);
        g_assert_null(o);
        g_assert_cmpstr(err->message, ==, mistakes[i].error);
        g_error_free(err);
    }
}

static Options *parse_right(const char *line)
{
    GError *err = NULL;
    Options *o = parse(line, &err);
    g_assert_no_error(err);
    return o;
}

/* What the recompiler's being there decides. */
static void test_accel(void)
{
    GError *err = NULL;
    Options *o = parse("-accel interpp", &err);
    g_assert_null(o);
    g_assert_true(g_str_has_prefix(err->message, "-accel: unknown accelerator 'interpp' (did you mean 'interp'?); known: "));
    g_assert_true(g_str_has_suffix(err->message, tcg_available() ? ": tcg, interp" : ": interp"));
    g_clear_error(&err);
    o = parse("-accel tcg", &err);
    g_assert_true((o != NULL) == tcg_available());
    g_clear_error(&err);
    options_free(o);
    o = parse_right("-S");
    g_assert_true(o->accel.recompile == tcg_available());
    options_free(o);
    o = parse_right("-accel kvm:interp:tcg,thread=single,tb-size=64,verify=on,hot=5");
    g_assert_false(o->accel.recompile);
    g_assert_cmpstr(o->accel.thread, ==, "single");
    g_assert_cmpuint(o->accel.tb_size, ==, 64 * MiB);
    g_assert_cmpuint(o->accel.hot, ==, 5);
    g_assert_true(o->accel.verify);
    options_free(o);
    o = parse_right("-M pc,accel=interp -accel thread=single");
    g_assert_false(o->accel.recompile);
    options_free(o);
    o = parse("-smp 2 -accel tcg:interp,verify=on", &err);
    g_assert_true((o == NULL) == tcg_available());
    if (!o)
        g_assert_cmpstr(err->message, ==, "-accel tcg,verify=on: it compares one processor; there are 2 (-smp)");
    g_clear_error(&err);
    options_free(o);
}

static void test_values(void)
{
    Options *o = parse_right("-M pc-i440fx,accel=kvm:interp,nopit,max-ram-below-4g=2G --m 1G -smp cores=2,threads=1,sockets=1 "
                             "-kernel k -append a~b,c -no-reboot -S -rtc base=localtime -fw_cfg name=a,string=b -debug-script rc");
    g_assert_cmpstr(o->board->name, ==, "pc");
    g_assert_false(o->machine.pit);
    g_assert_true(o->machine.hpet);
    g_assert_cmpuint(o->machine.max_ram_below_4g, ==, 2 * GiB);
    g_assert_cmpuint(o->memory.size, ==, GiB);
    g_assert_cmpuint(o->smp.cpus, ==, 2);
    g_assert_cmpstr(o->append, ==, "a b,c");
    g_assert_true(o->no_reboot && o->stopped && !o->no_shutdown);
    g_assert_cmpstr(o->rtc.base, ==, "localtime");
    g_assert_cmpuint(o->fw_cfgs->len, ==, 1);
    g_assert_cmpstr(o->debug_script, ==, "rc");
    options_free(o);
    o = parse_right("-m 300");
    g_assert_cmpuint(o->memory.size, ==, 300 * MiB);
    options_free(o);
}

/* Sockets, dies, cores and threads of what is given (QEMU's rules). */
static void test_smp(void)
{
    static const struct { const char *line; unsigned cpus, sockets, dies, cores, threads; } cases[] = {
        {"-smp 4", 4, 1, 1, 4, 1},
        {"-smp 4,threads=2", 4, 1, 1, 2, 2},
        {"-smp 8,sockets=2,threads=2", 8, 2, 1, 2, 2},
        {"-smp 8,cores=2", 8, 4, 1, 2, 1},
        {"-smp 8,sockets=2,cores=2", 8, 2, 1, 2, 2},
        {"-smp sockets=2,cores=2,threads=2", 8, 2, 1, 2, 2},
        {"-smp 8,dies=2,cores=2,threads=2", 8, 1, 2, 2, 2},
        {"-smp 2,maxcpus=8,threads=2", 2, 1, 1, 4, 2},
        {"-smp cores=3", 3, 1, 1, 3, 1},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        Options *o = parse_right(cases[i].line);
        g_assert_cmpuint(o->smp.cpus, ==, cases[i].cpus);
        g_assert_cmpuint(o->smp.sockets, ==, cases[i].sockets);
        g_assert_cmpuint(o->smp.dies, ==, cases[i].dies);
        g_assert_cmpuint(o->smp.cores, ==, cases[i].cores);
        g_assert_cmpuint(o->smp.threads, ==, cases[i].threads);
        options_free(o);
    }
}

static const DriveOptions *drive(const Options *o, unsigned n)
{
    return g_ptr_array_index(o->drives, n);
}

static void test_drives(void)
{
    Options *o = parse_right("disk.img -hdb b,1 -cdrom c.iso -drive file=d,,e,if=none,id=x,readonly,format=raw");
    g_assert_cmpuint(o->drives->len, ==, 4);
    g_assert_cmpstr(drive(o, 0)->file, ==, "disk.img");
    g_assert_cmpuint(drive(o, 0)->index, ==, 0);
    g_assert_cmpstr(drive(o, 1)->file, ==, "b,1");
    g_assert_cmpstr(drive(o, 2)->media, ==, "cdrom");
    g_assert_cmpstr(drive(o, 3)->file, ==, "d,e");
    g_assert_cmpstr(drive(o, 3)->interface, ==, "none");
    g_assert_true(drive(o, 3)->readonly);
    g_assert_cmpuint(drive(o, 3)->index, ==, UINT_MAX);
    options_free(o);
}

/* First serial port, number of them, first monitor. */
static const struct { const char *line, *serial, *monitor; } terminals[] = {
    {"-S", "vc", NULL},
    {"-nodefaults", NULL, NULL},
    {"-nographic", "mon:stdio", NULL},
    {"-nographic -monitor none", "stdio", "none"},
    {"-nographic -serial null", "null", "stdio"},
    {"-nographic -serial stdio", "stdio", NULL},
    {"-nographic -nodefaults", NULL, NULL},
    {"-display none -serial file:x", "file:x", NULL},
};

static const char *first(const GPtrArray *list)
{
    return list->len ? g_ptr_array_index(list, 0) : NULL;
}

static void test_terminals(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(terminals); i++) {
        Options *o = parse_right(terminals[i].line);
        g_assert_cmpstr(first(o->serials), ==, terminals[i].serial);
        g_assert_cmpstr(first(o->monitors), ==, terminals[i].monitor);
        options_free(o);
    }
}

static void test_pairs(void)
{
    GPtrArray *pairs = option_pairs_parse("first,a=1,b=x,,y,flag,a=2,=z,", "driver");
    g_assert_cmpstr(option_pairs_get(pairs, "driver"), ==, "first");
    g_assert_cmpstr(option_pairs_get(pairs, "a"), ==, "2");
    g_assert_cmpstr(option_pairs_get(pairs, "b"), ==, "x,y");
    g_assert_cmpstr(option_pairs_get(pairs, "flag"), ==, "on");
    g_assert_null(option_pairs_get(pairs, "c"));
    char *a = option_pairs_take(pairs, "a");
    g_assert_cmpstr(a, ==, "2");
    g_assert_null(option_pairs_get(pairs, "a"));
    g_free(a);
    g_ptr_array_unref(pairs);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/mistakes", test_mistakes);
    g_test_add_func("/options/values", test_values);
    g_test_add_func("/options/accel", test_accel);
    g_test_add_func("/options/smp", test_smp);
    g_test_add_func("/options/drives", test_drives);
    g_test_add_func("/options/terminals", test_terminals);
    g_test_add_func("/options/pairs", test_pairs);
    return g_test_run();
}
