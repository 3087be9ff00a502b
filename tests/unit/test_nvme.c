/* An NVMe controller as a driver sees it: registers, queues in memory, doorbells, messages (NVM Express 1.4). */
#include "hw/block/nvme.h"
#include "tests/unit/damaged_state.h"
#include "tests/unit/disk_bench.h"

enum { CC = 0x14, CSTS = 0x1c, INTMS = 0x0c, INTMC = 0x10, AQA = 0x24, ASQ = 0x28, ACQ = 0x30, DOORBELL = 0x1000 };
enum { ENTRIES = 8, SQ_AT = 0x10000, CQ_AT = 0x20000, QUEUE_ROOM = 0x1000, DATA = 0x100000, LIST = 0x80000 };
enum { ENABLE = 0x460001 };

/* What a driver keeps of each queue pair. */
typedef struct Queue {
    unsigned tail, head, phase, id, entries;
} Queue;

typedef struct Fixture {
    DiskBench b;
    Queue queue[4];
} Fixture;

typedef struct Completion {
    uint32_t result;
    uint16_t sq_head, sq, id, status;
} Completion;

static void reg_write(Fixture *f, unsigned at, uint32_t v) { put32(&f->b, BAR_AT + at, v); }
static uint32_t reg_read(Fixture *f, unsigned at) { return get32(&f->b, BAR_AT + at); }
static uint64_t sq_entry(unsigned q, unsigned n) { return SQ_AT + q * QUEUE_ROOM + n * 64; }
static uint64_t cq_entry(unsigned q, unsigned n) { return CQ_AT + q * QUEUE_ROOM + n * 16; }

static void enable(Fixture *f)
{
    for (uint64_t at = CQ_AT; at < CQ_AT + 4 * QUEUE_ROOM; at += 8)
        put64(&f->b, at, 0);
    reg_write(f, AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    reg_write(f, ASQ, SQ_AT);
    reg_write(f, ASQ + 4, 0);
    reg_write(f, ACQ, CQ_AT);
    reg_write(f, ACQ + 4, 0);
    reg_write(f, CC, ENABLE);
    g_assert_cmphex(reg_read(f, CSTS), ==, 1);
    for (unsigned i = 0; i < 4; i++)
        f->queue[i] = (Queue) { .phase = 1, .entries = ENTRIES };
}

static void fixture_up(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    disk_bench_up(&f->b);
    f->b.dev = device_add(f->b.m, &nvme_type, NULL, &err, "drive", "disk", "serial", "S123", "addr", "24", NULL);
    g_assert_no_error(err);
    machine_reset(f->b.m);
    disk_bench_map(&f->b, 0, BAR_AT);
    disk_bench_map(&f->b, 4, MSIX_AT);
    enable(f);
}

static void fixture_down(Fixture *f, gconstpointer unused)
{
    (void)unused;
    disk_bench_down(&f->b);
}

/* ---- commands ---- */

/* Puts a command into a queue: dword 0's opcode, namespace, PRPs, dwords 10 to 12. */
static void command_put(Fixture *f, unsigned q, uint8_t opcode, uint32_t ns, uint64_t prp1, uint64_t prp2, uint32_t d10,
                        uint32_t d11, uint32_t d12)
{
    Queue *k = &f->queue[q];
    uint64_t at = sq_entry(q, k->tail);

    for (unsigned i = 0; i < 64; i += 8)
        put64(&f->b, at + i, 0);
    put32(&f->b, at, opcode | ++k->id << 16);
    put32(&f->b, at + 4, ns);
    put64(&f->b, at + 24, prp1);
    put64(&f->b, at + 32, prp2);
    put32(&f->b, at + 40, d10);
    put32(&f->b, at + 44, d11);
    put32(&f->b, at + 48, d12);
    k->tail = (k->tail + 1) % k->entries;
}

static void ring(Fixture *f, unsigned q) { reg_write(f, DOORBELL + 8 * q, f->queue[q].tail); }

static bool completion_peek(Fixture *f, unsigned q)
{
    return (get32(&f->b, cq_entry(q, f->queue[q].head) + 12) >> 16 & 1) == f->queue[q].phase;
}

static Completion completion_take(Fixture *f, unsigned q)
{
    Queue *k = &f->queue[q];
    uint64_t at = cq_entry(q, k->head);

    while (!completion_peek(f, q))
        disk_bench_turn(&f->b, true);
    uint32_t d2 = get32(&f->b, at + 8), d3 = get32(&f->b, at + 12);
    k->head = (k->head + 1) % k->entries;
    k->phase ^= !k->head;
    reg_write(f, DOORBELL + 4 + 8 * q, k->head);
    return (Completion) { get32(&f->b, at), d2, d2 >> 16, d3, d3 >> 17 };
}

static Completion run(Fixture *f, unsigned q, uint8_t opcode, uint32_t ns, uint64_t prp1, uint64_t prp2, uint32_t d10,
                      uint32_t d11, uint32_t d12)
{
    command_put(f, q, opcode, ns, prp1, prp2, d10, d11, d12);
    ring(f, q);
    Completion c = completion_take(f, q);
    g_assert_cmpuint(c.id, ==, (uint16_t)f->queue[q].id);
    g_assert_cmpuint(c.sq, ==, q);
    return c;
}

static Completion admin(Fixture *f, uint8_t opcode, uint64_t prp1, uint32_t d10, uint32_t d11)
{
    return run(f, 0, opcode, 0, prp1, 0, d10, d11, 0);
}

/* A pair with vector q, when MSI-X is on. */
static void queue_create(Fixture *f, unsigned q, bool msix)
{
    unsigned size = (ENTRIES - 1) << 16;
    g_assert_cmphex(admin(f, 5, CQ_AT + q * QUEUE_ROOM, size | q, (msix ? q << 16 : 0) | 3).status, ==, 0);
    g_assert_cmphex(admin(f, 1, SQ_AT + q * QUEUE_ROOM, size | q, q << 16 | 1).status, ==, 0);
}

static void msix_on(Fixture *f)
{
    unsigned at = config_read(&f->b, PCI_CAPABILITIES, 1);

    g_assert_cmphex(config_read(&f->b, at, 1), ==, 0x11);
    g_assert_cmpuint(config_read(&f->b, at + 2, 2), ==, 64);
    for (unsigned n = 0; n < 4; n++) {
        put64(&f->b, MSIX_AT + 16 * n, MSI_AT);
        put32(&f->b, MSIX_AT + 16 * n + 8, 10 + n);
        put32(&f->b, MSIX_AT + 16 * n + 12, 0);
    }
    config_write(&f->b, at + 2, 0x8000, 2);
}

/* ---- tests ---- */

static void test_registers(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(config_read(&f->b, PCI_CLASS, 4) & 0xffffff, ==, 0x010802);
    g_assert_cmphex(as_read(f->b.m->memory, BAR_AT, 8), ==, UINT64_C(0x004000200f0107ff));
    g_assert_cmphex(reg_read(f, 8), ==, 0x00010400);
    g_assert_cmphex(reg_read(f, CC), ==, ENABLE);
    g_assert_cmphex(reg_read(f, AQA), ==, 0x00070007);
    reg_write(f, INTMS, 5);
    g_assert_cmphex(reg_read(f, INTMC), ==, 5);
    reg_write(f, INTMC, 4);
    g_assert_cmphex(reg_read(f, INTMS), ==, 1);
    reg_write(f, CC, 0);
    g_assert_cmphex(reg_read(f, CSTS), ==, 0);
    reg_write(f, CC, ENABLE | 5 << 7); /* pages of 128 KiB */
    g_assert_cmphex(reg_read(f, CSTS), ==, 2);
    reg_write(f, CC, 0);
    reg_write(f, CC, ENABLE);
    g_assert_cmphex(reg_read(f, CSTS), ==, 1);
    /* Shutdown (section 3.1.5, SHN). */
    reg_write(f, CC, ENABLE | 0x4000);
    g_assert_cmphex(reg_read(f, CSTS), ==, 5);
    settle(&f->b);
    g_assert_cmphex(reg_read(f, CSTS), ==, 9);
}

static void test_identify(Fixture *f, gconstpointer unused)
{
    uint8_t p[4096];
    (void)unused;

    g_assert_cmphex(admin(f, 6, DATA, 1, 0).status, ==, 0);
    as_read_bytes(f->b.m->memory, DATA, p, sizeof p);
    g_assert_cmpmem(p + 4, 20, "S123                ", 20);
    g_assert_cmpuint(p[77], ==, 7);
    g_assert_cmphex(p[512], ==, 0x66);
    g_assert_cmphex(p[513], ==, 0x44);
    g_assert_cmpuint(ld32le(p + 516), ==, 1);
    /* In two parts of pages that do not follow each other. */
    g_assert_cmphex(run(f, 0, 6, 1, DATA + 0x800, DATA + 0x3000, 0, 0, 0).status, ==, 0);
    as_read_bytes(f->b.m->memory, DATA + 0x800, p, 0x800);
    as_read_bytes(f->b.m->memory, DATA + 0x3000, p + 0x800, 0x800);
    g_assert_cmpuint(ld64le(p), ==, DISK_BYTES / 512);
    g_assert_cmpuint(p[130], ==, 9);
    g_assert_cmphex(run(f, 0, 6, 0, DATA, 0, 2, 0, 0).status, ==, 0);
    g_assert_cmpuint(get32(&f->b, DATA), ==, 1);
    g_assert_cmpuint(get32(&f->b, DATA + 4), ==, 0);
    g_assert_cmphex(run(f, 0, 6, 1, DATA, 0, 2, 0, 0).status, ==, 0);
    g_assert_cmpuint(get32(&f->b, DATA), ==, 0);
    g_assert_cmphex(run(f, 0, 6, 1, DATA, 0, 3, 0, 0).status, ==, 0);
    g_assert_cmphex(get32(&f->b, DATA) & 0xffff, ==, 0x0801);
    g_assert_cmphex(run(f, 0, 6, 2, DATA, 0, 0, 0, 0).status, ==, 0x400b);
    g_assert_cmphex(admin(f, 6, DATA, 0x77, 0).status, ==, 0x4002);
    g_assert_cmphex(admin(f, 6, DATA + 2, 1, 0).status, ==, 0x4013);
    g_assert_cmphex(admin(f, 0x99, DATA, 1, 0).status, ==, 0x4001);
}

static void test_queues(Fixture *f, gconstpointer unused)
{
    (void)unused;
    unsigned size = (ENTRIES - 1) << 16;
    g_assert_cmphex(admin(f, 1, SQ_AT + QUEUE_ROOM, size | 1, 1 << 16 | 1).status, ==, 0x4100);
    g_assert_cmphex(admin(f, 5, CQ_AT, size, 1).status, ==, 0x4101);
    g_assert_cmphex(admin(f, 5, CQ_AT, size | 65, 1).status, ==, 0x4101);
    g_assert_cmphex(admin(f, 5, CQ_AT, 1, 1).status, ==, 0x4102);
    g_assert_cmphex(admin(f, 5, CQ_AT, 2048u << 16 | 1, 1).status, ==, 0x4102);
    g_assert_cmphex(admin(f, 5, CQ_AT + 16, size | 1, 1).status, ==, 0x4013);
    g_assert_cmphex(admin(f, 5, CQ_AT + QUEUE_ROOM, size | 1, 1 << 16 | 3).status, ==, 0x4108); /* no MSI-X */
    queue_create(f, 1, false);
    g_assert_cmphex(admin(f, 5, CQ_AT + QUEUE_ROOM, size | 1, 3).status, ==, 0x4101);
    g_assert_cmphex(admin(f, 4, 0, 1, 0).status, ==, 0x410c);
    g_assert_cmphex(admin(f, 9, 0, 7, 0x00030003).status, ==, 0x400c);
    g_assert_cmphex(admin(f, 0, 0, 1, 0).status, ==, 0);
    g_assert_cmphex(admin(f, 0, 0, 1, 0).status, ==, 0x4101);
    g_assert_cmphex(admin(f, 4, 0, 1, 0).status, ==, 0);
    g_assert_cmphex(admin(f, 9, 0, 7, 0x00030003).result, ==, 0x003f003f);
    /* A queue goes when its transfers are done. */
    queue_create(f, 1, false);
    command_put(f, 1, 2, 1, DATA, 0, 0, 0, 0);
    ring(f, 1);
    g_assert_cmphex(admin(f, 0, 0, 1, 0).status, ==, 0);
    g_assert_true(completion_peek(f, 1));
}

/* One block, two pages, a list, and a list that leads to another; each from an odd place of the disk. */
static void test_read(Fixture *f, gconstpointer unused)
{
    (void)unused;
    queue_create(f, 1, false);
    g_assert_cmphex(run(f, 1, 2, 1, DATA, 0, 5, 0, 0).status, ==, 0);
    expect_pattern(&f->b, DATA, 5 * 512, 512);
    g_assert_cmphex(run(f, 1, 2, 1, DATA + 0x200, DATA + 0x5000, 9, 0, 14).status, ==, 0);
    expect_pattern(&f->b, DATA + 0x200, 9 * 512, 0xe00);
    expect_pattern(&f->b, DATA + 0x5000, 9 * 512 + 0xe00, 0x1000);
    /* 64 KiB, pages downwards. */
    for (unsigned i = 0; i < 15; i++)
        put64(&f->b, LIST + 8 * i, DATA + (15 - i) * 0x2000);
    g_assert_cmphex(run(f, 1, 2, 1, DATA + 0x100000, LIST, 100, 0, 127).status, ==, 0);
    expect_pattern(&f->b, DATA + 0x100000, 100 * 512, 0x1000);
    for (unsigned i = 0; i < 15; i++)
        expect_pattern(&f->b, DATA + (15 - i) * 0x2000, 100 * 512 + (i + 1) * 0x1000, 0x1000);
    /* The list begins with the last two entries of a page: an address and a pointer. */
    put64(&f->b, LIST + 0xff0, DATA);
    put64(&f->b, LIST + 0xff8, LIST + 0x4000);
    put64(&f->b, LIST + 0x4000, DATA + 0x1000);
    put64(&f->b, LIST + 0x4008, DATA + 0x8000);
    g_assert_cmphex(run(f, 1, 2, 1, DATA + 0x20000, LIST + 0xff0, 0, 0, 31).status, ==, 0);
    expect_pattern(&f->b, DATA + 0x20000, 0, 0x1000);
    expect_pattern(&f->b, DATA, 0x1000, 0x2000);
    expect_pattern(&f->b, DATA + 0x8000, 0x3000, 0x1000);
}

static void test_write(Fixture *f, gconstpointer unused)
{
    (void)unused;
    queue_create(f, 1, false);
    fill(&f->b, DATA, 0x2000);
    g_assert_cmphex(run(f, 1, 1, 1, DATA, DATA + 0x1000, 64, 0, 15).status, ==, 0);
    expect_file(f->b.disk, 64 * 512, 0x2000);
    g_assert_cmphex(run(f, 1, 1, 1, DATA, 0, 7, 0, 1u << 30).status, ==, 0); /* with a flush */
    expect_file(f->b.disk, 7 * 512, 512);
    g_assert_cmphex(run(f, 1, 0, UINT32_MAX, 0, 0, 0, 0, 0).status, ==, 0);
    /* Zeroes, and what a discard leaves open: only that the rest stays. */
    g_assert_cmphex(run(f, 1, 8, 1, 0, 0, 64, 0, 1).status, ==, 0);
    g_assert_cmphex(run(f, 1, 2, 1, DATA, 0, 64, 0, 1).status, ==, 0);
    for (unsigned i = 0; i < 1024; i += 4)
        g_assert_cmphex(get32(&f->b, DATA + i), ==, 0);
    put32(&f->b, DATA, 0), put32(&f->b, DATA + 4, 16), put64(&f->b, DATA + 8, 1024);
    put32(&f->b, DATA + 16, 0), put32(&f->b, DATA + 20, 0), put64(&f->b, DATA + 24, 5);
    put32(&f->b, DATA + 32, 0), put32(&f->b, DATA + 36, 8), put64(&f->b, DATA + 40, DISK_BYTES / 512 - 8);
    g_assert_cmphex(run(f, 1, 9, 1, DATA, 0, 2, 4, 0).status, ==, 0);
    put32(&f->b, DATA + 36, 9);
    g_assert_cmphex(run(f, 1, 9, 1, DATA, 0, 2, 4, 0).status, ==, 0x4080);
}

static void test_errors(Fixture *f, gconstpointer unused)
{
    (void)unused;
    queue_create(f, 1, false);
    g_assert_cmphex(run(f, 1, 2, 1, DATA, 0, DISK_BYTES / 512, 0, 0).status, ==, 0x4080);
    g_assert_cmphex(run(f, 1, 2, 1, DATA, 0, UINT32_MAX, UINT32_MAX, 0).status, ==, 0x4080);
    g_assert_cmphex(run(f, 1, 2, 1, DATA, DATA + 0x1000, DISK_BYTES / 512 - 8, 0, 8).status, ==, 0x4080);
    g_assert_cmphex(run(f, 1, 2, 2, DATA, 0, 0, 0, 0).status, ==, 0x400b);
    g_assert_cmphex(run(f, 1, 2, 1, DATA, LIST, 0, 0, 1024).status, ==, 0x4002); /* more than 512 KiB */
    g_assert_cmphex(run(f, 1, 2, 1, DATA, LIST + 4, 0, 0, 127).status, ==, 0x4013);
    g_assert_cmphex(run(f, 1, 2, 1, DATA, DATA + 0x1010, 0, 0, 15).status, ==, 0x4013);
    g_assert_cmphex(run(f, 1, 0x7f, 1, DATA, 0, 0, 0, 0).status, ==, 0x4001);
    command_put(f, 1, 2, 1, DATA, 0, 0, 0, 0);
    as_write(f->b.m->memory, sq_entry(1, f->queue[1].tail - 1) + 1, 0x40, 1); /* scatter lists */
    ring(f, 1);
    g_assert_cmphex(completion_take(f, 1).status, ==, 0x4002);
}

static void test_features(Fixture *f, gconstpointer unused)
{
    (void)unused;
    g_assert_cmphex(admin(f, 10, 0, 6, 0).result, ==, 1);
    g_assert_cmphex(admin(f, 9, 0, 6, 0).status, ==, 0);
    g_assert_cmphex(admin(f, 10, 0, 6, 0).result, ==, 0);
    g_assert_false(block_write_cache(block_find(f->b.m, "disk")));
    g_assert_cmphex(admin(f, 10, 0, 6 | 1 << 8, 0).result, ==, 1);  /* default */
    g_assert_cmphex(admin(f, 10, 0, 6 | 3 << 8, 0).result, ==, 4);  /* can be changed */
    g_assert_cmphex(admin(f, 9, 0, 6 | 1u << 31, 1).status, ==, 0x410d);
    g_assert_cmphex(admin(f, 10, 0, 7, 0).result, ==, 0x003f003f);
    g_assert_cmphex(admin(f, 9, 0, 7, 0xffff).status, ==, 0x4002);
    g_assert_cmphex(admin(f, 9, 0, 1, 0x01020304).status, ==, 0);
    g_assert_cmphex(admin(f, 10, 0, 1, 0).result, ==, 0x01020304);
    g_assert_cmphex(admin(f, 10, 0, 0x55, 0).status, ==, 0x4002);
    g_assert_cmphex(admin(f, 8, 0, 0x00050001, 0).result, ==, 1); /* nothing was aborted */
}

static void test_log_pages(Fixture *f, gconstpointer unused)
{
    (void)unused;
    queue_create(f, 1, false);
    for (unsigned i = 0; i < 3; i++)
        run(f, 1, 2, 1, DATA, 0, 0, 0, 0);
    g_assert_cmphex(admin(f, 2, DATA, 2 | 127 << 16, 0).status, ==, 0);
    g_assert_cmpuint(get32(&f->b, DATA) >> 8 & 0xffff, ==, 313);
    g_assert_cmpuint(get32(&f->b, DATA + 64), ==, 3);
    g_assert_cmpuint(get32(&f->b, DATA + 32), ==, 1);
    g_assert_cmphex(admin(f, 2, DATA, 3 | 127 << 16, 0).status, ==, 0);
    g_assert_cmphex(get32(&f->b, DATA + 8), ==, 0x20302e31); /* "1.0 " */
    g_assert_cmphex(admin(f, 2, DATA, 1 | 15 << 16, 0).status, ==, 0);
    g_assert_cmphex(admin(f, 2, DATA, 0x80 | 15 << 16, 0).status, ==, 0x4109);
}

static void test_events(Fixture *f, gconstpointer unused)
{
    (void)unused;
    for (unsigned i = 0; i < 4; i++)
        command_put(f, 0, 12, 0, 0, 0, 0, 0, 0);
    ring(f, 0);
    g_assert_false(completion_peek(f, 0));
    unsigned first = f->queue[0].id - 3;
    g_assert_cmphex(admin(f, 12, 0, 0, 0).status, ==, 0x4105);
    /* A doorbell of no queue; a second one is not told before the log page is read. */
    reg_write(f, DOORBELL + 8 * 3, 1);
    reg_write(f, DOORBELL + 8 * 3, 1);
    Completion c = completion_take(f, 0);
    g_assert_cmpuint(c.id, ==, first);
    g_assert_cmphex(c.result, ==, 0x010000);
    g_assert_false(completion_peek(f, 0));
    admin(f, 2, DATA, 1 | 15 << 16, 0);
    reg_write(f, DOORBELL, 100);
    c = completion_take(f, 0);
    g_assert_cmpuint(c.id, ==, first + 1);
    g_assert_cmphex(c.result, ==, 0x010100);
    /* Aborted. */
    command_put(f, 0, 8, 0, 0, 0, (first + 3) << 16, 0, 0);
    ring(f, 0);
    c = completion_take(f, 0);
    g_assert_cmpuint(c.id, ==, first + 3);
    g_assert_cmphex(c.status, ==, 7);
    c = completion_take(f, 0);
    g_assert_cmphex(c.result, ==, 0);
    /* Too warm. */
    admin(f, 9, 0, 11, 2);
    command_put(f, 0, 9, 0, 0, 0, 4, 300, 0);
    ring(f, 0);
    c = completion_take(f, 0);
    g_assert_cmphex(c.result, ==, 0x020101);
}

static void test_interrupts(Fixture *f, gconstpointer unused)
{
    (void)unused;
    command_put(f, 0, 6, 0, DATA, 0, 1, 0, 0);
    ring(f, 0);
    g_assert_cmpint(f->b.level, ==, 1);
    reg_write(f, INTMS, 1);
    g_assert_cmpint(f->b.level, ==, 0);
    reg_write(f, INTMC, 1);
    g_assert_cmpint(f->b.level, ==, 1);
    completion_take(f, 0);
    g_assert_cmpint(f->b.level, ==, 0);
    msix_on(f);
    queue_create(f, 2, true);
    g_assert_cmpint(f->b.level, ==, 0);
    g_assert_cmpuint(f->b.messages[10], ==, 2);
    run(f, 2, 2, 1, DATA, 0, 0, 0, 0);
    g_assert_cmpuint(f->b.messages[12], ==, 1);
}

/* No command is taken for which there is no room in the completion queue. */
static void test_full(Fixture *f, gconstpointer unused)
{
    (void)unused;
    queue_create(f, 1, false);
    for (unsigned i = 0; i < ENTRIES - 1; i++)
        command_put(f, 1, 2, 1, DATA + i * 512, 0, i, 0, 0);
    ring(f, 1);
    settle(&f->b);
    command_put(f, 1, 2, 1, DATA + 0x8000, 0, 100, 0, 0);
    ring(f, 1);
    settle(&f->b);
    unsigned last = f->queue[1].id;
    for (unsigned i = 0; i < ENTRIES - 1; i++) {
        g_assert_true(completion_peek(f, 1));
        g_assert_cmphex(completion_take(f, 1).status, ==, 0);
    }
    g_assert_cmpuint(completion_take(f, 1).id, ==, last);
    expect_pattern(&f->b, DATA, 0, (ENTRIES - 1) * 512);
    expect_pattern(&f->b, DATA + 0x8000, 100 * 512, 512);
}

/* A reset in the middle of a transfer: not ready any more when it is done, and nothing is posted. */
static void test_reset(Fixture *f, gconstpointer unused)
{
    (void)unused;
    queue_create(f, 1, false);
    command_put(f, 1, 2, 1, DATA, 0, 0, 0, 0);
    ring(f, 1);
    reg_write(f, CC, 0);
    settle(&f->b);
    g_assert_cmphex(reg_read(f, CSTS), ==, 0);
    g_assert_false(completion_peek(f, 1));
    enable(f);
    g_assert_cmphex(admin(f, 6, DATA, 1, 0).status, ==, 0);
    g_assert_cmphex(admin(f, 4, 0, 1, 0).status, ==, 0x4101);
}

static void test_not_master(Fixture *f, gconstpointer unused)
{
    (void)unused;
    config_write(&f->b, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    command_put(f, 0, 6, 0, DATA, 0, 1, 0, 0);
    ring(f, 0);
    g_assert_false(completion_peek(f, 0));
    config_write(&f->b, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    g_assert_true(completion_peek(f, 0));
}

static void test_save(Fixture *f, gconstpointer unused)
{
    (void)unused;
    msix_on(f);
    queue_create(f, 1, true);
    command_put(f, 0, 12, 0, 0, 0, 0, 0, 0);
    ring(f, 0);
    for (unsigned i = 0; i < 5; i++)
        command_put(f, 1, 2, 1, DATA + i * 0x1000, 0, i * 3, 0, 7);
    ring(f, 1);
    save_and_restore(&f->b);
    for (unsigned i = 0; i < 5; i++)
        g_assert_cmphex(completion_take(f, 1).status, ==, 0);
    for (unsigned i = 0; i < 5; i++)
        expect_pattern(&f->b, DATA + i * 0x1000, i * 3 * 512, 0x1000);
    g_assert_cmphex(run(f, 1, 2, 1, DATA, 0, 5, 0, 0).status, ==, 0);
    reg_write(f, DOORBELL + 8 * 3, 1);
    g_assert_cmphex(completion_take(f, 0).result, ==, 0x010000);
}

/* ---- a guest that means no good ---- */

static void random_command(Fixture *f, GRand *random, uint64_t at)
{
    static const uint64_t places[] = { DATA, LIST, SQ_AT, BAR_AT, BAR_AT + DOORBELL, 0xff0, 0x7ffff0, MSIX_AT };
    for (unsigned i = 0; i < 64; i += 4)
        put32(&f->b, at + i, g_rand_int(random) >> g_rand_int_range(random, 0, 32));
    put32(&f->b, at, g_rand_int_range(random, 0, 13) | g_rand_int(random) << 16);
    put32(&f->b, at + 4, g_rand_int_range(random, 0, 20) ? 1 : g_rand_int(random));
    put64(&f->b, at + 24, places[g_rand_int_range(random, 0, 8)] + g_rand_int_range(random, 0, 1024) * 4);
    put64(&f->b, at + 32, places[g_rand_int_range(random, 0, 8)] + g_rand_int_range(random, 0, 512) * 8);
    if (g_rand_boolean(random)) {
        put32(&f->b, at + 40, g_rand_int_range(random, 0, 4) | g_rand_int_range(random, 0, 16) << 16);
        put32(&f->b, at + 44, g_rand_boolean(random) ? 0 : g_rand_int_range(random, 0, 4) << 16 | 7);
    }
}

static void random_access(Fixture *f, GRand *random)
{
    uint32_t v = g_rand_int(random) >> g_rand_int_range(random, 0, 32);
    unsigned size = 1 << g_rand_int_range(random, 0, 4);

    switch (g_rand_int_range(random, 0, 9)) {
    case 0: random_command(f, random, sq_entry(g_rand_int_range(random, 0, 4), g_rand_int_range(random, 0, 8))); break;
    case 1: put64(&f->b, LIST + g_rand_int_range(random, 0, 512) * 8, DATA + (v & 0x3ff) * 0x400); break;
    case 2: as_write(f->b.m->memory, BAR_AT + g_rand_int_range(random, 0, 0x60), v, size); break;
    case 3: as_read(f->b.m->memory, BAR_AT + g_rand_int_range(random, 0, 0x4000), size); break;
    case 4: as_write(f->b.m->memory, BAR_AT + DOORBELL + g_rand_int_range(random, 0, 300) * 4, v % 16, 4); break;
    case 5: case 6: reg_write(f, DOORBELL + g_rand_int_range(random, 0, 8) * 4, v % ENTRIES); break;
    case 7:
        if (v % 8 == 0)
            reg_write(f, CC, v & 8 ? ENABLE : 0);
        if (v % 64 == 1) {
            reg_write(f, CC, 0);
            settle(&f->b);
            enable(f);
        }
        break;
    default: disk_bench_turn(&f->b, false); break;
    }
}

static void test_random(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(g_test_rand_int());
    (void)unused;

    queue_create(f, 1, false);
    for (unsigned i = 0; i < 30000; i++)
        random_access(f, random);
    settle(&f->b);
    for (uint64_t at = SQ_AT; at < CQ_AT + 4 * QUEUE_ROOM; at += 8)
        put64(&f->b, at, 0);
    reg_write(f, CC, 0);
    settle(&f->b);
    enable(f);
    g_assert_cmphex(admin(f, 6, DATA, 1, 0).status, ==, 0);
    g_rand_free(random);
}

static void test_save_broken(Fixture *f, gconstpointer unused)
{
    GRand *random = g_rand_new_with_seed(7);
    (void)unused;

    queue_create(f, 1, false);
    GByteArray *saved = machine_save(f->b.m);
    for (unsigned round = 0; round < 200; round++) {
        if (load_damaged(f->b.m, saved, 4, random))
            for (unsigned i = 0; i < 200; i++)
                random_access(f, random);
        settle(&f->b);
        machine_reset(f->b.m);
    }
    g_byte_array_unref(saved);
    g_rand_free(random);
}

static void test_properties(Fixture *f, gconstpointer unused)
{
    GError *err = NULL;
    (void)unused;
    g_assert_null(device_add(f->b.m, &nvme_type, NULL, &err, NULL));
    g_assert_nonnull(strstr(err->message, "drive="));
    g_clear_error(&err);
    g_assert_null(device_add(f->b.m, &nvme_type, NULL, &err, "drive", "disk", NULL));
    g_assert_nonnull(strstr(err->message, "already"));
    g_clear_error(&err);
    g_assert_null(device_add(f->b.m, &nvme_type, NULL, &err, "drive", "cd", "logical_block_size", "1024", NULL));
    g_assert_nonnull(strstr(err->message, "512 or 4096"));
    g_clear_error(&err);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name, function) g_test_add("/nvme/" name, Fixture, NULL, fixture_up, function, fixture_down)
    TEST("registers", test_registers);
    TEST("identify", test_identify);
    TEST("queues", test_queues);
    TEST("read", test_read);
    TEST("write", test_write);
    TEST("errors", test_errors);
    TEST("features", test_features);
    TEST("log-pages", test_log_pages);
    TEST("events", test_events);
    TEST("interrupts", test_interrupts);
    TEST("full", test_full);
    TEST("reset", test_reset);
    TEST("not-master", test_not_master);
    TEST("save", test_save);
    TEST("save-broken", test_save_broken);
    TEST("random", test_random);
    TEST("properties", test_properties);
    return g_test_run();
}
