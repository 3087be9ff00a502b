/*
 * The machine: main loop, run states, requests, reset, and the saved form of it all.
 *
 * The saved form, all little-endian:
 *
 *   "MYNASAVE", u32 version
 *   sections: u16 length of the name (0: the last), the name, u16 length of the type, the type, u64 size, the bytes
 *
 * "machine" holds what must agree and the virtual time, "ram" the pages of the pool that are not zero (in runs: u64
 * first page, u32 pages, the pages; ended by a run of none), "device/ID" and "state/NAME" tables of core/state.h.
 */
#include "core/machine.h"

#include <inttypes.h>
#include <string.h>
#ifdef G_OS_UNIX
#include <glib-unix.h>
#include <signal.h>
#endif

#include "core/error.h"
#include "core/log.h"
#include "util/bits.h"
#include "util/endian.h"

#define MEMORY_BITS 52
#define PORT_BITS 16
#define SAVE_MAGIC "MYNASAVE"
#define SAVE_VERSION 1
#define SAVE_MAX (UINT64_C(0xf0000000)) /* bytes of RAM: a GByteArray holds less than 4 GiB */

typedef struct ExtraState {
    char *name;
    const StateField *fields;
    void *object;
    void (*pre)(void *);
    void (*post)(void *);
} ExtraState;

typedef struct Request {
    RequestKind kind;
    bool guest;           /* who wants it */
    int status;
    char *reason;
} Request;

/* A Machine and what only this file sees of it. */
typedef struct MachineImpl {
    Machine machine;
    GSource *source;      /* carries requests out; its ready time is set when there are any */
    GPtrArray *extras;    /* ExtraState * */
    bool quitting, told_shutdown;
    const char *quit_reason;
    const Request *current; /* being carried out */
} MachineImpl;

typedef struct RequestSource {
    GSource base;
    Machine *machine;
} RequestSource;

static MachineImpl *impl(Machine *m)
{
    return (MachineImpl *)m;
}

static void request_free(void *data)
{
    Request *r = data;
    g_free(r->reason);
    g_free(r);
}

static void extra_free(void *data)
{
    ExtraState *e = data;
    g_free(e->name);
    g_free(e);
}

/* =============================================================================================== listeners ====== */

void machine_listen(Machine *m, const MachineListener *l)
{
    g_ptr_array_add(m->listeners, (gpointer)l);
}

void machine_unlisten(Machine *m, const MachineListener *l)
{
    g_ptr_array_remove(m->listeners, (gpointer)l);
}

/* Who is told may stop listening meanwhile. */
static void tell_event(Machine *m, const MachineEvent *e)
{
    g_autoptr(GPtrArray) all = NULL;

    machine_lock(m);
    all = g_ptr_array_copy(m->listeners, NULL, NULL);
    for (guint i = 0; i < all->len; i++) {
        const MachineListener *l = all->pdata[i];
        if (g_ptr_array_find(m->listeners, l, NULL))
            l->happened(l->opaque, e);
    }
    machine_unlock(m);
}

/* Something that the request under way, if any, has brought about. */
static void tell(Machine *m, MachineEventKind kind)
{
    const Request *r = impl(m)->current;
    tell_event(m, &(MachineEvent) { .kind = kind, .guest = r && r->guest, .reason = r ? r->reason : NULL,
                                    .no_reboot = kind == MACHINE_SHUTDOWN && r && r->kind == REQUEST_RESET });
}

/* ====================================================================================== run states and reset ===== */

static void set_run_state(Machine *m, RunState now)
{
    if (m->run_state == now)
        return;
    m->run_state = now;
    tell(m, MACHINE_RUN_STATE);
}

/*
 * Stops the CPU threads.  One of them may wait for the machine lock in the middle of an instruction, so the lock must
 * be free meanwhile, however often this thread holds it.
 */
static void cpus_pause(Machine *m)
{
    unsigned depth;

    if (!m->cpu_ops)
        return;
    machine_lock(m);
    depth = m->lock_depth;
    for (unsigned i = 0; i < depth; i++)
        machine_unlock(m);
    m->cpu_ops->pause(m->cpu_opaque);
    for (unsigned i = 1; i < depth; i++)
        machine_lock(m);
}

static void cpus_resume(Machine *m)
{
    if (m->cpu_ops)
        m->cpu_ops->resume(m->cpu_opaque);
}

static void machine_stop(Machine *m, RunState now)
{
    if (m->run_state == RUN_RUNNING) {
        cpus_pause(m);
        clock_stop(m->clocks);
    }
    set_run_state(m, now);
}

void machine_pause(Machine *m)
{
    if (m->run_state == RUN_RUNNING)
        machine_stop(m, RUN_PAUSED);
}

void machine_resume(Machine *m)
{
    if (m->run_state != RUN_PAUSED)
        return;
    clock_start(m->clocks);
    set_run_state(m, RUN_RUNNING);
    cpus_resume(m);
}

void machine_reset(Machine *m)
{
    machine_lock(m);
    for (unsigned i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];
        if (dev->type->reset)
            dev->type->reset(dev);
    }
    if (m->cpu_ops)
        m->cpu_ops->reset(m->cpu_opaque);
    tell(m, MACHINE_RESET);
    machine_unlock(m);
    if (m->run_state == RUN_SHUTDOWN && !impl(m)->quitting)
        set_run_state(m, RUN_PAUSED);
}

/* ================================================================================================= requests ====== */

static void source_wake(Machine *m)
{
    g_source_set_ready_time(impl(m)->source, 0);
}

/* Whether a request of that kind waits; with the lock. */
static bool request_waits(Machine *m, RequestKind kind)
{
    for (GList *l = m->requests->head; l; l = l->next) {
        if (((Request *)l->data)->kind == kind)
            return true;
    }
    return false;
}

static void request_add(Machine *m, RequestKind kind, bool guest, int status, const char *reason)
{
    machine_lock(m);
    if (!request_waits(m, kind)) {
        Request *r = g_new0(Request, 1);
        *r = (Request) { .kind = kind, .guest = guest, .status = status, .reason = g_strdup(reason) };
        g_queue_push_tail(m->requests, r);
    }
    machine_unlock(m);
    source_wake(m);
}

void machine_request_reset(Machine *m, const char *reason)
{
    request_add(m, REQUEST_RESET, true, 0, reason);
}

void machine_press_reset(Machine *m, const char *reason)
{
    request_add(m, REQUEST_RESET, false, 0, reason);
}

void machine_request_wake(Machine *m, const char *reason)
{
    request_add(m, REQUEST_WAKE, true, 0, reason);
}

void machine_request_shutdown(Machine *m, int status, const char *reason)
{
    request_add(m, REQUEST_SHUTDOWN, true, status, reason);
}

void machine_request_powerdown(Machine *m)
{
    request_add(m, REQUEST_POWERDOWN, false, 0, NULL);
}

static void quit_for(Machine *m, int status, const char *reason)
{
    machine_lock(m);
    if (!impl(m)->quitting) {
        m->exit_status = status;
        impl(m)->quit_reason = reason;
    }
    impl(m)->quitting = true;
    machine_unlock(m);
    source_wake(m);
}

void machine_quit(Machine *m, int status)
{
    quit_for(m, status, NULL);
}

void machine_quit_by_signal(Machine *m)
{
    quit_for(m, 0, "signal");
}

static Request *request_take(Machine *m)
{
    machine_lock(m);
    Request *r = g_queue_pop_head(m->requests);
    machine_unlock(m);
    return r;
}

/* Drops resets that CPUs asked for before they were paused for this one. */
static void requests_drop_resets(Machine *m)
{
    machine_lock(m);
    for (GList *l = m->requests->head, *next; l; l = next) {
        next = l->next;
        if (((Request *)l->data)->kind == REQUEST_RESET) {
            request_free(l->data);
            g_queue_delete_link(m->requests, l);
        }
    }
    machine_unlock(m);
}

static const char *reason_text(const Request *r)
{
    return r->reason ? r->reason : "no reason given";
}

static void carry_out_shutdown(Machine *m, const Request *r)
{
    log_printf(LOG_CPU_RESET, "shutdown: %s\n", reason_text(r));
    tell(m, MACHINE_SHUTDOWN);
    if (!m->no_shutdown) {
        impl(m)->told_shutdown = true;
        machine_quit(m, r->status);
        return;
    }
    log_user("the guest has shut down (%s); paused, as -no-shutdown says", reason_text(r));
    m->exit_status = r->status;
    machine_stop(m, RUN_SHUTDOWN);
}

static void reset_now(Machine *m, const Request *r)
{
    bool running = m->run_state == RUN_RUNNING;

    log_printf(LOG_CPU_RESET, "reset: %s\n", reason_text(r));
    if (running)
        cpus_pause(m);
    requests_drop_resets(m);
    machine_reset(m);
    if (running)
        cpus_resume(m);
}

static void carry_out_reset(Machine *m, const Request *r)
{
    if (!m->no_reboot) {
        reset_now(m, r);
        return;
    }
    log_user("the guest resets (%s); shut down, as -no-reboot says", reason_text(r));
    carry_out_shutdown(m, r);
}

static void carry_out_wake(Machine *m, const Request *r)
{
    m->waking = true;
    reset_now(m, r);
    m->waking = false;
    tell(m, MACHINE_WAKE);
}

static void carry_out_powerdown(Machine *m)
{
    machine_lock(m);
    if (m->powerdown)
        m->powerdown(m->powerdown_opaque);
    machine_unlock(m);
    tell(m, MACHINE_POWERDOWN);
}

static void carry_out(Machine *m, const Request *r)
{
    impl(m)->current = r;
    switch (r->kind) {
    case REQUEST_RESET: carry_out_reset(m, r); break;
    case REQUEST_WAKE: carry_out_wake(m, r); break;
    case REQUEST_SHUTDOWN: carry_out_shutdown(m, r); break;
    case REQUEST_POWERDOWN: carry_out_powerdown(m); break;
    case REQUEST_NONE: break;
    }
    impl(m)->current = NULL;
}

static void end_loop(Machine *m)
{
    if (!impl(m)->told_shutdown)
        tell_event(m, &(MachineEvent) { .kind = MACHINE_SHUTDOWN, .reason = impl(m)->quit_reason });
    impl(m)->told_shutdown = true;
    g_main_loop_quit(m->loop);
}

static gboolean requests_dispatch(GSource *source, GSourceFunc fn, gpointer data)
{
    Machine *m = ((RequestSource *)source)->machine;
    Request *r;
    (void)fn;
    (void)data;

    g_source_set_ready_time(source, -1);
    while (!impl(m)->quitting && (r = request_take(m))) {
        carry_out(m, r);
        request_free(r);
    }
    if (impl(m)->quitting)
        end_loop(m);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs request_source_funcs = { .dispatch = requests_dispatch };

static GSource *request_source_new(Machine *m)
{
    GSource *source = g_source_new(&request_source_funcs, sizeof(RequestSource));

    ((RequestSource *)source)->machine = m;
    g_source_set_name(source, "myna requests");
    g_source_attach(source, m->context);
    return source;
}

/* ================================================================================================= main loop ===== */

#ifdef G_OS_UNIX
#define SIGNALS 3

static gboolean quit_by_signal(gpointer data)
{
    machine_quit_by_signal(data);
    return G_SOURCE_CONTINUE;
}

/* Ends by SIGINT, SIGTERM or SIGHUP go through the main loop, so that files are closed and the terminal is restored. */
static void signals_attach(Machine *m, GSource *sources[SIGNALS])
{
    static const int numbers[SIGNALS] = { SIGINT, SIGTERM, SIGHUP };

    for (unsigned i = 0; i < SIGNALS; i++) {
        sources[i] = g_unix_signal_source_new(numbers[i]);
        g_source_set_callback(sources[i], quit_by_signal, m, NULL);
        g_source_attach(sources[i], m->context);
    }
}

static void signals_detach(GSource *sources[SIGNALS])
{
    for (unsigned i = 0; i < SIGNALS; i++) {
        g_source_destroy(sources[i]);
        g_source_unref(sources[i]);
    }
}
#endif

int machine_run(Machine *m, bool paused)
{
#ifdef G_OS_UNIX
    GSource *signals[SIGNALS];
    signals_attach(m, signals);
#endif
    if (!paused && !impl(m)->quitting)
        machine_resume(m);
    g_main_loop_run(m->loop);
    machine_stop(m, RUN_SHUTDOWN);
#ifdef G_OS_UNIX
    signals_detach(signals);
#endif
    return m->exit_status;
}

/* ============================================================================================ making, freeing ==== */

Machine *machine_new(uint64_t pool_reserve, GError **err)
{
    RamPool *pool = ram_pool_new(pool_reserve, err);

    if (!pool)
        return NULL;
    MachineImpl *all = g_new0(MachineImpl, 1);
    Machine *m = &all->machine;
    g_rec_mutex_init(&m->lock);
    m->context = g_main_context_ref(g_main_context_default()); /* as GUI toolkits know no other */
    m->loop = g_main_loop_new(m->context, FALSE);
    m->pool = pool;
    m->memory = as_new("memory", MEMORY_BITS, pool, &m->lock);
    m->ports = as_new("I/O", PORT_BITS, pool, &m->lock);
    m->clocks = clocks_new(m->context, &m->lock);
    m->input = input_new();
    m->devices = g_ptr_array_new();
    m->slots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    m->requests = g_queue_new();
    m->listeners = g_ptr_array_new();
    m->run_state = RUN_PAUSED;
    all->extras = g_ptr_array_new_with_free_func(extra_free);
    all->source = request_source_new(m);
    return m;
}

void machine_free(Machine *m)
{
    while (m->devices->len)
        device_remove(m->devices->pdata[m->devices->len - 1]);
    g_source_destroy(impl(m)->source);
    g_source_unref(impl(m)->source);
    g_queue_free_full(m->requests, request_free);
    g_ptr_array_free(impl(m)->extras, TRUE);
    g_ptr_array_free(m->devices, TRUE);
    g_ptr_array_free(m->listeners, TRUE);
    g_hash_table_destroy(m->slots);
    input_free(m->input);
    clocks_free(m->clocks);
    as_free(m->memory);
    as_free(m->ports);
    ram_pool_free(m->pool);
    g_main_loop_unref(m->loop);
    g_main_context_unref(m->context);
    g_rec_mutex_clear(&m->lock);
    g_free(m);
}

void machine_provide(Machine *m, const char *name, void *object)
{
    if (object)
        g_hash_table_replace(m->slots, g_strdup(name), object);
    else
        g_hash_table_remove(m->slots, name);
}

void *machine_find(Machine *m, const char *name)
{
    return g_hash_table_lookup(m->slots, name);
}

void machine_provide_backend(Machine *m, const char *kind, const char *id, void *backend)
{
    g_autofree char *name = g_strconcat(kind, ":", id, NULL);
    machine_provide(m, name, backend);
}

void *machine_find_backend(Machine *m, const char *kind, const char *id)
{
    g_autofree char *name = g_strconcat(kind, ":", id, NULL);
    return machine_find(m, name);
}

void machine_add_state(Machine *m, const char *name, const StateField *fields, void *object, void (*pre)(void *),
                       void (*post)(void *))
{
    ExtraState *e = g_new0(ExtraState, 1);

    *e = (ExtraState) { .name = g_strdup(name), .fields = fields, .object = object, .pre = pre, .post = post };
    g_ptr_array_add(impl(m)->extras, e);
}

/* ==================================================================================================== saving ===== */

/* What must agree between the saved machine and this one, and its time. */
typedef struct Header {
    uint64_t ram_size, pool_size;
    uint32_t cpu_count;
    uint64_t virtual_time;
} Header;

static const StateField header_state[] = {
    STATE_U64(Header, ram_size), STATE_U64(Header, pool_size), STATE_U32(Header, cpu_count),
    STATE_U64(Header, virtual_time), STATE_END
};

static Header machine_header(Machine *m)
{
    return (Header) { m->ram_size, m->pool->size, m->cpu_count, clock_now(m->clocks, MYNA_CLOCK_VIRTUAL) };
}

static uint64_t pool_pages(const RamPool *pool)
{
    return pool->size >> RAM_PAGE_BITS;
}

static uint8_t *pool_page(const RamPool *pool, uint64_t page)
{
    return pool->host + (page << RAM_PAGE_BITS);
}

static bool page_is_zero(const uint8_t *p)
{
    return !p[0] && !memcmp(p, p + 1, RAM_PAGE_SIZE - 1);
}

static void put(GByteArray *out, uint64_t v, unsigned size)
{
    uint8_t bytes[8];
    stle(bytes, v, size);
    g_byte_array_append(out, bytes, size);
}

static void put_string(GByteArray *out, const char *text)
{
    size_t length = MIN(strlen(text), UINT16_MAX);
    put(out, length, 2);
    g_byte_array_append(out, (const uint8_t *)text, length);
}

/* Begins a section; returns where its size has to be put. */
static guint section_begin(GByteArray *out, const char *name, const char *type)
{
    put_string(out, name);
    put_string(out, type);
    put(out, 0, 8);
    return out->len - 8;
}

static void section_end(GByteArray *out, guint size_at)
{
    st64le(out->data + size_at, out->len - size_at - 8);
}

static void save_table(GByteArray *out, const char *prefix, const char *name, const char *type,
                       const StateField *fields, const void *object)
{
    g_autofree char *full = g_strconcat(prefix, name, NULL);
    guint at = section_begin(out, full, type);

    state_save(fields, object, out);
    section_end(out, at);
}

/* Bytes of RAM to be saved. */
static uint64_t ram_used(const RamPool *pool)
{
    uint64_t used = 0;

    for (uint64_t page = 0; page < pool_pages(pool); page++)
        used += page_is_zero(pool_page(pool, page)) ? 0 : RAM_PAGE_SIZE + 12; /* at worst a run each */
    return used;
}

static void save_ram(const RamPool *pool, GByteArray *out)
{
    guint at = section_begin(out, "ram", "pages"), count_at = 0;
    uint32_t count = 0;

    for (uint64_t page = 0; page < pool_pages(pool); page++) {
        const uint8_t *bytes = pool_page(pool, page);
        if (page_is_zero(bytes)) {
            count = 0;
            continue;
        }
        if (!count++) {
            put(out, page, 8);
            count_at = out->len;
            put(out, 0, 4);
        }
        g_byte_array_append(out, bytes, RAM_PAGE_SIZE);
        st32le(out->data + count_at, count);
    }
    put(out, 0, 8);
    put(out, 0, 4);
    section_end(out, at);
}

/* Lets everyone bring their fields up to date. */
static void run_pre_save(Machine *m)
{
    for (unsigned i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];
        if (dev->type->pre_save)
            dev->type->pre_save(dev);
    }
    for (unsigned i = 0; i < impl(m)->extras->len; i++) {
        ExtraState *e = impl(m)->extras->pdata[i];
        if (e->pre)
            e->pre(e->object);
    }
}

static void save_all(Machine *m, GByteArray *out)
{
    Header header = machine_header(m);

    g_byte_array_append(out, (const uint8_t *)SAVE_MAGIC, 8);
    put(out, SAVE_VERSION, 4);
    save_table(out, "", "machine", "machine", header_state, &header);
    save_ram(m->pool, out);
    for (unsigned i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];
        save_table(out, "device/", dev->id, dev->type->name, dev->type->state, dev);
    }
    for (unsigned i = 0; i < impl(m)->extras->len; i++) {
        const ExtraState *e = impl(m)->extras->pdata[i];
        save_table(out, "state/", e->name, "state", e->fields, e->object);
    }
    put(out, 0, 2);
}

/* Transfers under way end, which changes memory and devices. */
static bool settle(Machine *m)
{
    g_autoptr(GError) err = NULL;

    if (!m->settle || m->settle(m, false, &err))
        return true;
    log_user("cannot save the machine: %s", err->message);
    return false;
}

GByteArray *machine_save(Machine *m)
{
    GByteArray *out = NULL;

    machine_lock(m);
    if (!settle(m)) {
        machine_unlock(m);
        return NULL;
    }
    run_pre_save(m);
    uint64_t used = ram_used(m->pool);
    if (used > SAVE_MAX) {
        log_user("cannot save the machine: %" PRIu64 " MiB of guest memory are in use; at most %" PRIu64 " can be",
                 used / MiB, SAVE_MAX / MiB);
    } else {
        out = g_byte_array_sized_new(used + 64 * KiB);
        save_all(m, out);
    }
    machine_unlock(m);
    return out;
}

/* =================================================================================================== loading ===== */

typedef struct Section {
    char *name, *type;
    const uint8_t *data;
    uint64_t size;
    bool wanted;
} Section;

typedef struct Reader {
    const uint8_t *data;
    size_t size, pos;
} Reader;

static void section_free(void *data)
{
    Section *s = data;
    g_free(s->name);
    g_free(s->type);
    g_free(s);
}

/* The next n bytes, or NULL when there are not so many. */
static const uint8_t *reader_take(Reader *r, uint64_t n)
{
    if (n > r->size - r->pos)
        return NULL;
    r->pos += n;
    return r->data + r->pos - n;
}

static bool reader_number(Reader *r, unsigned size, uint64_t *v)
{
    const uint8_t *p = reader_take(r, size);
    *v = p ? ldle(p, size) : 0;
    return p != NULL;
}

static bool reader_string(Reader *r, char **text)
{
    uint64_t length;
    const uint8_t *p;

    *text = NULL;
    if (!reader_number(r, 2, &length) || !(p = reader_take(r, length)))
        return false;
    *text = g_strndup((const char *)p, length);
    return true;
}

static bool reader_section(Reader *r, Section *s)
{
    return reader_string(r, &s->name) &&
           (!*s->name || (reader_string(r, &s->type) && reader_number(r, 8, &s->size) &&
                          (s->data = reader_take(r, s->size))));
}

/* Splits a saved machine into its sections (of Section *); NULL with *err. */
static GPtrArray *sections_read(const uint8_t *data, size_t size, GError **err)
{
    Reader r = { data, size, 0 };
    const uint8_t *magic = reader_take(&r, 8);
    GPtrArray *sections;
    uint64_t version;

    if (!magic || memcmp(magic, SAVE_MAGIC, 8) || !reader_number(&r, 4, &version)) {
        error_set(err, "this is not a saved machine: it does not begin with " SAVE_MAGIC);
        return NULL;
    }
    if (version != SAVE_VERSION) {
        error_set(err, "the saved machine has version %" PRIu64 "; this program reads version %d", version,
                  SAVE_VERSION);
        return NULL;
    }
    sections = g_ptr_array_new_with_free_func(section_free);
    for (;;) {
        Section *s = g_new0(Section, 1);
        g_ptr_array_add(sections, s);
        if (!reader_section(&r, s)) {
            error_set(err, "the saved machine is cut off after %zu bytes", size);
            g_ptr_array_unref(sections);
            return NULL;
        }
        if (!*s->name) {
            g_ptr_array_set_size(sections, sections->len - 1);
            return sections;
        }
    }
}

/* Finds a section that this machine needs, and marks it. */
static Section *section_want(GPtrArray *sections, const char *prefix, const char *name, const char *type, GError **err)
{
    g_autofree char *full = g_strconcat(prefix, name, NULL);

    for (unsigned i = 0; i < sections->len; i++) {
        Section *s = sections->pdata[i];
        if (strcmp(s->name, full))
            continue;
        if (strcmp(s->type, type)) {
            error_set(err, "the saved machine's %s is of type %s, here it is %s", full, s->type, type);
            return NULL;
        }
        s->wanted = true;
        return s;
    }
    error_set(err, "the saved machine lacks %s (%s)", full, type);
    return NULL;
}

/* Whether the saved machine has all parts of this one, and no others. */
static gboolean sections_check(Machine *m, GPtrArray *sections, GError **err)
{
    if (!section_want(sections, "", "machine", "machine", err) || !section_want(sections, "", "ram", "pages", err))
        return FALSE;
    for (unsigned i = 0; i < m->devices->len; i++) {
        const Device *dev = m->devices->pdata[i];
        if (!section_want(sections, "device/", dev->id, dev->type->name, err))
            return FALSE;
    }
    for (unsigned i = 0; i < impl(m)->extras->len; i++) {
        const ExtraState *e = impl(m)->extras->pdata[i];
        if (!section_want(sections, "state/", e->name, "state", err))
            return FALSE;
    }
    for (unsigned i = 0; i < sections->len; i++) {
        const Section *s = sections->pdata[i];
        if (!s->wanted)
            return error_set(err, "the saved machine has %s (%s), which this machine lacks", s->name, s->type);
    }
    return TRUE;
}

static gboolean load_table(GPtrArray *sections, const char *prefix, const char *name, const char *type,
                           const StateField *fields, void *object, GError **err)
{
    const Section *s = section_want(sections, prefix, name, type, err);
    size_t pos = 0;

    if (!s || !state_load(fields, object, name, s->data, s->size, &pos, err))
        return FALSE;
    if (pos != s->size)
        return error_set(err, "%s: the saved state has %" PRIu64 " bytes too many", name, s->size - pos);
    return TRUE;
}

static gboolean load_header(Machine *m, GPtrArray *sections, Header *saved, GError **err)
{
    Header here = machine_header(m);

    if (!load_table(sections, "", "machine", "machine", header_state, saved, err))
        return FALSE;
    if (saved->ram_size != here.ram_size)
        return error_set(err, "the saved machine has %" PRIu64 " MiB of RAM, this one %" PRIu64, saved->ram_size / MiB,
                         here.ram_size / MiB);
    if (saved->pool_size != here.pool_size)
        return error_set(err, "the saved machine has %" PRIu64 " KiB of RAM, ROM and video memory, this one %" PRIu64,
                         saved->pool_size / KiB, here.pool_size / KiB);
    if (saved->cpu_count != here.cpu_count)
        return error_set(err, "the saved machine has %u CPUs, this one %u", saved->cpu_count, here.cpu_count);
    return TRUE;
}

/* Gives a page its saved content, NULL meaning zeros; pages that have it already stay untouched. */
static void page_restore(RamPool *pool, uint64_t page, const uint8_t *bytes)
{
    uint8_t *to = pool_page(pool, page);

    if (bytes ? !memcmp(to, bytes, RAM_PAGE_SIZE) : page_is_zero(to))
        return;
    if (bytes)
        memcpy(to, bytes, RAM_PAGE_SIZE);
    else
        memset(to, 0, RAM_PAGE_SIZE);
    ram_mark_written(pool, page << RAM_PAGE_BITS, RAM_PAGE_SIZE);
}

static gboolean load_ram(Machine *m, const Section *s, GError **err)
{
    Reader r = { s->data, s->size, 0 };
    uint64_t next = 0, pages = pool_pages(m->pool), first, count;

    do {
        if (!reader_number(&r, 8, &first) || !reader_number(&r, 4, &count))
            return error_set(err, "ram: the saved state ends between runs of pages");
        if (count && (first < next || first > pages || count > pages - first))
            return error_set(err, "ram: the saved state has a run of %" PRIu64 " pages at page %" PRIu64 " of %" PRIu64,
                             count, first, pages);
        for (uint64_t last = count ? first : pages; next < last; next++)
            page_restore(m->pool, next, NULL);
        for (uint64_t i = 0; i < count; i++, next++) {
            const uint8_t *bytes = reader_take(&r, RAM_PAGE_SIZE);
            if (!bytes)
                return error_set(err, "ram: the saved state ends within page %" PRIu64, next);
            page_restore(m->pool, next, bytes);
        }
    } while (count);
    return TRUE;
}

/* Loads every field of every part. */
static gboolean load_all(Machine *m, GPtrArray *sections, GError **err)
{
    Header header = { 0 };

    if (!load_header(m, sections, &header, err))
        return FALSE;
    if (!load_ram(m, section_want(sections, "", "ram", "pages", err), err))
        return FALSE;
    clock_set(m->clocks, header.virtual_time);
    for (unsigned i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];
        if (!load_table(sections, "device/", dev->id, dev->type->name, dev->type->state, dev, err))
            return FALSE;
    }
    for (unsigned i = 0; i < impl(m)->extras->len; i++) {
        const ExtraState *e = impl(m)->extras->pdata[i];
        if (!load_table(sections, "state/", e->name, "state", e->fields, e->object, err))
            return FALSE;
    }
    return TRUE;
}

/* Lets everyone recompute what follows from fields, once all fields of all parts are there. */
static gboolean run_post_load(Machine *m, GError **err)
{
    for (unsigned i = 0; i < m->devices->len; i++) {
        Device *dev = m->devices->pdata[i];
        if (dev->type->post_load && !dev->type->post_load(dev, err))
            return FALSE;
    }
    for (unsigned i = 0; i < impl(m)->extras->len; i++) {
        const ExtraState *e = impl(m)->extras->pdata[i];
        if (e->post)
            e->post(e->object);
    }
    return TRUE;
}

gboolean machine_load(Machine *m, const uint8_t *data, size_t size, GError **err)
{
    g_autoptr(GPtrArray) sections = sections_read(data, size, err);
    gboolean ok;

    if (!sections)
        return FALSE;
    machine_lock(m);
    if (m->settle)
        m->settle(m, true, NULL);
    as_batch_begin(m->memory);
    as_batch_begin(m->ports);
    ok = sections_check(m, sections, err) && load_all(m, sections, err) && run_post_load(m, err);
    as_batch_end(m->ports);
    as_batch_end(m->memory);
    machine_unlock(m);
    return ok;
}
