/* The engine: what becomes hot is translated, linked and dropped (tcg.h; overview in ir.h). */
#include "tcg/tcg.h"

#include <inttypes.h>

#include "config.h"
#include "core/log.h"
#include "cpu/flags.h"
#include "cpu/trace.h"
#include "tcg/engine.h"
#include "tcg/log.h"
#include "tcg/record.h"
#include "tcg/verify.h"

#define DEFAULT_CODE_BYTES (64u << 20)
#define MAX_CODE_BYTES (1u << 30) /* a branch reaches that far on x86-64 */
#define DEFAULT_HOT_AFTER 32

/* ---- called by host code ---- */

/* Rows that neither read nor write flags leave the record alone; all others find and leave them in cc_*. */
static bool touches_flags(const Insn *i)
{
    if (i->row >= insn_row_count)
        return true;
    const InsnRow *row = &insn_rows[i->row];
    return row->flags_read || row->flags_written || (row->attr & (A_JUMP | A_END));
}

static void call_with_flags(Cpu *cpu, const Insn *i)
{
    flags_record_settle(cpu);
    cpu->rec.here = false;
    i->fn(cpu, i);
    cpu->rec.here = true;
}

static bool call_semantics(Cpu *cpu, const Insn *i, uint64_t page_offset)
{
    uint64_t rip = (cpu->rec.page + page_offset) & cpu->rip_mask;
    unsigned key = cpu->key;
    cpu->rip = rip;
    if (touches_flags(i))
        call_with_flags(cpu, i);
    else
        i->fn(cpu, i);
    if (!i->jump)
        cpu->rip = (rip + i->len) & cpu->rip_mask;
    return !cpu->insn_end || cpu->key != key;
}

static bool must_leave(const Cpu *cpu)
{
    return (atomic_load_explicit(&cpu->attention, memory_order_relaxed) | cpu->shadow | cpu->step_mode) ||
           !(cpu->key & KEY_FLAT);
}

static const uint8_t *go_on(Cpu *cpu, Block **found)
{
    Engine *e = engine_of(cpu);
    *found = NULL;
    if (must_leave(cpu) || e->verify)
        return e->backend->leave(e->back);
    Block *b = *found = code_lookup_kept(cpu, cpu->rip);
    if (!b || !b->host)
        return e->backend->leave(e->back);
    uint64_t old_page = cpu->rec.page;
    cpu->rec.page = cpu->rip & GUEST_PAGE_MASK;
    jump_entry(cpu, cpu->rip)->host = b->host;
    if (unlikely(cpu->branches_kept) && (cpu->rec.page != old_page || cpu->trace->exact))
        trace_enter(cpu);
    return b->host;
}

static const uint8_t *go_next(Cpu *cpu)
{
    Block *b;
    return go_on(cpu, &b);
}

/*
 * In the middle of a unit.  What follows runs without a look at events, as the shadow of STI asks; with an event waiting,
 * the run loop sees to it that exactly one instruction does.
 */
static bool call_within(Cpu *cpu, const Insn *i, uint64_t page_offset)
{
    if (call_semantics(cpu, i, page_offset))
        return true;
    if (cpu->shadow && atomic_load_explicit(&cpu->attention, memory_order_relaxed))
        return true;
    cpu->shadow = 0;
    return false;
}

static const uint8_t *go_far(Cpu *cpu, uint64_t la, uint64_t from)
{
    if (!(from & TRACE_FALL))
        trace_branch(cpu, cpu->rec.page | (from & ~GUEST_PAGE_MASK), la, from >> TRACE_ROW_SHIFT & TRACE_ROW_MASK, 0);
    cpu->rip = la;
    return go_next(cpu);
}

/* In exact mode what comes before it, at another privilege perhaps, is settled first. */
static G_NO_INLINE void call_kept(Cpu *cpu, const Insn *i, uint64_t page_offset)
{
    uint64_t rip = (cpu->rec.page + page_offset) & cpu->rip_mask;
    if (cpu->trace->exact)
        trace_settle(cpu);
    call_semantics(cpu, i, page_offset);
    if (i->jump)
        trace_jump(cpu, i, rip, 0);
}

static const uint8_t *call_and_go_on(Cpu *cpu, const Insn *i, uint64_t page_offset)
{
    Block *b;
    if (unlikely(cpu->branches_kept))
        call_kept(cpu, i, page_offset);
    else
        call_semantics(cpu, i, page_offset);
    return go_on(cpu, &b);
}

static void link_exit(Engine *e, UnitExit *x, UnitCode *to)
{
    e->backend->link(e->back, x, to);
    x->next = to->links;
    to->links = x;
    e->counts.links++;
}

static const uint8_t *leave_by_exit(Cpu *cpu, UnitExit *x)
{
    Block *b;
    cpu->rip = (cpu->rec.page + x->page_offset) & cpu->rip_mask;
    const uint8_t *to = go_on(cpu, &b);
    if (b && b->host && b->peer && !b->tail && x->field && x->unit->block->key == b->key)
        link_exit(engine_of(cpu), x, b->peer->recompiled);
    return to;
}

static uint64_t flags_image(Cpu *cpu)
{
    flags_record_settle(cpu);
    return flags_arith(cpu) | EFLAGS_FIXED | F_IF;
}

/* ---- called by the CPU ---- */

static void become_whole(Cpu *cpu)
{
    if (unlikely(cpu->trace->exact))
        trace_settle(cpu);
    flags_record_settle(cpu);
    cpu->rec.here = false;
}

static void engine_unwound(Cpu *cpu)
{
    Engine *e = engine_of(cpu);
    become_whole(cpu);
    if (e->verify)
        verify_unwound(e, cpu);
}

void engine_enter(Engine *e, Cpu *cpu, const uint8_t *code)
{
    cpu->rec.page = cpu->rip & GUEST_PAGE_MASK;
    cpu->rec.here = true;
    cpu->code->current = NULL;
    cpu->insn_end = cpu->code->lone->insn; /* anything but NULL */
    trace_enter(cpu);
    e->backend->enter(e->back, cpu, code);
    become_whole(cpu);
}

static void engine_run(Cpu *cpu, Block *b)
{
    Engine *e = engine_of(cpu);
    if (e->verify) {
        verify_run(e, cpu, b->peer);
        return;
    }
    jump_entry(cpu, cpu->rip)->host = b->host;
    engine_enter(e, cpu, b->host);
}

/* ---- translation ---- */

/* Only builds for debugging pay for this. */
static void check(const IrUnit *u, const char *after)
{
#ifdef CONFIG_DEBUG
    const char *breach = ir_validate(u);
    if (!breach)
        return;
    g_autoptr(GString) text = g_string_new(NULL);
    ir_print(u, text);
    g_error("after %s: %s\n%s", after, breach, text->str);
#else
    (void)u, (void)after;
#endif
}

static void count_calls(Engine *e)
{
    for (unsigned k = 1; k < e->ir.count; k++)
        if (e->ir.op[k].code == IR_CALL)
            e->counts.calls[MIN(e->ir.block->insn[e->ir.op[k - 1].imm].row, ROW_COUNT)]++;
}

static bool translate(Engine *e, Block *unit, uint64_t la)
{
    ir_lower(&e->ir, unit);
    if (e->verify && !verify_cut(&e->ir))
        return false;
    check(&e->ir, "lowering");
    tcg_log_operations(LOG_OP, "OP", &e->ir, la);
    ir_merge_checks(&e->ir);
    check(&e->ir, "merging checks");
    ir_find_live_flags(&e->ir);
    check(&e->ir, "finding live flags");
    tcg_log_operations(LOG_OP_OPT, "OP after liveness analysis", &e->ir, la);
    return true;
}

bool engine_translate(Engine *e, Block *unit) { return translate(e, unit, unit->pool_offset); }

static void name_unit(const UnitCode *code, uint64_t la)
{
    static const char *const modes[] = { "16", "32", "64" };
    unsigned key = code->block->key;
    g_autofree char *name = g_strdup_printf("guest:%#" PRIx64 " (%s-bit %s)", la, modes[key & KEY_SIZE],
                                            (key >> KEY_TLB & 3) >= TLB_USER ? "user" : "kernel");
    perf_map_add(code->entry, code->size, name);
}

static void adopt(Engine *e, UnitCode *code, uint64_t la)
{
    e->counts.units++;
    e->counts.insns += e->ir.insns;
    e->counts.guest_bytes += e->ir.insn_offset[e->ir.insns] - e->ir.page_offset;
    e->counts.host_bytes += code->size;
    e->counts.line_bytes += code->line_size;
    count_calls(e);
    code->block->recompiled = code;
    code->loops = e->verify ? verify_loops(&e->ir) : 0;
    g_ptr_array_add(e->units, code);
    tcg_log_code(&e->ir, code, la);
    if (e->named)
        name_unit(code, la);
}

static void recompile(Cpu *cpu, Block *b)
{
    Engine *e = engine_of(cpu);
    Block *unit = code_make_unit(cpu, b, IR_MAX_INSNS);
    uint64_t la = cpu->rip; /* the segment is flat, and the block is about to run */
    e->ir.parallel = cpu->parallel;
    e->ir.kept = cpu->branches_kept;
    e->ir.traced = cpu->trace->exact;
    if (!unit || !translate(e, unit, la))
        return;
    e->ir.x87_top = cpu->fpu.top;
    e->ir.x87_tags = cpu->fpu.tags;
    UnitCode *code = e->backend->compile(e->back, &e->ir);
    if (!code) {
        code_flush(cpu->code);
        return;
    }
    adopt(e, code, la);
    b->host = e->verify ? cpu->code->no_host : code->entry;
}

static void engine_hot(Cpu *cpu, Block *b)
{
    Engine *e = engine_of(cpu);
    if (!(b->key & KEY_FLAT) || (b->key & KEY_SIZE) == SZ16)
        return;
    int64_t began = g_get_monotonic_time();
    recompile(cpu, b);
    e->counts.translating += g_get_monotonic_time() - began;
}

static void unlink_all(Engine *e, UnitCode *u)
{
    for (UnitExit *x = u->links; x; x = x->next)
        e->backend->link(e->back, x, NULL);
    u->links = NULL;
}

static void engine_drop(Cpu *cpu, Block *unit)
{
    Engine *e = engine_of(cpu);
    if (!unit->recompiled)
        return;
    e->counts.dropped++;
    unlink_all(e, unit->recompiled);
    e->backend->kill(e->back, unit->recompiled);
}

static void engine_flush(Cpu *cpu)
{
    Engine *e = engine_of(cpu);
    e->counts.flushes += e->units->len != 0;
    g_ptr_array_set_size(e->units, 0);
    e->backend->reset(e->back);
}

static void engine_release(Cpu *cpu)
{
    Engine *e = engine_of(cpu);
    g_ptr_array_free(e->units, TRUE);
    verify_free(e->verify);
    e->backend->destroy(e->back);
    g_free(e);
}

static const CodeEngine engine_ops = {
    engine_hot, engine_run, engine_unwound, engine_drop, engine_flush, engine_release,
};

bool tcg_available(void) { return backend_find() != NULL; }

bool tcg_attach(Cpu *cpu, const TcgConfig *config, GError **err)
{
    static const EngineCalls calls = { call_within, leave_by_exit, call_and_go_on, go_next, go_far, flags_image,
                                       trace_slots_full };
    const Backend *backend = backend_find();
    if (!backend) {
        g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOSYS, "-accel tcg: there is no recompiler for this host; use -accel interp");
        return false;
    }
    if (config->code_bytes > MAX_CODE_BYTES) {
        g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL, "-accel tcg,tb-size=: at most %u (MiB)",
                    MAX_CODE_BYTES >> 20);
        return false;
    }
    size_t code_bytes = config->code_bytes ? config->code_bytes : DEFAULT_CODE_BYTES;
    unsigned options = (config->counted || config->verify ? BACKEND_COUNTED : 0) | (config->narrow ? BACKEND_NARROW : 0);
    void *back = backend->create(code_bytes, &calls, options, err);
    if (!back)
        return false;
    Engine *e = g_new0(Engine, 1);
    e->backend = backend;
    e->back = back;
    e->code_bytes = code_bytes;
    e->named = config->named;
    e->verify = config->verify ? verify_new() : NULL;
    e->units = g_ptr_array_new_with_free_func(g_free);
    CodeCache *c = cpu->code;
    c->hot_after = config->hot_after ? config->hot_after : DEFAULT_HOT_AFTER;
    c->no_host = backend->unknown(back);
    c->engine_data = e;
    c->engine = &engine_ops;
    code_flush(c);
    return true;
}
