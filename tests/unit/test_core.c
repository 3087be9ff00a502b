/*
 * core/machine.c: main loop, requests, run states, whole-machine save and load; core/error.c and core/log.c.
 */
#include "core/machine.h"

#include <signal.h>
#include <glib/gstdio.h>
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"

/* --- a machine with a CPU thread that does nothing but reach for a device ---------------------------------------- */

typedef struct Counter {
    Device dev;
    uint32_t value;
    uint32_t twice;      /* follows from value: not saved */
    unsigned resets;
    Timer *timer;
    Region *region;
} Counter;

static uint64_t counter_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset;
    (void)size;
    return ((Counter *)opaque)->value++;
}

static const RegionOps counter_ops = { .read = counter_read };

static void counter_tick(void *opaque)
{
    Counter *c = opaque;
    c->value += 1000;
}

static gboolean counter_create(Device *dev, GError **err)
{
    Counter *c = (Counter *)dev;

    (void)err;
    c->timer = timer_new(dev->machine->clocks, MYNA_CLOCK_VIRTUAL, counter_tick, c);
    c->region = region_new_io("counter", 4, &counter_ops, c);
    region_add(as_root(dev->machine->ports), 0x100, c->region, 0);
    return TRUE;
}

static void counter_destroy(Device *dev)
{
    Counter *c = (Counter *)dev;
    timer_free(c->timer);
    region_free(c->region);
}

static void counter_reset(Device *dev)
{
    ((Counter *)dev)->resets++;
    ((Counter *)dev)->value = 0;
}

static gboolean counter_post_load(Device *dev, GError **err)
{
    Counter *c = (Counter *)dev;

    c->twice = c->value * 2;
    return c->value != 666 || error_set(err, "counter: 666 is not for saving");
}

static const StateField counter_state[] = { STATE_U32(Counter, value), STATE_TIMER(Counter, timer), STATE_END };
static const DeviceType counter_type = {
    .name = "counter", .size = sizeof(Counter), .create = counter_create, .destroy = counter_destroy,
    .reset = counter_reset, .state = counter_state, .post_load = counter_post_load,
};
static const DeviceType other_type = {
    .name = "other", .size = sizeof(Counter), .create = counter_create, .destroy = counter_destroy,
    .state = counter_state,
};

typedef struct FakeCpu {
    Machine *m;
    GThread *thread;
    GMutex mutex;
    GCond cond;
    bool run, running, quit;
    unsigned pauses, resumes, resets;
    atomic_uint steps;
    uint32_t reg;
} FakeCpu;

static gpointer fake_cpu_thread(gpointer data)
{
    FakeCpu *cpu = data;

    g_mutex_lock(&cpu->mutex);
    while (!cpu->quit) {
        cpu->running = cpu->run;
        g_cond_broadcast(&cpu->cond);
        if (!cpu->run) {
            g_cond_wait(&cpu->cond, &cpu->mutex);
            continue;
        }
        g_mutex_unlock(&cpu->mutex);
        as_read(cpu->m->ports, 0x100, 4);
        atomic_fetch_add(&cpu->steps, 1);
        g_mutex_lock(&cpu->mutex);
    }
    g_mutex_unlock(&cpu->mutex);
    return NULL;
}

static void fake_cpu_run(FakeCpu *cpu, bool run)
{
    g_mutex_lock(&cpu->mutex);
    cpu->run = run;
    g_cond_broadcast(&cpu->cond);
    while (cpu->running != run)
        g_cond_wait(&cpu->cond, &cpu->mutex);
    g_mutex_unlock(&cpu->mutex);
}

static void fake_cpu_resume(void *opaque)
{
    FakeCpu *cpu = opaque;
    cpu->resumes++;
    fake_cpu_run(cpu, true);
}

static void fake_cpu_pause(void *opaque)
{
    FakeCpu *cpu = opaque;
    cpu->pauses++;
    fake_cpu_run(cpu, false);
}

static void fake_cpu_reset(void *opaque)
{
    FakeCpu *cpu = opaque;
    g_assert_false(cpu->running);
    cpu->resets++;
}

static const MachineCpuOps fake_cpu_ops = { fake_cpu_resume, fake_cpu_pause, fake_cpu_reset };
static const StateField fake_cpu_state[] = { STATE_U32(FakeCpu, reg), STATE_END };

typedef struct Fixture {
    Machine *m;
    FakeCpu cpu;
    Region *ram;
    Counter *counter;
    GString *states, *events;
    MachineListener listener;
} Fixture;

/* Run states as letters; of the rest a word, and who wanted it and why. */
static void note_event(void *opaque, const MachineEvent *e)
{
    static const char *const words[] = { [MACHINE_RESET] = "reset", [MACHINE_SHUTDOWN] = "shutdown",
                                         [MACHINE_POWERDOWN] = "powerdown", [MACHINE_WAKE] = "wake" };
    Fixture *f = opaque;

    if (e->kind == MACHINE_RUN_STATE)
        g_string_append_c(f->states, "prs"[f->m->run_state]);
    else
        g_string_append_printf(f->events, "%s:%s:%s ", words[e->kind], e->guest ? "guest" : "host",
                               e->reason ? e->reason : "");
}

static void fixture_up(Fixture *f, gconstpointer data)
{
    (void)data;
    f->m = machine_new(4 * MiB, NULL);
    f->ram = region_new_ram(f->m->pool, "ram", 4 * MiB, NULL);
    region_add(as_root(f->m->memory), 0, f->ram, 0);
    f->m->ram_size = 4 * MiB;
    f->m->cpu_count = 1;
    f->counter = (Counter *)device_add(f->m, &counter_type, NULL, NULL, NULL);
    f->cpu.m = f->m;
    f->cpu.thread = g_thread_new("cpu", fake_cpu_thread, &f->cpu);
    f->m->cpu_ops = &fake_cpu_ops;
    f->m->cpu_opaque = &f->cpu;
    f->states = g_string_new(NULL);
    f->events = g_string_new(NULL);
    f->listener = (MachineListener) { .happened = note_event, .opaque = f };
    machine_listen(f->m, &f->listener);
    machine_add_state(f->m, "cpu0", fake_cpu_state, &f->cpu, NULL, NULL);
}

static void fixture_down(Fixture *f, gconstpointer data)
{
    (void)data;
    g_mutex_lock(&f->cpu.mutex);
    f->cpu.quit = true;
    g_cond_broadcast(&f->cpu.cond);
    g_mutex_unlock(&f->cpu.mutex);
    g_thread_join(f->cpu.thread);
    region_free(f->ram);
    machine_free(f->m);
    g_string_free(f->states, TRUE);
    g_string_free(f->events, TRUE);
}

/* Runs fn(f) in the main loop after some milliseconds, or in another thread. */
static void later(unsigned ms, GSourceFunc fn, Fixture *f)
{
    g_timeout_add(ms, fn, f);
}

static gboolean request_shutdown(gpointer data)
{
    machine_request_shutdown(((Fixture *)data)->m, 33, "test");
    return G_SOURCE_REMOVE;
}

static gboolean request_reset(gpointer data)
{
    machine_request_reset(((Fixture *)data)->m, "test");
    return G_SOURCE_REMOVE;
}

static gboolean request_powerdown(gpointer data)
{
    machine_request_powerdown(((Fixture *)data)->m);
    return G_SOURCE_REMOVE;
}

static gboolean quit(gpointer data)
{
    machine_quit(((Fixture *)data)->m, 5);
    return G_SOURCE_REMOVE;
}

/* Asks for a shutdown once the device's timer has fired. */
static gpointer shutdown_thread(gpointer data)
{
    Fixture *f = data;
    bool ticked = false;

    while (!ticked) {
        g_usleep(500);
        machine_lock(f->m);
        ticked = f->counter->value >= 1000 && !timer_armed(f->counter->timer) && f->cpu.steps;
        machine_unlock(f->m);
    }
    request_shutdown(data);
    return NULL;
}

static void test_shutdown(Fixture *f, gconstpointer data)
{
    GThread *thread = g_thread_new("shutdown", shutdown_thread, f);
    (void)data;

    timer_arm(f->counter->timer, 1000000);
    g_assert_cmpint(machine_run(f->m, false), ==, 33);
    g_thread_join(thread);
    g_assert_false(f->cpu.running);
    g_assert_cmpuint(f->cpu.steps, >, 0);
    g_assert_cmpuint(f->counter->value, ==, 1000 + f->cpu.steps);
    g_assert_cmpstr(f->states->str, ==, "rs");
    g_assert_cmpstr(f->events->str, ==, "shutdown:guest:test ");
}

/* A request that came before the main loop runs is not lost. */
static void test_early_requests(Fixture *f, gconstpointer data)
{
    (void)data;
    request_shutdown(f);
    g_assert_cmpint(machine_run(f->m, true), ==, 33);
    g_assert_cmpuint(f->cpu.resumes, ==, 0);
}

static void test_early_quit(Fixture *f, gconstpointer data)
{
    (void)data;
    quit(f);
    g_assert_cmpint(machine_run(f->m, false), ==, 5);
    g_assert_cmpuint(f->cpu.resumes, ==, 0);
    g_assert_cmpstr(f->events->str, ==, "shutdown:host: ");
}

static gpointer reset_thread(gpointer data)
{
    for (unsigned i = 0; i < 3; i++)
        request_reset(data);
    return NULL;
}

static void test_reset(Fixture *f, gconstpointer data)
{
    GThread *threads[3];
    (void)data;

    for (unsigned i = 0; i < 3; i++)
        threads[i] = g_thread_new("reset", reset_thread, f);
    for (unsigned i = 0; i < 3; i++)
        g_thread_join(threads[i]);
    later(20, request_shutdown, f);
    g_assert_cmpint(machine_run(f->m, false), ==, 33);
    g_assert_cmpuint(f->counter->resets, ==, 1); /* many askers, one reset */
    g_assert_cmpuint(f->cpu.resets, ==, 1);
    g_assert_cmpuint(f->cpu.pauses, ==, 2);
    g_assert_cmpstr(f->states->str, ==, "rs"); /* a reset is no pause */
    g_assert_cmpstr(f->events->str, ==, "reset:guest:test shutdown:guest:test ");
}

static void test_no_reboot(Fixture *f, gconstpointer data)
{
    (void)data;
    f->m->no_reboot = true;
    later(2, request_reset, f);
    g_assert_cmpint(machine_run(f->m, false), ==, 0);
    g_assert_cmpuint(f->counter->resets, ==, 0);
}

static gboolean check_shut_down(gpointer data)
{
    Fixture *f = data;

    if (f->m->run_state != RUN_SHUTDOWN)
        return G_SOURCE_CONTINUE;
    g_assert_false(f->cpu.running);
    machine_resume(f->m); /* not without a reset */
    g_assert_cmpint(f->m->run_state, ==, RUN_SHUTDOWN);
    machine_reset(f->m);
    g_assert_cmpint(f->m->run_state, ==, RUN_PAUSED);
    machine_resume(f->m);
    g_assert_true(f->cpu.running);
    return quit(f);
}

static void test_no_shutdown(Fixture *f, gconstpointer data)
{
    (void)data;
    f->m->no_shutdown = f->m->no_reboot = true;
    later(2, request_reset, f);
    later(3, check_shut_down, f);
    g_assert_cmpint(machine_run(f->m, false), ==, 5);
    g_assert_cmpstr(f->states->str, ==, "rsprs");
}

static gboolean raise_term(gpointer data)
{
    (void)data;
    raise(SIGTERM);
    return G_SOURCE_REMOVE;
}

static void press(void *opaque)
{
    ++*(unsigned *)opaque;
    g_timeout_add(1, raise_term, NULL);
}

static void test_powerdown_and_signal(Fixture *f, gconstpointer data)
{
    unsigned pressed = 0;
    (void)data;

    f->m->powerdown = press;
    f->m->powerdown_opaque = &pressed;
    f->m->no_shutdown = true; /* the host's signal ends it all the same */
    later(1, request_powerdown, f);
    g_assert_cmpint(machine_run(f->m, false), ==, 0);
    g_assert_cmpuint(pressed, ==, 1);
}

/* The monitor holds the lock when it pauses, and the CPU thread waits for that lock in the middle of an access. */
static gboolean pause_with_lock(gpointer data)
{
    Fixture *f = data;

    machine_lock(f->m);
    machine_lock(f->m);
    g_usleep(1000);
    machine_pause(f->m);
    g_assert_cmpuint(f->m->lock_depth, ==, 2);
    g_assert_false(f->cpu.running);
    int64_t now = clock_now(f->m->clocks, MYNA_CLOCK_VIRTUAL);
    machine_pause(f->m);
    g_usleep(1000);
    g_assert_cmpint(clock_now(f->m->clocks, MYNA_CLOCK_VIRTUAL), ==, now);
    machine_resume(f->m);
    machine_unlock(f->m);
    machine_unlock(f->m);
    return G_SOURCE_REMOVE;
}

static void test_pause(Fixture *f, gconstpointer data)
{
    (void)data;
    for (unsigned i = 0; i < 5; i++)
        later(1 + i, pause_with_lock, f);
    later(20, request_shutdown, f);
    g_assert_cmpint(machine_run(f->m, false), ==, 33);
    g_assert_cmpstr(f->states->str, ==, "rprprprprprs");
}

/* --- saving ------------------------------------------------------------------------------------------------------ */

static void test_save(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) saved = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t base = region_pool_offset(f->ram);
    (void)data;

    f->counter->value = 77;
    f->cpu.reg = 0x1234;
    clock_set(f->m->clocks, 5000);
    timer_arm(f->counter->timer, 6000);
    as_write(f->m->memory, 0x1000, 0xabcd, 2);
    as_write(f->m->memory, 0x2ffe, 0x11111111, 4);
    as_write(f->m->memory, 4 * MiB - 1, 0x99, 1);
    saved = machine_save(f->m);
    g_assert_cmpuint(saved->len, <, 6 * 4096);

    f->counter->value = 1;
    f->cpu.reg = 0;
    clock_set(f->m->clocks, 1);
    timer_cancel(f->counter->timer);
    as_write(f->m->memory, 0x1000, 0, 2);
    as_write(f->m->memory, 0x100000, 0x55, 1); /* was zero then */
    ram_test_and_clear_dirty(f->m->pool, base, 4 * MiB, PAGE_DIRTY_ALL);
    g_assert_true(machine_load(f->m, saved->data, saved->len, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(f->counter->value, ==, 77);
    g_assert_cmpuint(f->counter->twice, ==, 154);
    g_assert_cmphex(f->cpu.reg, ==, 0x1234);
    g_assert_cmpint(clock_now(f->m->clocks, MYNA_CLOCK_VIRTUAL), ==, 5000);
    g_assert_cmpint(timer_deadline(f->counter->timer), ==, 6000);
    g_assert_cmphex(as_read(f->m->memory, 0x1000, 2), ==, 0xabcd);
    g_assert_cmphex(as_read(f->m->memory, 0x2ffe, 4), ==, 0x11111111);
    g_assert_cmphex(as_read(f->m->memory, 4 * MiB - 1, 1), ==, 0x99);
    g_assert_cmphex(as_read(f->m->memory, 0x100000, 1), ==, 0);
    g_assert_true(ram_test_and_clear_dirty(f->m->pool, base + 0x100000, 1, PAGE_DIRTY_DISPLAY));
    g_assert_true(ram_test_and_clear_dirty(f->m->pool, base + 0x1000, 1, PAGE_DIRTY_DISPLAY));
    g_assert_false(ram_test_and_clear_dirty(f->m->pool, base + 0x2000, 0x2000, PAGE_DIRTY_DISPLAY)); /* unchanged */
    g_autoptr(GByteArray) again = machine_save(f->m);
    g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
}

static void assert_load_fails(Fixture *f, const GByteArray *saved, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(machine_load(f->m, saved->data, saved->len, &error));
    g_assert_cmpstr(error->message, ==, message);
}

static void test_load_errors(Fixture *f, gconstpointer data)
{
    static const uint8_t nonsense[] = "nonsense of some length", newer[] = "MYNASAVE\2\0\0\0";
    g_autoptr(GByteArray) saved = NULL, bad = g_byte_array_new();
    Device *extra;
    (void)data;

    as_write(f->m->memory, 0x1000, 1, 1);
    saved = machine_save(f->m);
    g_byte_array_append(bad, nonsense, sizeof nonsense);
    assert_load_fails(f, bad, "this is not a saved machine: it does not begin with MYNASAVE");
    g_byte_array_set_size(bad, 0);
    g_byte_array_append(bad, newer, 12);
    assert_load_fails(f, bad, "the saved machine has version 2; this program reads version 1");
    for (guint size = 0; size < saved->len; size += size < 300 ? 1 : 61) {
        g_autofree uint8_t *part = g_memdup2(saved->data, size ? size : 1);
        g_autoptr(GError) error = NULL;
        g_assert_false(machine_load(f->m, part, size, &error));
        g_assert_nonnull(error);
    }
    f->m->ram_size = 8 * MiB;
    assert_load_fails(f, saved, "the saved machine has 4 MiB of RAM, this one 8");
    f->m->ram_size = 4 * MiB;
    f->m->cpu_count = 2;
    assert_load_fails(f, saved, "the saved machine has 1 CPUs, this one 2");
    f->m->cpu_count = 1;
    extra = device_add(f->m, &counter_type, "second", NULL, NULL);
    assert_load_fails(f, saved, "the saved machine lacks device/second (counter)");
    g_autoptr(GByteArray) more = machine_save(f->m);
    device_remove(extra);
    assert_load_fails(f, more, "the saved machine has device/second (counter), which this machine lacks");
    extra = device_add(f->m, &other_type, "second", NULL, NULL);
    assert_load_fails(f, more, "the saved machine's device/second is of type counter, here it is other");
    device_remove(extra);
    f->counter->value = 666;
    g_autoptr(GByteArray) refused = machine_save(f->m);
    assert_load_fails(f, refused, "counter: 666 is not for saving");
    g_assert_true(machine_load(f->m, saved->data, saved->len, NULL));
}

/* Damage in a saved machine is an error or another state, but never a crash. */
static void test_load_damage(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) saved = NULL;
    (void)data;

    as_write(f->m->memory, 0x1000, 1, 1);
    as_write(f->m->memory, 0x3000, 1, 1);
    saved = machine_save(f->m);
    for (unsigned i = 0; i < 300; i++) {
        g_autofree uint8_t *copy = g_memdup2(saved->data, saved->len);
        for (int n = g_test_rand_int_range(1, 6); n; n--) {
            int limit = g_test_rand_int_range(0, 2) ? 200 : (int)saved->len; /* often the heads */
            copy[g_test_rand_int_range(0, limit)] ^= 1 << g_test_rand_int_range(0, 8);
        }
        machine_load(f->m, copy, saved->len, NULL);
    }
}

/* --- errors and logging ------------------------------------------------------------------------------------------ */

static void test_nearest(void)
{
    static const char *const names[] = { "isa-debug-exit", "isa-serial", "vga", "cirrus-vga", "e1000", "" };
    static const struct {
        const char *given, *nearest;
    } cases[] = {
        { "isa-debugexit", "isa-debug-exit" }, { "isa-serail", "isa-serial" }, { "vgo", "vga" }, { "e100", "e1000" },
        { "cirus-vag", "cirrus-vga" }, { "zzz", NULL }, { "", NULL }, { "v", "" }, { "isa-debug-exit-2000", NULL },
        { "e1000", "e1000" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *expected = cases[i].nearest && *cases[i].nearest ? cases[i].nearest : NULL;
        g_assert_cmpstr(nearest_name(cases[i].given, names, 5), ==, expected);
    }
    g_assert_null(nearest_name("x", NULL, 0));
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        guint64 unit, value;
    } good[] = {
        { "0", 1, 0 }, { "128", MiB, 128 * MiB }, { "128", 1, 128 }, { "5B", MiB, 5 }, { "3k", 1, 3 * KiB },
        { "2M", 1, 2 * MiB }, { "1G", 1, GiB }, { "2t", 1, 2048 * GiB }, { "0x10", 1, 16 }, { "0x1bM", 1, 27 * MiB },
        { "18446744073709551615", 1, G_MAXUINT64 },
    };
    static const char *const bad[] = { "", "M", "-1", "+1", " 1", "1 ", "1.5G", "1MB", "1X", "0x", "x", "\n" };
    static const char *const large[] = { "18446744073709551616", "16777216T", "99999999999999999999999" };

    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        guint64 v;
        g_assert_true(parse_size("-m", good[i].text, good[i].unit, &v, NULL));
        g_assert_cmpuint(v, ==, good[i].value);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *message = g_strdup_printf("-m: '%s' is not a size: it takes a whole number with an optional "
                                                   "suffix B, K, M, G or T", bad[i]);
        g_autoptr(GError) error = NULL;
        guint64 v = 1;
        g_assert_false(parse_size("-m", bad[i], 1, &v, &error));
        g_assert_cmpstr(error->message, ==, message);
        g_assert_cmpuint(v, ==, 1);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(large); i++) {
        g_autofree char *message = g_strdup_printf("-m: '%s' is too large: sizes are less than 2^64 bytes", large[i]);
        g_autoptr(GError) error = NULL;
        guint64 v;
        g_assert_false(parse_size("-m", large[i], 1, &v, &error));
        g_assert_cmpstr(error->message, ==, message);
    }
}

static void assert_log_fails(const char *categories, const char *file, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(log_configure(categories, file, &error));
    g_assert_cmpstr(error->message, ==, message);
}

static void test_log(void)
{
    g_autofree char *dir = g_dir_make_tmp("myna-test-XXXXXX", NULL), *file = g_build_filename(dir, "log", NULL);
    g_autofree char *text = NULL;
    unsigned lines = 0;

    log_mask = 0;
    assert_log_fails("int,cpu_rest", NULL, "-d: no log category 'cpu_rest'; did you mean 'cpu_reset'?");
    assert_log_fails("int,whatever", NULL, "-d: no log category 'whatever'; '-d help' lists them");
    assert_log_fails(NULL, "/nonexistent/log",
                     "-D: cannot write log file '/nonexistent/log': No such file or directory");
    g_assert_cmpuint(log_mask, ==, 0);
    g_assert_true(log_configure("int,guest_errors", file, NULL));
    g_assert_cmpuint(log_mask, ==, LOG_INT | LOG_GUEST_ERRORS);
    log_printf(LOG_INT, "vector %d\n", 14);
    log_printf(LOG_CPU, "not this\n");
    for (unsigned i = 0; i < 1000; i++)
        log_guest_error("mistake %u", i);
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_assert_true(g_str_has_prefix(text, "vector 14\nmistake 0\nmistake 1\n"));
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    g_assert_cmpuint(lines, ==, 21);
    g_assert_true(log_configure("all", NULL, NULL));
    g_assert_cmpuint(log_mask & LOG_IO, ==, LOG_IO);
    g_assert_true(log_configure(NULL, NULL, NULL));
    g_assert_cmpuint(log_mask, ==, 0);
    g_unlink(file);
    g_rmdir(dir);
}

static void test_log_filter(void)
{
    static const char *const wrong[] = { "x", "", "1-", "0x10", "5..2", "1+0", "1..2..3", "1...2" };

    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *message =
            g_strdup_printf("-dfilter: '%s' is no range: START..END, START+SIZE or END-SIZE", wrong[i]);
        g_autoptr(GError) error = NULL;
        g_assert_true(log_in_range(1));
        g_assert_false(log_set_filter(wrong[i], &error));
        g_assert_cmpstr(error->message, ==, message);
    }
    g_assert_true(log_set_filter("0x1000..0x1fff,0xffffffff81000000+0x10,0x4fff-0x100", NULL));
    g_assert_true(log_in_range(0x1000) && log_in_range(0x1fff) && log_in_range(0xffffffff8100000f));
    g_assert_true(log_in_range(0x4fff) && log_in_range(0x4f00));
    g_assert_false(log_in_range(0xfff) || log_in_range(0x2000) || log_in_range(0xffffffff81000010));
    g_assert_false(log_in_range(0x4eff) || log_in_range(0x5000));
    log_set_filter(NULL, NULL);
    g_assert_true(log_in_range(0));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*fn)(Fixture *, gconstpointer);
    } tests[] = {
        { "/machine/shutdown", test_shutdown },       { "/machine/early-requests", test_early_requests },
        { "/machine/early-quit", test_early_quit },   { "/machine/reset", test_reset },
        { "/machine/no-reboot", test_no_reboot },     { "/machine/no-shutdown", test_no_shutdown },
        { "/machine/pause", test_pause },             { "/machine/powerdown-and-signal", test_powerdown_and_signal },
        { "/machine/save", test_save },               { "/machine/load-errors", test_load_errors },
        { "/machine/load-damage", test_load_damage },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, fixture_up, tests[i].fn, fixture_down);
    g_test_add_func("/error/nearest", test_nearest);
    g_test_add_func("/error/sizes", test_sizes);
    g_test_add_func("/log", test_log);
    g_test_add_func("/log-filter", test_log_filter);
    return g_test_run();
}
