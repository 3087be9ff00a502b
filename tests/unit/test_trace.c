/*
 * cpu/trace.c, cpu/trace_file.c, cpu/profile.c: branches of a known program, interpreted, recompiled and recompiled
 * exactly; rings that wrap; events of faults; files and their filters; samples by instructions.
 */
#include "cpu/trace.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "cpu/code.h"
#include "cpu/fault.h"
#include "cpu/profile.h"
#include "cpu/trace_file.h"
#include "tcg/tcg.h"
#include "tests/unit/subject.h"
#include "util/endian.h"

enum { CODE = 0x10000, FAR_CODE = 0x20000, STACK = 0x8000, GDT = 0x1000, IDT = 0x2000, HANDLER = 0x30000 };

/* Port 0 ends the run. */
static void end_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)value, (void)size;
    cpu_post_event(opaque, EVENT_STOP);
}
static const RegionOps end_ops = { .write = end_write, .min_size = 1, .max_size = 4 };

static void put_gate(uint8_t *ram, unsigned vector, uint32_t to)
{
    st64le(ram + IDT + vector * 8, (to & 0xffff) | 8u << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)(to >> 16) << 48);
}

static Subject subject_start(unsigned hot)
{
    g_autoptr(GError) err = NULL;
    Subject s = subject_new("max");
    Cpu *cpu = s.cpu;
    Region *r = region_new_io("end", 1, &end_ops, cpu);
    region_add(as_root(cpu->machine->ports), 0, r, 0);
    g_test_queue_destroy((GDestroyNotify)region_free, r);
    if (hot)
        g_assert_true(tcg_attach(cpu, &(TcgConfig){ .hot_after = hot, .code_bytes = 4u << 20 }, &err));
    subject_enter_flat32(&s);
    cpu->seg[SEG_CS].sel = 8;
    st64le(s.ram + GDT + 8, UINT64_C(0x00cf9b000000ffff));
    cpu->gdtr = (TablePtr){ GDT, 0xff };
    cpu->idtr = (TablePtr){ IDT, 0x7ff };
    cpu->rip = CODE;
    cpu->gpr[R_SP] = STACK;
    trace_clear(cpu);
    return s;
}

static void run_from(Subject *s, uint64_t rip)
{
    s->cpu->rip = rip;
    atomic_fetch_and(&s->cpu->events, ~(unsigned)EVENT_STOP);
    cpu_run(s->cpu);
}

/*
 *  0: mov ecx, N    5: call 20h   a: dec ecx   b: jnz 5    d: mov eax, FAR_CODE   12: call eax   14: out 0, al   16: jmp $
 * 20: test cl, 1   23: jz 26h    25: nop   26: ret
 * FAR_CODE: jmp CODE + 30h       30: ret
 */
static void put_program(Subject *s, uint32_t n)
{
    static const uint8_t code[] = {
        0xb9, 0, 0, 0, 0, 0xe8, 0x16, 0, 0, 0, 0x49, 0x75, 0xf8, 0xb8, 0, 0, FAR_CODE >> 16, 0, 0xff, 0xd0, 0xe6, 0, 0xeb,
        0xfe, [0x20] = 0xf6, 0xc1, 1, 0x74, 1, 0x90, 0xc3, [0x30] = 0xc3,
    };
    memcpy(s->ram + CODE, code, sizeof code);
    st32le(s->ram + CODE + 1, n);
    s->ram[FAR_CODE] = 0xe9;
    st32le(s->ram + FAR_CODE + 1, CODE + 0x30 - (FAR_CODE + 5));
}

typedef struct Expected {
    uint64_t from, to;
    TraceKind kind;
} Expected;

static unsigned expect_program(Expected *e, uint32_t n)
{
    unsigned k = 0;
    for (uint32_t c = n; c; c--) {
        e[k++] = (Expected){ CODE + 5, CODE + 0x20, TRACE_CALL };
        if (!(c & 1))
            e[k++] = (Expected){ CODE + 0x23, CODE + 0x26, TRACE_JCC };
        e[k++] = (Expected){ CODE + 0x26, CODE + 0xa, TRACE_RET };
        if (c > 1)
            e[k++] = (Expected){ CODE + 0xb, CODE + 5, TRACE_JCC };
    }
    e[k++] = (Expected){ CODE + 0x12, FAR_CODE, TRACE_CALL };
    e[k++] = (Expected){ FAR_CODE, CODE + 0x30, TRACE_JMP };
    e[k++] = (Expected){ CODE + 0x30, CODE + 0x14, TRACE_RET };
    return k;
}

static void assert_branches(Cpu *cpu, const Expected *e, unsigned count, bool exact)
{
    g_autofree TraceBranch *b = g_new(TraceBranch, TRACE_BRANCHES);
    unsigned n = trace_branches(cpu, b, TRACE_BRANCHES);
    g_assert_cmpuint(n, ==, MIN(count, TRACE_BRANCHES));
    e += count - n;
    for (unsigned k = 0; k < n; k++) {
        g_assert_cmphex(b[k].from, ==, e[k].from);
        g_assert_cmphex(b[k].to, ==, e[k].to);
        g_assert_cmpuint(trace_branch_kind(&b[k]), ==, e[k].kind);
        if (exact)
            g_assert_cmphex(b[k].flags, ==, 0);
    }
}

static void check_exact(unsigned hot, bool exact, uint32_t n)
{
    Subject s = subject_start(hot);
    g_autofree Expected *e = g_new(Expected, n * 4 + 3);
    unsigned count = expect_program(e, n);
    put_program(&s, n);
    trace_set_exact(s.cpu, exact);
    for (unsigned round = 0; round < 3; round++) {
        trace_clear(s.cpu);
        run_from(&s, CODE);
        assert_branches(s.cpu, e, count, true);
    }
}

static void test_interpreted(void) { check_exact(0, false, 5); }
static void test_interpreted_wraps(void) { check_exact(0, false, 1000); }
static void test_exact(void) { check_exact(1, true, 5); }
static void test_exact_later(void) { check_exact(3, true, 100); }
static void test_exact_wraps(void) { check_exact(1, true, 5000); }

/* Once all is recompiled, what leaves a page is all that is seen. */
static void test_recompiled(void)
{
    static const Expected far[] = {
        { CODE + 0x12, FAR_CODE, TRACE_CALL }, { FAR_CODE, CODE + 0x30, TRACE_JMP }, /* and RET, to the same page */
    };
    TraceBranch b[4];
    Subject s = subject_start(1);
    put_program(&s, 5);
    for (unsigned round = 0; round < 4; round++)
        run_from(&s, CODE);
    trace_clear(s.cpu);
    run_from(&s, CODE);
    g_assert_cmpuint(trace_branches(s.cpu, b, 4), ==, 2);
    for (unsigned k = 0; k < 2; k++) {
        g_assert_cmphex(b[k].from, ==, far[k].from);
        g_assert_cmphex(b[k].to, ==, far[k].to);
        g_assert_cmpuint(trace_branch_kind(&b[k]), ==, far[k].kind);
        g_assert_cmphex(b[k].flags, ==, TRACE_SKIPPED);
    }
}

/* Where nobody could ask there are none, by either engine; from when somebody can, there are. */
static void test_kept(void)
{
    TraceBranch b[4];
    Subject s = subject_start(1);
    put_program(&s, 5);
    trace_set_kept(s.cpu, false);
    for (unsigned round = 0; round < 5; round++)
        run_from(&s, CODE);
    g_assert_cmpuint(trace_branches(s.cpu, b, 4), ==, 0);
    trace_set_kept(s.cpu, true);
    for (unsigned round = 0; round < 4; round++)
        run_from(&s, CODE);
    trace_clear(s.cpu);
    run_from(&s, CODE);
    g_assert_cmpuint(trace_branches(s.cpu, b, 4), ==, 2);
    trace_set_kept(s.cpu, false);
    trace_set_exact(s.cpu, true);
    run_from(&s, CODE);
    g_assert_cmpuint(trace_branches(s.cpu, b, 4), ==, 4);
}

/*
 * Recompiled and interpreted branches keep their order though they are kept apart, also when the jump cache is emptied
 * meanwhile, or its entry is another's: 40h: mov ecx, 400; mov eax, FAR_CODE + 0x100; call eax; loop (dec; jnz); out
 * at FAR_CODE + 0x100: ret.
 */
static void put_far_loop(Subject *s)
{
    static const uint8_t code[] = { 0xb9, 0x90, 1, 0, 0, 0xb8, 0, 1, FAR_CODE >> 16, 0, 0xff, 0xd0, 0x49, 0x75, 0xfb,
                                    0xe6, 0 };
    memcpy(s->ram + CODE + 0x40, code, sizeof code);
    s->ram[FAR_CODE + 0x100] = 0xc3;
}

static void assert_far_loop(Cpu *cpu, unsigned least)
{
    g_autofree TraceBranch *b = g_new(TraceBranch, TRACE_BRANCHES);
    unsigned n = trace_branches(cpu, b, TRACE_BRANCHES), calls = 0;
    bool inside = false;
    for (unsigned k = 0; k < n; k++) {
        TraceKind kind = trace_branch_kind(&b[k]);
        if (kind == TRACE_JCC || (b[k].flags & TRACE_FROM_UNKNOWN))
            continue;
        if (b[k].flags & TRACE_LOST)
            inside = kind == TRACE_RET;
        if (k == 0)
            inside = kind == TRACE_RET;
        g_assert_cmphex(b[k].from, ==, inside ? FAR_CODE + 0x100 : CODE + 0x4a);
        g_assert_cmphex(b[k].to, ==, inside ? CODE + 0x4c : FAR_CODE + 0x100);
        g_assert_cmpuint(kind, ==, inside ? TRACE_RET : TRACE_CALL);
        calls += !inside;
        inside = !inside;
    }
    g_assert_false(inside);
    g_assert_cmpuint(calls, >=, least);
}

static void test_order(void)
{
    Subject s = subject_start(50);
    put_far_loop(&s);
    run_from(&s, CODE + 0x40);
    assert_far_loop(s.cpu, 100);
    code_flush(s.cpu->code);
    assert_far_loop(s.cpu, 100);
    for (unsigned k = 0; k < 8192; k++) { /* other blocks take the entries of the jump cache */
        s.ram[0x40000 + k] = 0xf4;
        code_lookup(s.cpu, 0x40000 + k);
    }
    assert_far_loop(s.cpu, 1);
    run_from(&s, CODE + 0x40);
    s.cpu->jump[0].la = 0;
    assert_far_loop(s.cpu, 100);
}

static void test_replaced(void)
{
    TraceBranch b[8];
    Subject s = subject_start(1);
    put_program(&s, 2);
    for (unsigned round = 0; round < 3; round++)
        run_from(&s, CODE);
    unsigned n = trace_branches(s.cpu, b, 8);
    g_assert_cmpuint(n, ==, 8);
    const JumpEntry *e = jump_entry(s.cpu, FAR_CODE);
    for (uint32_t la = 0x40000; la < RAM; la++)
        if (jump_entry(s.cpu, la) == e) {
            s.ram[la] = 0xf4;
            code_lookup(s.cpu, la);
            break;
        }
    g_assert_cmphex(e->la, !=, FAR_CODE);
    TraceBranch again[8];
    g_assert_cmpuint(trace_branches(s.cpu, again, 8), ==, 8);
    g_assert_cmpmem(b, sizeof b, again, sizeof again);
}

/* ---- events ---- */

/* ud2; int 0x80; then a #GP that no gate is for, hence a #DF; handlers: skip the instruction, return; out. */
static const uint8_t faults_code[] = { 0x0f, 0x0b, 0xcd, 0x80, 0x8e, 0xd8, 0x90 };
static const uint8_t skip_two[] = { 0x83, 0x04, 0x24, 0x02, 0xcf }, just_return[] = { 0xcf }, finish[] = { 0xe6, 0 };

static Subject subject_with_faults(void)
{
    Subject s = subject_start(0);
    memcpy(s.ram + CODE, faults_code, sizeof faults_code);
    memcpy(s.ram + HANDLER, skip_two, sizeof skip_two);
    memcpy(s.ram + HANDLER + 0x10, just_return, sizeof just_return);
    memcpy(s.ram + HANDLER + 0x20, finish, sizeof finish);
    put_gate(s.ram, EXC_UD, HANDLER);
    put_gate(s.ram, 0x80, HANDLER + 0x10);
    put_gate(s.ram, EXC_DF, HANDLER + 0x20);
    s.cpu->gpr[R_AX] = 0x48; /* a selector beyond the GDT's entries in use: not present */
    return s;
}

static void test_events(void)
{
    char name[32];
    const TraceEvent *e[8];
    Subject s = subject_with_faults();
    run_from(&s, CODE);
    g_assert_cmpuint(trace_events(s.cpu, e, 8), ==, 4);
    g_assert_cmpstr(trace_event_name(e[0], name), ==, "#UD");
    g_assert_true(e[0]->delivered);
    g_assert_cmphex(e[0]->la, ==, CODE);
    g_assert_cmphex(e[0]->sp, ==, STACK);
    g_assert_cmphex(e[0]->to, ==, HANDLER);
    g_assert_cmpstr(trace_event_name(e[1], name), ==, "int 0x80");
    g_assert_cmphex(e[1]->la, ==, CODE + 2);
    g_assert_cmphex(e[1]->to, ==, HANDLER + 0x10);
    g_assert_cmpstr(trace_event_name(e[2], name), ==, "#GP");
    g_assert_true(e[2]->has_error);
    g_assert_cmphex(e[2]->error, ==, 0x48);
    g_assert_cmphex(e[2]->la, ==, CODE + 4);
    g_assert_false(e[2]->delivered);
    g_assert_cmpstr(trace_event_name(e[3], name), ==, "#DF");
    g_assert_true(e[3]->delivered);
    g_assert_cmphex(e[3]->to, ==, HANDLER + 0x20);
    g_assert_cmpuint(e[3]->number, ==, 4);
}

/* As branches too: the exception and its return, the instruction INT once. */
static void test_event_branches(void)
{
    static const Expected e[] = {
        { CODE, HANDLER, TRACE_INT }, { HANDLER + 4, CODE + 2, TRACE_IRET }, { CODE + 2, HANDLER + 0x10, TRACE_INT },
        { HANDLER + 0x10, CODE + 4, TRACE_IRET }, { CODE + 4, HANDLER + 0x20, TRACE_INT },
    };
    g_autofree TraceBranch *b = g_new(TraceBranch, TRACE_BRANCHES);
    Subject s = subject_with_faults();
    run_from(&s, CODE);
    g_assert_cmpuint(trace_branches(s.cpu, b, TRACE_BRANCHES), ==, G_N_ELEMENTS(e));
    for (unsigned k = 0; k < G_N_ELEMENTS(e); k++) {
        g_assert_cmphex(b[k].from, ==, e[k].from);
        g_assert_cmphex(b[k].to, ==, e[k].to);
        g_assert_cmpuint(trace_branch_kind(&b[k]), ==, e[k].kind);
    }
}

static void test_events_wrap(void)
{
    static const uint8_t code[] = { 0xb9, 0x2c, 1, 0, 0, 0xcd, 0x80, 0x49, 0x75, 0xfb, 0xe6, 0 }; /* 300 INT 80h */
    const TraceEvent *e[TRACE_EVENTS];
    Subject s = subject_with_faults();
    memcpy(s.ram + CODE, code, sizeof code);
    run_from(&s, CODE);
    g_assert_cmpuint(trace_events(s.cpu, e, TRACE_EVENTS), ==, TRACE_EVENTS);
    for (unsigned k = 0; k < TRACE_EVENTS; k++)
        g_assert_cmpuint(e[k]->number, ==, 300 - TRACE_EVENTS + 1 + k);
    g_assert_cmpuint(trace_events(s.cpu, e, 3), ==, 3);
    g_assert_cmpuint(e[0]->number, ==, 298);
    trace_clear(s.cpu);
    g_assert_cmpuint(trace_events(s.cpu, e, 3), ==, 0);
}

/* A reset of the CPU leaves both to look at. */
static void test_reset(void)
{
    const TraceEvent *e[1];
    TraceBranch b[8], again[8];
    Subject s = subject_start(1);
    put_program(&s, 20);
    memcpy(s.ram + HANDLER, just_return, sizeof just_return);
    put_gate(s.ram, 0x80, HANDLER);
    s.ram[CODE + 0x30] = 0xcd;
    s.ram[CODE + 0x31] = 0x80;
    s.ram[CODE + 0x32] = 0xc3;
    run_from(&s, CODE);
    g_assert_cmpuint(trace_branches(s.cpu, b, 5), ==, 5);
    cpu_reset(s.cpu);
    g_assert_cmpuint(trace_branches(s.cpu, again, 5), ==, 5);
    for (unsigned k = 0; k < 5; k++) {
        g_assert_cmphex(b[k].from, ==, again[k].from);
        g_assert_cmphex(b[k].to, ==, again[k].to);
    }
    g_assert_cmpuint(trace_events(s.cpu, e, 1), ==, 1);
    g_assert_cmphex(e[0]->la, ==, CODE + 0x30);
}

/* ---- files ---- */

typedef struct Reader {
    uint8_t *data, *p, *end;
    uint64_t last;
} Reader;

static uint64_t get_number(Reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        g_assert_true(r->p < r->end);
        v |= (uint64_t)(*r->p & 0x7f) << shift;
        if (!(*r->p++ & 0x80))
            return v;
    }
}

static uint64_t get_address(Reader *r)
{
    uint64_t v = get_number(r);
    return r->last += v >> 1 ^ -(v & 1);
}

static void skip_context(Reader *r, unsigned cpl)
{
    if (r->p == r->end || *r->p != 0x40)
        return;
    r->p++;
    g_assert_cmpuint(*r->p & 3, ==, cpl);
    g_assert_cmpuint(*r->p++ >> 2, ==, SZ32);
    g_assert_cmphex(get_number(r), ==, 0);
}

/* The only chunk of a file. */
static Reader read_file(const char *path)
{
    gsize size;
    Reader r = { 0 };
    g_assert_true(g_file_get_contents(path, (char **)&r.data, &size, NULL));
    g_assert_cmpuint(size, >, 40);
    g_assert_cmpmem(r.data, 8, "MYNATRC\n", 8);
    g_assert_cmpuint(ld16le(r.data + 8), ==, 1);
    g_assert_cmpuint(ld32le(r.data + 32), ==, size - 40);
    r.p = r.data + 40;
    r.end = r.data + size;
    return r;
}

static char *trace_to_file(Subject *s, unsigned what, const TraceFilter *filter)
{
    g_autoptr(GError) err = NULL;
    char *path = g_strdup_printf("%s/myna-trace.%d", g_get_tmp_dir(), (int)getpid());
    TraceFile *f = trace_file_open(path, what, filter, 1, 0, &err);
    g_assert_no_error(err);
    s->cpu->trace->file = trace_buffer_new(f, 0);
    trace_set_exact(s->cpu, what & TRACE_FILE_BRANCHES);
    trace_set_steps(s->cpu, what & TRACE_FILE_INSNS);
    run_from(s, CODE);
    trace_set_exact(s->cpu, false);
    trace_set_steps(s->cpu, false);
    trace_buffer_free(s->cpu->trace->file);
    s->cpu->trace->file = NULL;
    g_assert_null(trace_file_close(f));
    return path;
}

static const TraceFilter no_filter = { 0, UINT64_MAX, false, 0, -1 };

static void check_file_branches(unsigned hot)
{
    Subject s = subject_start(hot);
    g_autofree Expected *e = g_new(Expected, 4003);
    unsigned count = expect_program(e, 1000);
    put_program(&s, 1000);
    g_autofree char *path = trace_to_file(&s, TRACE_FILE_BRANCHES, &no_filter);
    Reader r = read_file(path);
    for (unsigned k = 0; k < count; k++) {
        skip_context(&r, 0);
        g_assert_cmphex(*r.p++, ==, 0x10 | e[k].kind);
        g_assert_cmphex(get_address(&r), ==, e[k].from);
        g_assert_cmphex(get_address(&r), ==, e[k].to);
    }
    g_assert_true(r.p == r.end);
    g_free(r.data);
    g_unlink(path);
}
static void test_file_branches(void) { check_file_branches(1); }
static void test_file_interpreted(void) { check_file_branches(0); }

/* The recompiler makes room for single instructions, and both go on afterwards. */
static void test_file_insns(void)
{
    static const uint8_t order[] = { 0, 5, 0x20, 0x23, 0x25, 0x26, 0xa, 0xb, 0xd, 0x12 };
    Subject s = subject_start(1);
    put_program(&s, 1);
    run_from(&s, CODE);
    TraceFilter filter = { CODE, CODE + 0x2f, false, 0, 0 };
    g_autofree char *path = trace_to_file(&s, TRACE_FILE_INSNS, &filter);
    Reader r = read_file(path);
    for (unsigned k = 0; k < sizeof order; k++) {
        skip_context(&r, 0);
        g_assert_cmphex(*r.p++, ==, 0x20);
        g_assert_cmphex(get_address(&r), ==, CODE + order[k]);
    }
    skip_context(&r, 0);
    g_assert_cmphex(*r.p++, ==, 0x20);
    g_assert_cmphex(get_address(&r), ==, CODE + 0x14);
    g_assert_true(r.p == r.end);
    g_free(r.data);
    g_unlink(path);
}

static void test_file_events(void)
{
    Subject s = subject_with_faults();
    g_autofree char *path = trace_to_file(&s, TRACE_FILE_EVENTS, &no_filter);
    Reader r = read_file(path);
    skip_context(&r, 0);
    g_assert_cmphex(*r.p++, ==, 0x30 | TRACE_EXCEPTION);
    g_assert_cmpuint(*r.p++, ==, EXC_UD);
    g_assert_cmpuint(*r.p++, ==, 0);
    g_assert_cmphex(get_number(&r), ==, 0);
    g_assert_cmphex(get_address(&r), ==, CODE);
    g_assert_cmphex(get_number(&r), ==, STACK);
    get_number(&r);
    g_assert_cmphex(*r.p++, ==, 0x30 | TRACE_SOFTWARE);
    g_free(r.data);
    g_unlink(path);
}

/* Filters that nothing passes leave a file without chunks. */
static void test_file_filters(void)
{
    static const TraceFilter none[] = {
        { 0x90000, 0x9ffff, false, 0, -1 }, { 0, UINT64_MAX, true, 0x5000, -1 }, { 0, UINT64_MAX, false, 0, 3 },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(none); k++) {
        Subject s = subject_start(1);
        g_autofree char *text = NULL;
        gsize size;
        put_program(&s, 10);
        g_autofree char *path = trace_to_file(&s, TRACE_FILE_BRANCHES | TRACE_FILE_INSNS | TRACE_FILE_EVENTS, &none[k]);
        g_assert_true(g_file_get_contents(path, &text, &size, NULL));
        g_assert_cmpuint(size, ==, 32);
        g_unlink(path);
    }
}

static void test_file_fails(void)
{
    g_autoptr(GError) err = NULL;
    g_assert_null(trace_file_open("/nowhere/at/all", TRACE_FILE_EVENTS, &no_filter, 1, 0, &err));
    g_assert_nonnull(strstr(err->message, "/nowhere/at/all: cannot write it"));
    TraceFile *f = trace_file_open("/dev/full", TRACE_FILE_EVENTS, &no_filter, 1, 0, NULL);
    if (!f) { /* not every host has it */
        g_test_skip("there is no /dev/full");
        return;
    }
    g_autofree char *error = NULL;
    g_assert_cmpuint(trace_file_size(f, &error), ==, 0);
    g_assert_nonnull(error);
    g_autofree char *at_close = trace_file_close(f);
    g_assert_cmpstr(at_close, ==, error);
}

/* ---- profile ---- */

typedef struct Shares {
    uint64_t inner, outer, stacks;
} Shares;

static void add_share(void *opaque, const uint64_t *frames, unsigned count, uint64_t samples)
{
    Shares *s = opaque;
    s->stacks++;
    if (count && frames[0] >= CODE + 0x40)
        s->inner += samples;
    else
        s->outer += samples;
    if (frames[0] >= CODE + 0x43 && frames[0] < CODE + 0x4c) { /* with its frame: who called is known */
        g_assert_cmpuint(count, >=, 2);
        g_assert_cmphex(frames[1], ==, CODE + 0xa);
    }
}

/*
 * mov ecx, 100; 5: call 40h; dec ecx; jnz 5; out.  40h: push ebp; mov ebp, esp; mov edx, 14; 48h: dec edx; jnz 48h;
 * pop ebp; ret: 33 instructions there for 3 here.
 */
static void test_profile(void)
{
    static const uint8_t code[] = { 0xb9, 100, 0, 0, 0, 0xe8, 0x36, 0, 0, 0, 0x49, 0x75, 0xf8, 0xe6, 0, [0x40] = 0x55,
                                    0x89, 0xe5, 0xba, 14, 0, 0, 0, 0x4a, 0x75, 0xfd, 0x5d, 0xc3 };
    Subject s = subject_start(1);
    CpuTrace *t = s.cpu->trace;
    Shares shares = { 0 };
    memcpy(s.ram + CODE, code, sizeof code);
    t->profile = profile_new();
    t->period = t->left = 1;
    trace_set_steps(s.cpu, true);
    run_from(&s, CODE);
    profile_foreach(t->profile, add_share, &shares);
    g_assert_cmpuint(profile_samples(t->profile), ==, 1 + 100 * 36 + 1);
    g_assert_cmpuint(shares.inner, ==, 3300);
    g_assert_cmpuint(shares.outer, ==, 302);
    t->period = t->left = 7;
    run_from(&s, CODE);
    g_assert_cmpuint(profile_samples(t->profile), ==, 3602 + 3602 / 7);
    t->period = 0;
    trace_set_steps(s.cpu, false);
    atomic_fetch_or(&s.cpu->events, EVENT_SAMPLE);
    run_from(&s, CODE);
    g_assert_cmpuint(profile_samples(t->profile), ==, 3602 + 3602 / 7 + 1);
    profile_free(t->profile);
    t->profile = NULL;
}

#define TEST(name) g_test_add_func("/trace/" #name, test_##name)
#define TEST_RECOMPILED(name) (tcg_available() ? TEST(name) : (void)0)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST(interpreted);
    TEST(interpreted_wraps);
    TEST_RECOMPILED(exact);
    TEST_RECOMPILED(exact_later);
    TEST_RECOMPILED(exact_wraps);
    TEST_RECOMPILED(recompiled);
    TEST_RECOMPILED(kept);
    TEST_RECOMPILED(order);
    TEST_RECOMPILED(replaced);
    TEST(events);
    TEST(event_branches);
    TEST(events_wrap);
    TEST_RECOMPILED(reset);
    TEST_RECOMPILED(file_branches);
    TEST(file_interpreted);
    TEST_RECOMPILED(file_insns);
    TEST(file_events);
    TEST_RECOMPILED(file_filters);
    TEST(file_fails);
    TEST_RECOMPILED(profile);
    return g_test_run();
}
