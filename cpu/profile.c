/* Samples by call stack (profile.h). */
#include "cpu/profile.h"

#include "core/machine.h"
#include "cpu/mmu.h"
#include "cpu/trace.h"
#include "util/endian.h"

struct Profile {
    GMutex lock;
    GHashTable *stacks; /* GBytes of uint64_t frames to uint64_t * */
    uint64_t samples;
};

Profile *profile_new(void)
{
    Profile *p = g_new0(Profile, 1);
    g_mutex_init(&p->lock);
    p->stacks = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, g_free);
    return p;
}

void profile_free(Profile *p)
{
    if (!p)
        return;
    g_hash_table_destroy(p->stacks);
    g_mutex_clear(&p->lock);
    g_free(p);
}

/* An aligned word of the stack, which must be RAM: a read of a device may do something. */
static bool read_stack(Cpu *cpu, uint64_t la, unsigned size, uint64_t *v)
{
    Translation t;
    if ((la & (size - 1)) || !mmu_walk(cpu, la, &t))
        return false;
    AsTarget target = as_lookup(cpu->machine->memory, t.gpa);
    if (!target.host || target.room < size)
        return false;
    *v = ldle(target.host, size);
    return true;
}

/* Frames of callers, whose frame pointers rise. */
static unsigned walk_callers(Cpu *cpu, uint64_t *frames, unsigned max)
{
    unsigned n = 0, size = cpu->code_size == SZ64 ? 8 : 4;
    uint64_t base = cpu->code_size == SZ64 ? 0 : cpu->seg[SEG_SS].base, bp = cpu->gpr[R_BP] & cpu->sp_mask;
    while (n < max && cpu->code_size != SZ16) {
        uint64_t next, ret;
        if (!read_stack(cpu, base + bp, size, &next) || !read_stack(cpu, base + bp + size, size, &ret) || !ret)
            break;
        frames[n++] = trace_linear(cpu, trace_linear_base(cpu), ret);
        if (next <= bp)
            break;
        bp = next;
    }
    return n;
}

static void count_stack(Profile *p, const uint64_t *frames, unsigned n)
{
    if (n && g_hash_table_size(p->stacks) >= PROFILE_MAX_STACKS) {
        g_autoptr(GBytes) key = g_bytes_new(frames, n * sizeof *frames);
        n = g_hash_table_contains(p->stacks, key) ? n : 0;
    }
    GBytes *key = g_bytes_new(frames, n * sizeof *frames);
    uint64_t *count = g_hash_table_lookup(p->stacks, key);
    p->samples++;
    if (count) {
        ++*count;
        g_bytes_unref(key);
        return;
    }
    count = g_new(uint64_t, 1);
    *count = 1;
    g_hash_table_insert(p->stacks, key, count);
}

void profile_sample(Profile *p, Cpu *cpu)
{
    uint64_t frames[PROFILE_MAX_FRAMES];
    frames[0] = trace_linear(cpu, trace_linear_base(cpu), cpu->rip);
    unsigned n = 1 + walk_callers(cpu, frames + 1, PROFILE_MAX_FRAMES - 1);
    g_mutex_lock(&p->lock);
    count_stack(p, frames, n);
    g_mutex_unlock(&p->lock);
}

uint64_t profile_samples(const Profile *p) { return p->samples; }

void profile_foreach(const Profile *p, ProfileFn *fn, void *opaque)
{
    GHashTableIter it;
    gpointer key, count;
    g_hash_table_iter_init(&it, p->stacks);
    while (g_hash_table_iter_next(&it, &key, &count)) {
        gsize size;
        const uint64_t *frames = g_bytes_get_data(key, &size);
        fn(opaque, frames, size / sizeof *frames, *(const uint64_t *)count);
    }
}
