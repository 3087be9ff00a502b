/* The gdb port (debugger/gdb/gdb.h): frames, packets and malformed input, through a socket. */
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/char/char.h"
#include "debugger/debugger.h"
#include "debugger/gdb/gdb.h"
#include "subject.h"
#include "util/endian.h"

typedef struct Client {
    Subject subject;
    Machine *machine;
    char *folder, *path;
    int fd;
    GString *in; /* what the port said and was not looked at yet */
} Client;

static void pump(Client *c)
{
    char buf[65536];
    for (unsigned quiet = 0; quiet < 3;) {
        bool busy = g_main_context_iteration(c->machine->context, FALSE);
        ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
        if (n > 0)
            g_string_append_len(c->in, buf, n);
        quiet = busy || n > 0 ? 0 : quiet + 1;
    }
}

static void client_connect(Client *c)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    g_strlcpy(a.sun_path, c->path, sizeof a.sun_path);
    c->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(connect(c->fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    pump(c);
}

static void client_free(void *p)
{
    Client *c = p;
    close(c->fd);
    gdb_free(c->machine);
    debugger_free(c->machine);
    char_free_all(c->machine);
    rmdir(c->folder);
    g_string_free(c->in, TRUE);
    g_free(c->path);
    g_free(c->folder);
    g_free(c);
}

static Client *client_new(const char *model)
{
    g_autoptr(GError) err = NULL;
    Client *c = g_new0(Client, 1);
    c->subject = subject_new(model);
    c->machine = c->subject.cpu->machine;
    machine_provide(c->machine, "cpu0", c->subject.cpu);
    c->folder = g_dir_make_tmp("myna-gdb-XXXXXX", NULL);
    c->path = g_build_filename(c->folder, "port", NULL);
    g_autofree char *device = g_strconcat("unix:", c->path, NULL);
    gdb_open(c->machine, device, &err);
    g_assert_no_error(err);
    c->in = g_string_new(NULL);
    g_test_queue_destroy(client_free, c);
    client_connect(c);
    return c;
}

static void put(Client *c, const void *data, size_t size)
{
    g_assert_cmpint(send(c->fd, data, size, MSG_NOSIGNAL), ==, size);
    pump(c);
}

static GString *framed(const char *data, size_t size)
{
    GString *out = g_string_new("$");
    uint8_t sum = 0;
    g_string_append_len(out, data, size);
    for (size_t k = 0; k < size; k++)
        sum += (uint8_t)data[k];
    g_string_append_printf(out, "#%02x", sum);
    return out;
}

static void put_packet(Client *c, const char *text)
{
    g_autoptr(GString) out = framed(text, strlen(text));
    put(c, out->str, out->len);
}

/* The next packet's content, escapes and runs undone, its checksum checked; NULL: there is none. */
static char *take(Client *c)
{
    const char *start = memchr(c->in->str, '$', c->in->len);
    if (!start)
        return NULL;
    const char *end = memchr(start, '#', c->in->str + c->in->len - start);
    g_assert_nonnull(end);
    GString *out = g_string_new(NULL);
    uint8_t sum = 0;
    for (const char *p = start + 1; p < end; p++) {
        sum += (uint8_t)*p;
        if (*p == '}') {
            sum += (uint8_t)*++p;
            g_string_append_c(out, *p ^ 0x20);
        } else if (*p == '*') {
            sum += (uint8_t)*++p;
            g_assert_cmpint(*p, >=, 32);
            for (char last = out->str[out->len - 1], n = *p - 29; n; n--)
                g_string_append_c(out, last);
        } else {
            g_string_append_c(out, *p);
        }
    }
    g_assert_cmphex(sum, ==, g_ascii_xdigit_value(end[1]) << 4 | g_ascii_xdigit_value(end[2]));
    g_string_erase(c->in, 0, end + 3 - c->in->str);
    return g_string_free(out, FALSE);
}

/* Sends a packet; its reply, which is all that comes.  It is acknowledged, as is this. */
static char *ask(Client *c, const char *text)
{
    g_string_truncate(c->in, 0);
    put_packet(c, text);
    char *reply = take(c);
    g_assert_nonnull(reply);
    g_assert_null(memchr(c->in->str, '$', c->in->len));
    put(c, "+", 1);
    return reply;
}

static void expect(Client *c, const char *packet, const char *reply)
{
    g_autofree char *got = ask(c, packet);
    g_assert_cmpstr(got, ==, reply);
}

static void expect_error(Client *c, const char *packet)
{
    g_autofree char *got = ask(c, packet);
    g_assert_cmpint(*got, ==, 'E');
}

/* ---- frames ---- */

static void test_acknowledge(void)
{
    Client *c = client_new("max");
    put_packet(c, "qC");
    g_assert_cmpstr(c->in->str, ==, "+$QC1#c5");
    g_string_truncate(c->in, 0);
    put(c, "-", 1);
    g_assert_cmpstr(c->in->str, ==, "$QC1#c5");
    g_string_truncate(c->in, 0);
    put(c, "+", 1);
    put(c, "-", 1);
    g_assert_cmpstr(c->in->str, ==, "");
}

static void test_bad_checksum(void)
{
    Client *c = client_new("max");
    put(c, "$qC#00", 6);
    g_assert_cmpstr(c->in->str, ==, "-");
    g_string_truncate(c->in, 0);
    put(c, "$qC#zz", 6);
    g_assert_cmpstr(c->in->str, ==, "-");
    expect(c, "qC", "QC1");
}

static void test_no_acknowledge(void)
{
    Client *c = client_new("max");
    put_packet(c, "QStartNoAckMode");
    g_assert_cmpstr(c->in->str, ==, "+$OK#9a");
    g_string_truncate(c->in, 0);
    put_packet(c, "qC");
    g_assert_cmpstr(c->in->str, ==, "$QC1#c5");
}

/* A packet in pieces; one that begins within another. */
static void test_pieces(void)
{
    Client *c = client_new("max");
    for (const char *p = "$qC#b4"; *p; p++)
        put(c, p, 1);
    g_assert_cmpstr(c->in->str, ==, "+$QC1#c5");
    g_string_truncate(c->in, 0);
    put(c, "$lost$qC#b4", 11);
    g_assert_cmpstr(c->in->str, ==, "+$QC1#c5");
}

static void test_overlong(void)
{
    Client *c = client_new("max");
    g_autofree char *text = g_strnfill(0x4000 + 1, 'q');
    expect_error(c, text);
    expect(c, "qC", "QC1");
}

static void test_unknown(void)
{
    Client *c = client_new("max");
    expect(c, "", "");
    expect(c, "vMustReplyEmpty", "");
    expect(c, "qSymbol::", "");
    expect(c, "gg", "");
    expect(c, "vContinue", "");
}

/* ---- registers ---- */

static void test_registers_round_trip(void)
{
    Client *c = client_new("max");
    for (unsigned k = 0; k < 16; k++)
        c->subject.cpu->gpr[k] = k * UINT64_C(0x0101010101010101);
    g_autofree char *all = ask(c, "g");
    g_autofree char *write = g_strconcat("G", all, NULL);
    c->subject.cpu->gpr[R_AX] = 0x55;
    c->subject.cpu->gpr[R_15] = 0;
    expect(c, write, "OK");
    g_autofree char *again = ask(c, "g");
    g_assert_cmpint(strlen(again), ==, strlen(all));
    g_assert_cmphex(c->subject.cpu->gpr[R_15], ==, UINT64_C(0x0f0f0f0f0f0f0f0f));
}

/* The packet of all registers has one size, whatever the mode. */
static void test_layout_is_one(void)
{
    Client *c = client_new("max");
    g_autofree char *real = ask(c, "g");
    subject_enter_flat32(&c->subject);
    g_autofree char *protected = ask(c, "g");
    c->subject.cpu->efer = EFER_LME | EFER_LMA;
    c->subject.cpu->seg[SEG_CS].attr = SA_P | SA_S | SA_CODE | SA_L;
    cpu_update_mode(c->subject.cpu);
    g_assert_cmpint(c->subject.cpu->code_size, ==, SZ64);
    g_autofree char *wide = ask(c, "g");
    g_assert_cmpint(strlen(real), ==, strlen(protected));
    g_assert_cmpint(strlen(real), ==, strlen(wide));
}

/* "16" is rip: 16 general registers are before it. */
static void test_linear_pc(void)
{
    Client *c = client_new("max");
    Cpu *cpu = c->subject.cpu;
    expect(c, "p10", "f0ffffff00000000");
    expect(c, "P10=007c000000000000", "OK");
    g_assert_cmphex(cpu->seg[SEG_CS].sel, ==, 0);
    g_assert_cmphex(cpu->rip, ==, 0x7c00);
    expect(c, "P10=3412010000000000", "OK");
    g_assert_cmphex(cpu->seg[SEG_CS].sel, ==, 0x1000);
    g_assert_cmphex(cpu->rip, ==, 0x1234);
    expect(c, "P10=1012010000000000", "OK");
    g_assert_cmphex(cpu->rip, ==, 0x1210);
    expect(c, "P10=efff100000000000", "OK");
    g_assert_cmphex(cpu->seg[SEG_CS].sel, ==, 0xffff);
    g_assert_cmphex(cpu->rip, ==, 0xffff);
    expect_error(c, "P10=0000200000000000");
    cpu->seg[SEG_SS].base = 0x20000;
    cpu->gpr[R_SP] = 0x10100;
    expect(c, "p7", "0001020000000000");
    expect(c, "P7=8000020000000000", "OK");
    g_assert_cmphex(cpu->gpr[R_SP], ==, 0x10080);
}

static void test_registers_malformed(void)
{
    static const char *const packets[] = { "p",     "pffffffff", "pzz",    "p10000000000000000", "P",       "P0",
                                           "P0=",   "P0=00",     "P0=zz",  "Pffff=00",           "Gzz",     "G0",
                                           "P0=000000000000000000" };
    Client *c = client_new("max");
    for (unsigned k = 0; k < G_N_ELEMENTS(packets); k++)
        expect_error(c, packets[k]);
}

static void test_description(void)
{
    Client *c = client_new("486");
    g_autofree char *xml = ask(c, "qXfer:features:read:target.xml:0,2000");
    g_assert_cmpint(*xml, ==, 'l');
    g_assert_nonnull(strstr(xml, "\"eip\""));
    g_assert_null(strstr(xml, "\"rip\""));
    g_assert_null(strstr(xml, "xmm0"));
    expect(c, "qXfer:features:read:other.xml:0,10", "E00");
    expect(c, "qXfer:features:read:target.xml:0,5", "m<?xml");
    expect(c, "qXfer:features:read:target.xml:fffff,5", "l");
    expect_error(c, "qXfer:features:read:target.xml:5");
}

/* ---- memory ---- */

static void test_memory(void)
{
    Client *c = client_new("max");
    expect(c, "M100,4:deadbeef", "OK");
    expect(c, "m100,4", "deadbeef");
    expect(c, "m100,0", "");
    g_autoptr(GString) x = framed("X200,3:a}\003b", 11);
    put(c, x->str, x->len);
    g_assert_cmpmem(c->subject.ram + 0x200, 3, "a#b", 3);
    g_autofree char *binary = ask(c, "x200,3");
    g_assert_cmpstr(binary, ==, "ba#b");
    g_autofree char *much = ask(c, "m0,ffffffff");
    g_assert_cmpint(strlen(much), <=, 0x4000);
    expect(c, "qqemu.PhyMemMode", "0");
    expect(c, "Qqemu.PhyMemMode:1", "OK");
    expect(c, "qqemu.PhyMemMode", "1");
    expect(c, "m100,2", "dead");
}

static void test_memory_unmapped(void)
{
    Client *c = client_new("max");
    Cpu *cpu = c->subject.cpu;
    subject_enter_flat32(&c->subject);
    st32le(c->subject.ram + 0x1000, 0x2000 | 3);
    st32le(c->subject.ram + 0x2000, 0x3000 | 3); /* one page, at 0 */
    cpu->cr3 = 0x1000;
    cpu->cr0 |= CR0_PG;
    cpu_update_mode(cpu);
    expect(c, "m1000,4", "E0e");
    expect(c, "M1000,1:00", "E0e");
    expect(c, "Mfff,2:0000", "E0e");
    g_autofree char *part = ask(c, "mffe,8");
    g_assert_cmpstr(part, ==, "0000");
}

static void test_memory_malformed(void)
{
    static const char *const packets[] = {
        "m", "m1", "m1,", "mx,1", "M0,1", "M0,1:0", "M0,1:zz", "M0,2:00", "M0,ffffffffffffffff:00", "X0,5:a", "X0",
        "x", "xffff", "M0,8000000000000000:", "M0,1:000",
    };
    Client *c = client_new("max");
    for (unsigned k = 0; k < G_N_ELEMENTS(packets); k++)
        expect_error(c, packets[k]);
}

static void test_memory_map(void)
{
    Client *c = client_new("max");
    g_autofree char *map = ask(c, "qXfer:memory-map:read::0,1000");
    g_assert_nonnull(strstr(map, "<memory type=\"ram\" start=\"0x0\""));
}

/* ---- threads, stops, running ---- */

static void test_threads(void)
{
    Client *c = client_new("max");
    expect(c, "qfThreadInfo", "m1");
    expect(c, "qsThreadInfo", "l");
    expect(c, "qThreadExtraInfo,1", "4350552330205b72756e6e696e675d"); /* CPU#0 [running] */
    expect(c, "Hg1", "OK");
    expect(c, "Hgp1.1", "OK");
    expect(c, "Hc-1", "OK");
    expect(c, "Hg0", "OK");
    expect(c, "T1", "OK");
    expect_error(c, "T2");
    expect_error(c, "Hg2");
    expect_error(c, "Hx1");
    expect_error(c, "H");
    expect_error(c, "qThreadExtraInfo,9");
    g_autofree char *xml = ask(c, "qXfer:threads:read::0,1000");
    g_assert_nonnull(strstr(xml, "<thread id=\"1\" core=\"0\" name=\"CPU#0\">running</thread>"));
}

static unsigned stop_count(Client *c) { return debugger_stops(debugger_of(c->machine))->len; }

static void test_stops(void)
{
    Client *c = client_new("max");
    static const char *const packets[] = { "Z0,100,1", "Z1,100,1", "Z2,200,4", "Z3,200,4", "Z4,200,1000" };
    for (unsigned k = 0; k < G_N_ELEMENTS(packets); k++) {
        expect(c, packets[k], "OK");
        expect(c, packets[k], "OK"); /* once */
        g_assert_cmpint(stop_count(c), ==, k + 1);
    }
    expect(c, "z2,200,4", "OK");
    expect(c, "z2,200,4", "OK");
    g_assert_cmpint(stop_count(c), ==, 4);
    static const char *const bad[] = {
        "Z", "Z5,0,1", "Z0", "Z0,", "Z0,1", "Z2,1,0", "Z2,ffffffffffffffff,2", "Z0,x,1", "z9,1,1",
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(bad); k++)
        expect_error(c, bad[k]);
    expect(c, "D", "OK");
    g_assert_cmpint(stop_count(c), ==, 0);
}

/* An address that gdb has cut to 32 bits, and the same in full. */
static void test_stops_cut(void)
{
    Client *c = client_new("max");
    expect(c, "Z1,81000000,1", "OK");
    g_assert_cmpint(stop_count(c), ==, 2);
    expect(c, "Z1,ffffffff81000000,1", "OK");
    g_assert_cmpint(stop_count(c), ==, 2);
    expect(c, "z1,ffffffff81000000,1", "OK");
    g_assert_cmpint(stop_count(c), ==, 0);
    expect(c, "Z2,ffff888000000000,4", "OK");
    expect(c, "Z0,7c00,1", "OK");
    g_assert_cmpint(stop_count(c), ==, 2);
}

static void test_interrupt(void)
{
    Client *c = client_new("max");
    expect(c, "?", "T05thread:1;core:0;");
    put_packet(c, "vCont;c");
    g_assert_cmpint(c->machine->run_state, ==, RUN_RUNNING);
    g_string_truncate(c->in, 0);
    put(c, "\003", 1);
    g_autofree char *stopped = take(c);
    g_assert_cmpstr(stopped, ==, "T02thread:1;core:0;");
    g_assert_cmpint(c->machine->run_state, ==, RUN_PAUSED);
    g_string_truncate(c->in, 0);
    put(c, "\003", 1);
    g_assert_cmpstr(c->in->str, ==, "");
}

/* A machine that was shut down does not go on. */
static void test_shut_down(void)
{
    Client *c = client_new("max");
    expect(c, "qC", "QC1");
    c->machine->run_state = RUN_SHUTDOWN;
    expect(c, "vCont;c", "T02thread:1;core:0;");
    expect(c, "vCont;s:1", "T02thread:1;core:0;");
    c->machine->run_state = RUN_PAUSED;
}

static void test_vcont_malformed(void)
{
    static const char *const packets[] = {
        "vCont;", "vCont;x", "vCont;c:", "vCont;c:zz", "vCont;s:2", "vCont;r1:1", "vCont;r2,1:1", "vCont;C",
        "vCont;t", "vStopped", "czz", "szz",
    };
    Client *c = client_new("max");
    for (unsigned k = 0; k < G_N_ELEMENTS(packets); k++)
        expect_error(c, packets[k]);
    g_assert_cmpint(c->machine->run_state, ==, RUN_PAUSED);
}

static void test_reverse(void)
{
    Client *c = client_new("max");
    expect(c, "bs", "T05thread:1;core:0;replaylog:begin;");
    expect(c, "bc", "T05thread:1;core:0;replaylog:begin;");
}

static void test_non_stop(void)
{
    Client *c = client_new("max");
    expect(c, "QNonStop:2", "E16");
    expect(c, "QNonStop:1", "OK");
    expect(c, "?", "T05thread:1;core:0;");
    expect(c, "vStopped", "OK");
    expect(c, "vCont;c:1", "OK");
    g_string_truncate(c->in, 0);
    put_packet(c, "vCont;t:1");
    g_assert_nonnull(strstr(c->in->str, "%Stop:T00thread:1;core:0;#"));
    expect(c, "vStopped", "OK");
    expect(c, "QNonStop:0", "OK");
    expect(c, "?", "T05thread:1;core:0;");
}

static void test_monitor(void)
{
    Client *c = client_new("max");
    put_packet(c, "qRcmd,68656c70"); /* help */
    g_autofree char *output = take(c);
    g_assert_cmpint(output[0], ==, 'O');
    g_assert_nonnull(strstr(c->in->str, "$OK#9a"));
    expect_error(c, "qRcmd,zz");
    expect_error(c, "qRcmd,686");
}

/* One client after another; what the first had set is gone. */
static void test_again(void)
{
    Client *c = client_new("max");
    expect(c, "Z0,100,1", "OK");
    put_packet(c, "QStartNoAckMode");
    close(c->fd);
    client_connect(c);
    g_assert_cmpint(stop_count(c), ==, 0);
    expect(c, "qC", "QC1");
}

static void test_devices(void)
{
    Client *c = client_new("max");
    g_autoptr(GError) err = NULL;
    g_assert_true(gdb_open(c->machine, "none", NULL));
    g_assert_false(gdb_open(c->machine, "nonsense", &err));
    g_assert_nonnull(err);
    g_assert_true(gdb_open(c->machine, "null", NULL));
    g_assert_true(gdb_open(c->machine, "none", NULL));
}

/* ---- 10,000 packets ---- */

static const char *const seeds[] = {
    "g", "G00112233445566778899aabbccddeeff", "p10", "P10=007c000000000000", "P1b=0102030405060708090a", "m0,100",
    "mfffffff0,10", "M100,4:deadbeef", "X200,3:abc", "x100,40", "Z0,100,1", "z0,100,1", "Z1,100,1", "Z2,200,4",
    "z2,200,4", "Z3,0,8", "Z4,0,ffff", "?", "vCont?", "vCont;c", "vCont;s:1", "vCont;r100,200:1;c", "vCont;t:1", "c",
    "s", "C05", "S05;100", "Hg1", "Hc-1", "T1", "qC", "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo,1",
    "qSupported:swbreak+;hwbreak+", "QStartNoAckMode", "QNonStop:1", "QNonStop:0", "vStopped", "vCtrlC", "qAttached",
    "qHostInfo", "qProcessInfo", "qXfer:features:read:target.xml:0,fff", "qXfer:threads:read::0,fff",
    "qXfer:memory-map:read::0,fff", "qRcmd,68656c70", "qqemu.PhyMemMode", "Qqemu.PhyMemMode:1", "qqemu.sstepbits",
    "qqemu.sstep", "Qqemu.sstep=3", "bs", "bc", "D", "R", "!", "vKill;1", "k",
};

static GString *mutated(GRand *r)
{
    const char *seed = seeds[g_rand_int_range(r, 0, G_N_ELEMENTS(seeds))];
    GString *s = g_string_new(seed);
    for (int n = g_rand_int_range(r, 0, 4); n > 0; n--) {
        gsize at = s->len ? g_rand_int_range(r, 0, s->len) : 0;
        switch (g_rand_int_range(r, 0, 5)) {
        case 0: g_string_truncate(s, at); break;
        case 1: g_string_insert_c(s, at, g_rand_int_range(r, 0, 256)); break;
        case 2: g_string_insert(s, at, "ffffffffffffffff"); break;
        case 3: g_string_append(s, seeds[g_rand_int_range(r, 0, G_N_ELEMENTS(seeds))]); break;
        default:
            if (s->len)
                s->str[at] = g_rand_int_range(r, 0, 256);
        }
    }
    return s;
}

static void put_fuzz(Client *c, GRand *r)
{
    g_autoptr(GString) s = mutated(r);
    g_autoptr(GString) out = framed(s->str, s->len);
    if (!g_rand_int_range(r, 0, 10))
        g_string_truncate(out, g_rand_int_range(r, 0, out->len));
    if (!g_rand_int_range(r, 0, 20))
        g_string_append_c(out, g_rand_boolean(r) ? 3 : '-');
    put(c, out->str, out->len);
    g_string_truncate(c->in, 0);
}

/* After whatever nonsense, a new client is served. */
static void test_fuzz(void)
{
    Client *c = client_new("max");
    g_autoptr(GRand) r = g_rand_new_with_seed(5);
    for (unsigned n = 1; n <= 10000; n++) {
        put_fuzz(c, r);
        if (n % 500)
            continue;
        close(c->fd);
        client_connect(c);
        g_string_truncate(c->in, 0);
        expect(c, "?", "T05thread:1;core:0;");
        expect(c, "qC", "QC1");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestFunc fn;
    } tests[] = {
        { "/gdb/acknowledge", test_acknowledge },     { "/gdb/bad-checksum", test_bad_checksum },
        { "/gdb/no-acknowledge", test_no_acknowledge }, { "/gdb/pieces", test_pieces },
        { "/gdb/overlong", test_overlong },           { "/gdb/unknown", test_unknown },
        { "/gdb/registers-round-trip", test_registers_round_trip }, { "/gdb/layout-is-one", test_layout_is_one },
        { "/gdb/linear-pc", test_linear_pc },         { "/gdb/registers-malformed", test_registers_malformed },
        { "/gdb/description", test_description },     { "/gdb/memory", test_memory },
        { "/gdb/memory-unmapped", test_memory_unmapped }, { "/gdb/memory-malformed", test_memory_malformed },
        { "/gdb/memory-map", test_memory_map },       { "/gdb/threads", test_threads },
        { "/gdb/stops", test_stops },                 { "/gdb/stops-cut", test_stops_cut },
        { "/gdb/interrupt", test_interrupt },
        { "/gdb/shut-down", test_shut_down },
        { "/gdb/vcont-malformed", test_vcont_malformed }, { "/gdb/reverse", test_reverse },
        { "/gdb/non-stop", test_non_stop },           { "/gdb/monitor", test_monitor },
        { "/gdb/again", test_again },                 { "/gdb/devices", test_devices },
        { "/gdb/fuzz", test_fuzz },
    };
    signal(SIGPIPE, SIG_IGN); /* as main.c does */
    g_test_init(&argc, &argv, NULL);
    for (unsigned k = 0; k < G_N_ELEMENTS(tests); k++)
        g_test_add_func(tests[k].name, tests[k].fn);
    return g_test_run();
}
