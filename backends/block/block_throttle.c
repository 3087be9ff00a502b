/*
 * Limits of bytes and transfers in a second, as leaky buckets.  Each transfer fills a bucket by what it is; it leaks
 * with the average rate, and who finds it too full waits until it has leaked enough.  A bucket holds a tenth of a second
 * of the average, or with a burst as much as comes at `max` in max_length seconds; a second bucket, which leaks with
 * that rate, then keeps the burst within it.  Time is the machine's own: a machine that is paused does not catch up.
 */
#include <math.h>
#include <string.h>

#include "backends/block/block_internal.h"
#include "core/error.h"

typedef struct Bucket {
    double level, burst;
} Bucket;

/* What drives share; one without throttling.group has its own. */
struct ThrottleGroup {
    char *name;
    unsigned users;
    BlockThrottle limits;
    Bucket bucket[THROTTLE_KINDS];
    int64_t leaked;   /* when, in virtual time */
};

#define SLICE 0.1     /* seconds that a bucket without a burst holds */

static bool is_bytes(unsigned kind) { return kind < THROTTLE_IOPS_TOTAL; }

/* Which limits count for a direction: 0 reading, 1 writing. */
static bool counts(unsigned kind, unsigned direction)
{
    return kind % 3 == 0 || kind % 3 == 1 + direction;
}

static unsigned direction_of(const BlockRequest *r) { return r->operation != OP_READ; }

/* ---- buckets ---- */

static void leak(ThrottleGroup *g, int64_t now)
{
    double seconds = now > g->leaked ? (double)(now - g->leaked) / NS_PER_SECOND : 0;

    for (unsigned k = 0; k < THROTTLE_KINDS; k++) {
        g->bucket[k].level = fmax(0, g->bucket[k].level - seconds * g->limits.limit[k].average);
        g->bucket[k].burst = fmax(0, g->bucket[k].burst - seconds * g->limits.limit[k].max);
    }
    g->leaked = now;
}

static double bucket_wait(const Bucket *b, const BlockLimit *l)
{
    double length = l->max_length ? l->max_length : 1;
    double room = l->max ? l->max * length : l->average * SLICE;
    double wait = fmax(0, b->level - room) / l->average;

    return l->max && length > 1 ? fmax(wait, (b->burst - l->max * SLICE) / l->max) : wait;
}

/* Seconds until a transfer may start; 0: now. */
static double time_to_wait(ThrottleGroup *g, unsigned direction, int64_t now)
{
    double wait = 0;

    leak(g, now);
    for (unsigned k = 0; k < THROTTLE_KINDS; k++) {
        if (counts(k, direction) && g->limits.limit[k].average)
            wait = fmax(wait, bucket_wait(&g->bucket[k], &g->limits.limit[k]));
    }
    return wait;
}

static void charge(ThrottleGroup *g, const BlockRequest *r)
{
    uint64_t unit = g->limits.iops_size;
    double transfers = unit && r->size > unit ? ceil((double)r->size / unit) : 1;

    for (unsigned k = 0; k < THROTTLE_KINDS; k++) {
        if (!counts(k, direction_of(r)))
            continue;
        g->bucket[k].level += is_bytes(k) ? r->size : transfers;
        g->bucket[k].burst += is_bytes(k) ? r->size : transfers;
    }
}

/* ---- turns ---- */

static int64_t now_of(const BlockBackend *b) { return clock_now(b->list->machine->clocks, MYNA_CLOCK_VIRTUAL); }

static void arm(BlockBackend *b, unsigned direction, int64_t now, double wait)
{
    timer_arm(b->turn[direction], now + (int64_t)ceil(fmin(wait, 3600) * NS_PER_SECOND));
}

/* Starts what may start, and waits for the turn of the next. */
static void run(BlockBackend *b, unsigned direction)
{
    double wait = 0;

    b->list->plugs++;
    while (b->waiting[direction].first) {
        int64_t now = now_of(b);
        wait = b->draining ? 0 : time_to_wait(b->throttle, direction, now);
        if (wait > 0) {
            arm(b, direction, now, wait);
            break;
        }
        BlockRequest *r = request_pop(&b->waiting[direction]);
        charge(b->throttle, r);
        block_start(r);
    }
    b->list->plugs--;
    block_hand_over(b->list);
}

static void read_turn(void *opaque) { run(opaque, 0); }
static void write_turn(void *opaque) { run(opaque, 1); }

void throttle_start(BlockRequest *r)
{
    BlockBackend *b = r->backend;
    unsigned direction = direction_of(r);

    if (r->operation == OP_FLUSH) {
        block_start(r);
        return;
    }
    request_push(&b->waiting[direction], r);
    if (b->waiting[direction].first == r)
        run(b, direction);
}

void throttle_release(BlockBackend *b)
{
    for (unsigned direction = 0; b->throttle && direction < 2; direction++) {
        timer_cancel(b->turn[direction]);
        run(b, direction);
    }
}

/* ---- groups ---- */

static gboolean check_limits(const char *who, const BlockThrottle *t, GError **err)
{
    static const char *const names[] = {
        "bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write",
    };
    const BlockLimit *l = t->limit;

    for (unsigned k = 0; k < THROTTLE_KINDS; k++) {
        if (k % 3 && l[k].average && l[k - k % 3].average)
            return error_set(err, "%s: throttling.%s and throttling.%s cannot be given together", who,
                             names[k - k % 3], names[k]);
        if (l[k].max && l[k].max < l[k].average)
            return error_set(err, "%s: throttling.%s-max is the rate of bursts, so not less than throttling.%s",
                             who, names[k], names[k]);
        if ((l[k].max && !l[k].average) || (l[k].max_length > 1 && !l[k].max))
            return error_set(err, "%s: a burst of throttling.%s needs the limit itself, its -max and -max-length",
                             who, names[k]);
    }
    return TRUE;
}

static bool has_limits(const BlockThrottle *t)
{
    for (unsigned k = 0; k < THROTTLE_KINDS; k++) {
        if (t->limit[k].average)
            return true;
    }
    return false;
}

static ThrottleGroup *find_group(BlockList *list, const char *name)
{
    for (unsigned i = 0; name && i < list->groups->len; i++) {
        ThrottleGroup *g = list->groups->pdata[i];
        if (!g_strcmp0(g->name, name))
            return g;
    }
    return NULL;
}

/* Who names limits last sets those of the group. */
static ThrottleGroup *get_group(BlockList *list, const char *name, const BlockThrottle *limits)
{
    ThrottleGroup *g = find_group(list, name);

    if (!g) {
        g = g_new0(ThrottleGroup, 1);
        g->name = g_strdup(name);
        g_ptr_array_add(list->groups, g);
    }
    if (has_limits(limits))
        g->limits = *limits;
    g->users++;
    return g;
}

gboolean block_throttle_group(Machine *m, const char *name, const BlockThrottle *limits, GError **err)
{
    g_autofree char *who = g_strdup_printf("throttle group '%s'", name);

    if (!check_limits(who, limits, err))
        return FALSE;
    get_group(block_list_of(m), name, limits);
    return TRUE;
}

gboolean throttle_attach(BlockBackend *b, const BlockOptions *o, GError **err)
{
    Clocks *clocks = b->list->machine->clocks;
    g_autofree char *who = g_strdup_printf("drive '%s'", o->id);

    if (!check_limits(who, &o->throttle, err))
        return FALSE;
    if (!has_limits(&o->throttle) && !o->throttle_group)
        return TRUE;
    b->throttle = get_group(b->list, o->throttle_group, &o->throttle);
    b->turn[0] = timer_new(clocks, MYNA_CLOCK_VIRTUAL, read_turn, b);
    b->turn[1] = timer_new(clocks, MYNA_CLOCK_VIRTUAL, write_turn, b);
    return TRUE;
}

static void group_free(ThrottleGroup *g)
{
    g_free(g->name);
    g_free(g);
}

void throttle_groups_free(BlockList *list)
{
    for (unsigned i = 0; i < list->groups->len; i++)
        group_free(list->groups->pdata[i]);
    g_ptr_array_unref(list->groups);
}

void throttle_detach(BlockBackend *b)
{
    ThrottleGroup *g = b->throttle;

    if (!g)
        return;
    timer_free(b->turn[0]);
    timer_free(b->turn[1]);
    b->throttle = NULL;
    if (--g->users)
        return;
    g_ptr_array_remove_fast(b->list->groups, g);
    group_free(g);
}
