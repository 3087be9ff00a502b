/* A debugger's points (cpu/stops.h), interpreted and recompiled. */
#include <string.h>

#include "cpu/stops.h"
#include "tcg/tcg.h"
#include "tests/unit/subject.h"

enum { CODE = 0x1000, DATA = 0x8000, HITS_MAX = 64 };

/* A processor in flat 32-bit code at CODE, and the hits that it told. */
typedef struct Fixture {
    Subject s;
    StopAnswer answer;
    unsigned count;
    StopHit hit[HITS_MAX];
} Fixture;

static StopAnswer on_hit(void *opaque, Cpu *cpu, const StopHit *hit)
{
    Fixture *f = opaque;
    g_assert_true(cpu == f->s.cpu);
    if (f->count < HITS_MAX)
        f->hit[f->count++] = *hit;
    return hit->id == 99 ? STOP_ALL : f->answer;
}

static void set_up(Fixture *f, const void *recompiled)
{
    *f = (Fixture){ .s = subject_new("max"), .answer = STOP_ALL };
    subject_enter_flat32(&f->s);
    f->s.cpu->gpr[R_SP] = 0x7000;
    f->s.cpu->gpr[R_DX] = 0;
    if (recompiled && tcg_available())
        g_assert_true(tcg_attach(f->s.cpu, &(TcgConfig){ .hot_after = 1 }, NULL));
}

static void tear_down(Fixture *f, const void *recompiled) { (void)f, (void)recompiled; }

static void put_code(Fixture *f, const void *code, size_t size) { memcpy(f->s.ram + CODE, code, size); }

/* Points, and one more at `end`, of number 99, where it always stops. */
static void set_points(Fixture *f, const StopPoint *points, unsigned count, uint64_t end)
{
    g_autofree StopPoint *all = g_new0(StopPoint, count + 1);
    if (count)
        memcpy(all, points, count * sizeof *all);
    all[count] = (StopPoint){ .kind = STOP_CODE, .first = end, .last = end, .id = 99 };
    stops_set(f->s.cpu, all, count + 1, on_hit, f);
}

static void go(Fixture *f)
{
    f->count = 0;
    atomic_fetch_and(&f->s.cpu->events, ~(unsigned)EVENT_STOP);
    cpu_run(f->s.cpu);
}

static void go_from(Fixture *f, uint64_t rip)
{
    f->s.cpu->rip = rip;
    go(f);
}

/* mov ecx, 5; again: inc eax; dec ecx; jnz again; nop */
static const uint8_t loop[] = { 0xb9, 5, 0, 0, 0, 0x40, 0x49, 0x75, 0xfc, 0x90 };

static void test_code(Fixture *f, const void *recompiled)
{
    const StopPoint p = { .kind = STOP_CODE, .first = CODE + 6, .last = CODE + 6, .id = 1 };
    (void)recompiled;
    put_code(f, loop, sizeof loop);
    set_points(f, &p, 1, CODE + 9);
    for (unsigned round = 1; round <= 5; round++) {
        if (round > 1)
            stops_pass(f->s.cpu);
        round == 1 ? go_from(f, CODE) : go(f);
        g_assert_cmpuint(f->count, ==, 1);
        g_assert_cmpuint(f->hit[0].id, ==, 1);
        g_assert_cmphex(f->s.cpu->rip, ==, CODE + 6);
        g_assert_cmphex(f->hit[0].la, ==, CODE + 6);
        g_assert_cmpuint(f->s.cpu->gpr[R_AX], ==, round);
    }
    stops_pass(f->s.cpu);
    go(f);
    g_assert_cmpuint(f->hit[0].id, ==, 99);
    g_assert_cmpuint(f->s.cpu->gpr[R_CX], ==, 0);
}

/* A condition that does not hold: the point is met each time, and the loop goes on. */
static void test_go_on(Fixture *f, const void *recompiled)
{
    const StopPoint p = { .kind = STOP_CODE, .first = CODE + 5, .last = CODE + 5, .id = 1 };
    (void)recompiled;
    put_code(f, loop, sizeof loop);
    f->answer = STOP_GO_ON;
    for (unsigned round = 1; round <= 40; round++) { /* from the first decoding to recompiled code */
        set_points(f, &p, round % 2, CODE + 9);
        go_from(f, CODE);
        g_assert_cmpuint(f->count, ==, round % 2 ? 6 : 1);
        g_assert_cmpuint(f->s.cpu->gpr[R_AX], ==, 5 * round);
    }
}

static void test_physical(Fixture *f, const void *recompiled)
{
    const StopPoint linear = { .kind = STOP_CODE, .first = CODE + 6, .last = CODE + 6, .id = 1 },
                    physical = { .kind = STOP_CODE, .first = CODE + 6, .last = CODE + 6, .physical = true, .id = 2 };
    (void)recompiled;
    uint32_t *entry = (uint32_t *)(f->s.ram + 0x20000); /* the first 4 MiB, again at 40000000h */
    entry[0] = entry[256] = GUINT32_TO_LE(0x21003);
    for (unsigned k = 0; k < 256; k++)
        ((uint32_t *)(f->s.ram + 0x21000))[k] = GUINT32_TO_LE(k << 12 | 3);
    put_code(f, loop, sizeof loop);
    f->s.cpu->cr3 = 0x20000;
    cr0_write(f->s.cpu, f->s.cpu->cr0 | CR0_PG);
    f->answer = STOP_GO_ON;
    set_points(f, &linear, 1, 0x40000000 + CODE + 9);
    go_from(f, 0x40000000 + CODE);
    g_assert_cmpuint(f->count, ==, 1);
    set_points(f, &physical, 1, 0x40000000 + CODE + 9);
    go_from(f, 0x40000000 + CODE);
    g_assert_cmpuint(f->count, ==, 6);
    set_points(f, &linear, 1, CODE + 9);
    go_from(f, CODE);
    g_assert_cmpuint(f->count, ==, 6);
}

/* A loader puts the code there after the point was set. */
static void test_overwritten(Fixture *f, const void *recompiled)
{
    const StopPoint p = { .kind = STOP_CODE, .first = CODE + 0x20, .last = CODE + 0x20, .id = 1 };
    static const uint8_t loader[] = { 0xc6, 0x05, 0x20, 0x10, 0, 0, 0x42, 0xeb, 0x17 }; /* mov byte [1020h], 42h; jmp */
    (void)recompiled;
    put_code(f, loader, sizeof loader);
    memset(f->s.ram + CODE + 0x20, 0x90, 8);
    f->answer = STOP_GO_ON;
    set_points(f, &p, 1, CODE + 0x22);
    for (unsigned round = 1; round <= 10; round++) {
        f->s.ram[CODE + 0x20] = 0x90;
        go_from(f, CODE);
        g_assert_cmpuint(f->count, ==, 2);
        g_assert_cmpuint(f->hit[0].id, ==, 1);
        g_assert_cmpuint(f->s.cpu->gpr[R_DX] & 0xff, ==, round);
    }
}

/* Each write once, by the instruction that did it, with what was there. */
static void test_write(Fixture *f, const void *recompiled)
{
    const StopPoint p = { .kind = STOP_DATA, .access = STOP_WRITE, .first = DATA, .last = DATA + 3, .id = 1 };
    /* mov ecx, 5; again: mov [8000h], ecx; mov [8004h], ecx; inc dword [8000h]; dec ecx; jnz again; nop */
    static const uint8_t code[] = { 0xb9, 5, 0, 0, 0, 0x89, 0x0d, 0, 0x80, 0, 0, 0x89, 0x0d, 4, 0x80, 0, 0,
                                    0xff, 0x05, 0, 0x80, 0, 0, 0x49, 0x75, 0xeb, 0x90 };
    (void)recompiled;
    put_code(f, code, sizeof code);
    f->answer = STOP_GO_ON;
    set_points(f, &p, 1, CODE + 26);
    go_from(f, CODE);
    g_assert_cmpuint(f->count, ==, 11);
    uint32_t before = 0;
    for (unsigned k = 0; k < 10; k++) {
        const StopHit *h = &f->hit[k];
        g_assert_cmpuint(h->id, ==, 1);
        g_assert_cmphex(h->la, ==, k % 2 ? CODE + 17 : CODE + 5);
        g_assert_cmphex(h->address, ==, DATA);
        g_assert_cmpuint(h->size, ==, 4);
        g_assert_cmpuint(h->old, ==, before);
        before = 5 - k / 2 + k % 2;
        g_assert_cmpuint(h->value, ==, before);
    }
}

static void test_write_stops(Fixture *f, const void *recompiled)
{
    const StopPoint p = { .kind = STOP_DATA, .access = STOP_WRITE, .first = DATA + 2, .last = DATA + 2, .id = 1 };
    /* mov edi, 8000h; mov ecx, 5; rep stosb; nop */
    static const uint8_t code[] = { 0xbf, 0, 0x80, 0, 0, 0xb9, 5, 0, 0, 0, 0xf3, 0xaa, 0x90 };
    (void)recompiled;
    put_code(f, code, sizeof code);
    set_points(f, &p, 1, CODE + 12);
    f->s.cpu->gpr[R_AX] = 0x55;
    go_from(f, CODE);
    g_assert_cmpuint(f->count, ==, 1);
    g_assert_cmphex(f->hit[0].address, ==, DATA + 2);
    g_assert_cmphex(f->hit[0].value, ==, 0x55);
    g_assert_cmphex(f->s.cpu->rip, ==, CODE + 10); /* in the middle */
    g_assert_cmpuint(f->s.cpu->gpr[R_CX], ==, 2);
    go(f);
    g_assert_cmpuint(f->hit[0].id, ==, 99);
    g_assert_cmpuint(f->s.cpu->gpr[R_CX], ==, 0);
}

/* Reads, and a physical range that begins within a word and goes over a page's end. */
static void test_read(Fixture *f, const void *recompiled)
{
    const StopPoint p[] = {
        { .kind = STOP_DATA, .access = STOP_READ, .first = DATA, .last = DATA, .id = 1 },
        { .kind = STOP_DATA, .access = STOP_READ | STOP_WRITE, .physical = true, .first = 0x8fff, .last = 0x9000, .id = 2 },
    };
    /* mov al, [8000h]; mov [8000h], al; mov [8ffeh], eax; pop dword [8ffch]; nop */
    static const uint8_t code[] = { 0xa0, 0, 0x80, 0, 0, 0xa2, 0, 0x80, 0, 0, 0xa3, 0xfe, 0x8f, 0, 0,
                                    0x8f, 0x05, 0xfc, 0x8f, 0, 0, 0x90 };
    (void)recompiled;
    put_code(f, code, sizeof code);
    f->answer = STOP_GO_ON;
    set_points(f, p, 2, CODE + 21);
    go_from(f, CODE);
    g_assert_cmpuint(f->count, ==, 5);
    g_assert_cmpuint(f->hit[0].id, ==, 1);
    g_assert_cmphex(f->hit[0].la, ==, CODE);
    for (unsigned k = 1; k < 4; k++)
        g_assert_cmpuint(f->hit[k].id, ==, 2);
    g_assert_cmphex(f->hit[1].address, ==, 0x8fff);
    g_assert_cmphex(f->hit[2].address, ==, 0x9000);
    g_assert_cmphex(f->hit[3].la, ==, CODE + 15);
}

static void test_io_and_msr(Fixture *f, const void *recompiled)
{
    const StopPoint p[] = {
        { .kind = STOP_IO, .access = STOP_WRITE, .first = 0x80, .last = 0x8f, .id = 1 },
        { .kind = STOP_MSR, .access = STOP_WRITE, .first = 0x174, .last = 0x174, .id = 2 },
    };
    /* mov al, 7; out 80h, al; in al, 80h; mov ecx, 174h; mov eax, 8; xor edx, edx; wrmsr; rdmsr; nop */
    static const uint8_t code[] = { 0xb0, 7, 0xe6, 0x80, 0xe4, 0x80, 0xb9, 0x74, 1, 0, 0, 0xb8, 8, 0, 0, 0, 0x31, 0xd2,
                                    0x0f, 0x30, 0x0f, 0x32, 0x90 };
    (void)recompiled;
    put_code(f, code, sizeof code);
    f->answer = STOP_GO_ON;
    set_points(f, p, 2, CODE + 22);
    go_from(f, CODE);
    g_assert_cmpuint(f->count, ==, 3);
    g_assert_cmpuint(f->hit[0].id, ==, 1);
    g_assert_cmpuint(f->hit[0].address, ==, 0x80);
    g_assert_cmpuint(f->hit[0].value, ==, 7);
    g_assert_cmphex(f->hit[0].la, ==, CODE + 2);
    g_assert_cmpuint(f->hit[1].id, ==, 2);
    g_assert_cmpuint(f->hit[1].value, ==, 8);
}

/* An IDT of interrupt gates to 2000h, where there are NOPs. */
static void make_idt(Fixture *f)
{
    for (unsigned k = 0; k < 64; k++)
        memcpy(f->s.ram + 0x3000 + k * 8, "\x00\x20\x08\x00\x00\x8e\x00\x00", 8);
    memcpy(f->s.ram + 0x4008, "\xff\xff\x00\x00\x00\x9b\xcf\x00", 8);
    f->s.cpu->idtr = (TablePtr){ 0x3000, 0x1ff };
    f->s.cpu->gdtr = (TablePtr){ 0x4000, 0xff };
    f->s.cpu->seg[SEG_CS].sel = 8;
    memset(f->s.ram + 0x2000, 0x90, 16);
}

static void test_exception(Fixture *f, const void *recompiled)
{
    const StopPoint p[] = { { .kind = STOP_EXCEPTION, .first = 6, .last = 6, .id = 1 },
                            { .kind = STOP_INTERRUPT, .first = 0x21, .last = 0x21, .id = 2 } };
    static const uint8_t code[] = { 0x90, 0xcd, 0x20, 0xcd, 0x21, 0x0f, 0x0b, 0x90 };
    (void)recompiled;
    put_code(f, code, sizeof code);
    make_idt(f);
    set_points(f, p, 2, 0x2004);
    go_from(f, CODE + 3);
    g_assert_cmpuint(f->hit[0].id, ==, 2);
    g_assert_cmphex(f->s.cpu->rip, ==, 0x2000);
    go_from(f, CODE + 5);
    g_assert_cmpuint(f->count, ==, 1);
    g_assert_cmpuint(f->hit[0].id, ==, 1);
    g_assert_cmphex(f->s.cpu->rip, ==, CODE + 5);
    stops_pass(f->s.cpu);
    go(f);
    g_assert_cmpuint(f->hit[0].id, ==, 99);
    g_assert_cmphex(f->s.cpu->rip, ==, 0x2004);
    go_from(f, CODE + 1); /* INT 20h is no point */
    g_assert_cmpuint(f->hit[0].id, ==, 99);
}

static void test_triple_fault(Fixture *f, const void *recompiled)
{
    const StopPoint p = { .kind = STOP_TRIPLE_FAULT, .id = 1 };
    (void)recompiled;
    put_code(f, "\x0f\x0b", 2);
    f->s.cpu->idtr = (TablePtr){ 0, 0 };
    set_points(f, &p, 1, 0);
    go_from(f, CODE);
    g_assert_cmpuint(f->count, ==, 1);
    g_assert_cmpuint(f->hit[0].id, ==, 1);
    g_assert_cmphex(f->s.cpu->rip, ==, CODE);
    g_assert_cmpuint(f->s.cpu->fault.chain_length, >=, 3);
    g_assert_cmpuint(f->s.cpu->fault.chain[0].vector, ==, 6);
}

static void test_step(Fixture *f, const void *recompiled)
{
    static const unsigned after[] = { 5, 6, 7, 5, 6, 7 };
    (void)recompiled;
    put_code(f, loop, sizeof loop);
    set_points(f, NULL, 0, CODE + 6); /* in the way: passed by the step from it, met by the one to it */
    f->s.cpu->rip = CODE;
    for (unsigned k = 0; k < G_N_ELEMENTS(after); k++) {
        stops_step(f->s.cpu, 1, false);
        if (k)
            stops_pass(f->s.cpu);
        go(f);
        g_assert_cmpuint(f->count, ==, 1);
        g_assert_cmpint(f->hit[0].kind, ==, STOP_STEP);
        g_assert_cmphex(f->s.cpu->rip, ==, CODE + after[k]);
    }
    stops_set(f->s.cpu, NULL, 0, on_hit, f);
    stops_step(f->s.cpu, 7, false);
    go(f);
    g_assert_cmphex(f->s.cpu->rip, ==, CODE + 5);
    g_assert_cmpuint(f->s.cpu->gpr[R_CX], ==, 1);
}

/* Interrupts wait while instructions are counted, and come afterwards. */
static void test_step_defers(Fixture *f, const void *recompiled)
{
    (void)recompiled;
    put_code(f, "\x90\x90\x90\x90", 4);
    make_idt(f);
    set_points(f, NULL, 0, 0x2002);
    cpu_port(f->s.cpu)->nmi(f->s.cpu);
    stops_step(f->s.cpu, 2, false);
    go_from(f, CODE);
    g_assert_cmphex(f->s.cpu->rip, ==, CODE + 2);
    go(f);
    g_assert_cmphex(f->s.cpu->rip, ==, 0x2002);
    cpu_reset(f->s.cpu);
    subject_enter_flat32(&f->s);
    make_idt(f);
    f->s.cpu->gpr[R_SP] = 0x7000;
    cpu_port(f->s.cpu)->nmi(f->s.cpu);
    stops_step(f->s.cpu, 1, true);
    go_from(f, CODE);
    g_assert_cmphex(f->s.cpu->rip, ==, 0x2001);
}

static void test_mode(Fixture *f, const void *recompiled)
{
    const StopPoint p[] = { { .kind = STOP_MODE, .id = 1 }, { .kind = STOP_CR3, .id = 2 } };
    /* mov eax, 10000h; mov cr3, eax; mov cr3, eax; mov eax, cr0; dec eax; mov cr0, eax; nop */
    static const uint8_t code[] = { 0xb8, 0, 0, 1, 0, 0x0f, 0x22, 0xd8, 0x0f, 0x22, 0xd8, 0x0f, 0x20, 0xc0, 0x48,
                                    0x0f, 0x22, 0xc0, 0x90 };
    (void)recompiled;
    put_code(f, code, sizeof code);
    f->answer = STOP_GO_ON;
    set_points(f, p, 2, CODE + 18);
    go_from(f, CODE);
    g_assert_cmpuint(f->count, ==, 3);
    g_assert_cmpuint(f->hit[0].id, ==, 2);
    g_assert_cmphex(f->hit[0].value, ==, 0x10000);
    g_assert_cmphex(f->hit[0].old, ==, 0);
    g_assert_cmpuint(f->hit[1].id, ==, 1);
    g_assert_cmphex(f->hit[1].la, ==, CODE + 15);
}

#define CASE(name)                                                                                                     \
    g_test_add("/stops/" #name "/interp", Fixture, NULL, set_up, test_##name, tear_down);                              \
    g_test_add("/stops/" #name "/tcg", Fixture, "tcg", set_up, test_##name, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASE(code);
    CASE(go_on);
    CASE(physical);
    CASE(overwritten);
    CASE(write);
    CASE(write_stops);
    CASE(read);
    CASE(io_and_msr);
    CASE(exception);
    CASE(triple_fault);
    CASE(step);
    CASE(step_defers);
    CASE(mode);
    return g_test_run();
}
