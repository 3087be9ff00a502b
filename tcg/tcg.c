/* The engine: what becomes hot is translated, linked and dropped (tcg.h; overview in ir.h). */
#include "tcg/tcg.h"

#include "core/log.h"
#include "cpu/code.h"
#include "cpu/flags.h"
#include "tcg/backend.h"
#include "tcg/record.h"

#define DEFAULT_CODE_BYTES (64u << 20)
#define DEFAULT_HOT_AFTER 32

typedef struct Engine {
    const Backend *backend;
    void *back;
    GPtrArray *units;  /* UnitCode * */
    IrUnit ir;         /* being compiled */
} Engine;

static Engine *engine_of(const Cpu *cpu) { return cpu->code->engine_data; }

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
    if (must_leave(cpu))
        return e->backend->leave(e->back);
    Block *b = *found = code_lookup(cpu, cpu->rip);
    if (!b->host)
        return e->backend->leave(e->back);
    cpu->rec.page = cpu->rip & GUEST_PAGE_MASK;
    jump_entry(cpu, cpu->rip)->host = b->host;
    return b->host;
}

static const uint8_t *go_next(Cpu *cpu)
{
    Block *b;
    return go_on(cpu, &b);
}

static void link_exit(Engine *e, UnitExit *x, UnitCode *to)
{
    e->backend->link(e->back, x, to);
    x->next = to->links;
    to->links = x;
}

static const uint8_t *leave_by_exit(Cpu *cpu, UnitExit *x)
{
    Block *b;
    cpu->rip = (cpu->rec.page + x->page_offset) & cpu->rip_mask;
    const uint8_t *to = go_on(cpu, &b);
    if (b && b->host && b->peer && x->field && x->unit->block->key == b->key)
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
    flags_record_settle(cpu);
    cpu->rec.here = false;
}

static void engine_run(Cpu *cpu, Block *b)
{
    Engine *e = engine_of(cpu);
    cpu->rec.page = cpu->rip & GUEST_PAGE_MASK;
    cpu->rec.here = true;
    jump_entry(cpu, cpu->rip)->host = b->host;
    cpu->code->current = NULL;
    cpu->insn_end = b->insn; /* anything but NULL */
    e->backend->enter(e->back, cpu, b->host);
    become_whole(cpu);
}

static void engine_hot(Cpu *cpu, Block *b)
{
    Engine *e = engine_of(cpu);
    if (!(b->key & KEY_FLAT) || (b->key & KEY_SIZE) == SZ16)
        return;
    Block *unit = code_make_unit(cpu, b, IR_MAX_INSNS);
    if (!unit)
        return;
    ir_lower(&e->ir, unit);
    ir_find_live_flags(&e->ir);
    UnitCode *code = e->backend->compile(e->back, &e->ir);
    if (!code) {
        code_flush(cpu->code);
        return;
    }
    unit->recompiled = code;
    g_ptr_array_add(e->units, code);
    b->host = code->entry;
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
    unlink_all(e, unit->recompiled);
    e->backend->kill(e->back, unit->recompiled);
}

static void engine_flush(Cpu *cpu)
{
    Engine *e = engine_of(cpu);
    g_ptr_array_set_size(e->units, 0);
    e->backend->reset(e->back);
}

static void engine_release(Cpu *cpu)
{
    Engine *e = engine_of(cpu);
    g_ptr_array_free(e->units, TRUE);
    e->backend->destroy(e->back);
    g_free(e);
}

static const CodeEngine engine_ops = {
    engine_hot, engine_run, become_whole, engine_drop, engine_flush, engine_release,
};

bool tcg_available(void) { return backend_find() != NULL; }

bool tcg_attach(Cpu *cpu, const TcgConfig *config, GError **err)
{
    static const EngineCalls calls = { call_semantics, leave_by_exit, go_next, flags_image };
    const Backend *backend = backend_find();
    if (!backend) {
        g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOSYS, "-accel tcg: there is no recompiler for this host; use -accel interp");
        return false;
    }
    void *back = backend->create(config->code_bytes ? config->code_bytes : DEFAULT_CODE_BYTES, &calls, config->counted, err);
    if (!back)
        return false;
    Engine *e = g_new0(Engine, 1);
    e->backend = backend;
    e->back = back;
    e->units = g_ptr_array_new_with_free_func(g_free);
    CodeCache *c = cpu->code;
    c->hot_after = config->hot_after ? config->hot_after : DEFAULT_HOT_AFTER;
    c->no_host = backend->unknown(back);
    c->engine_data = e;
    c->engine = &engine_ops;
    code_flush(c);
    return true;
}
