/* A Linux guest's modules (linux.h). */
#include <inttypes.h>
#include <string.h>

#include "core/error.h"
#include "debugger/linux/linux.h"

enum { MODULE_LIVE, MODULE_COMING, MODULE_GOING, MODULE_UNFORMED };

typedef struct ModuleLayout {
    BtfField list, name, state;
    BtfField base, size, init_size;  /* before Linux 6.4: two parts, of which init goes away */
    BtfField parts, part_base, part_size; /* since: an array, text first */
    uint64_t part_step;
    uint32_t part_count;
} ModuleLayout;

typedef struct ModuleList {
    ModuleLayout at;
    GArray *all; /* of LinuxModule */
} ModuleList;

static gboolean find_parts(const Linux *l, ModuleLayout *m, GError **err)
{
    uint32_t element;
    if (!linux_field(l, "module", "mem", &m->parts, err) ||
        !linux_field(l, "module_memory", "base", &m->part_base, err) ||
        !linux_field(l, "module_memory", "size", &m->part_size, err) ||
        !linux_size(l, "module_memory", &m->part_step, err))
        return FALSE;
    m->part_count = MIN(btf_array(l->btf, m->parts.type, &element), 16u);
    return TRUE;
}

static gboolean find_layout(const Linux *l, ModuleLayout *m, GError **err)
{
    if (!linux_field(l, "module", "list", &m->list, err) || !linux_field(l, "module", "name", &m->name, err) ||
        !linux_field(l, "module", "state", &m->state, err))
        return FALSE;
    return (linux_field(l, "module", "core_layout.base", &m->base, NULL) &&
            linux_field(l, "module", "core_layout.size", &m->size, NULL) &&
            linux_field(l, "module", "init_layout.size", &m->init_size, NULL)) ||
           find_parts(l, m, err);
}

/* Its place, and its size as /proc/modules counts it: all parts that there are. */
static gboolean get_place(const Linux *l, const ModuleLayout *at, LinuxModule *m, GError **err)
{
    uint64_t init, size;
    if (!at->part_count)
        return linux_get(l, m->object, &at->base, &m->base, err) &&
               linux_get(l, m->object, &at->size, &m->size, err) && linux_get(l, m->object, &at->init_size, &init, err) && (m->size += init, TRUE);
    uint64_t part = m->object + at->parts.offset;
    if (!linux_get(l, part, &at->part_base, &m->base, err))
        return FALSE;
    for (uint32_t k = 0; k < at->part_count; k++, part += at->part_step) {
        if (!linux_get(l, part, &at->part_size, &size, err))
            return FALSE;
        m->size += size;
    }
    return TRUE;
}

static gboolean add_module(Linux *l, uint64_t object, void *opaque, GError **err)
{
    ModuleList *list = opaque;
    LinuxModule m = { .object = object };
    g_autoptr(GString) name = g_string_new(NULL);
    if (!linux_get(l, object, &list->at.state, &m.state, err) || m.state == MODULE_UNFORMED)
        return m.state == MODULE_UNFORMED;
    if (!linux_get_text(l, object, &list->at.name, name, err) || !get_place(l, &list->at, &m, err))
        return FALSE;
    g_strlcpy(m.name, name->str, sizeof m.name);
    g_array_append_val(list->all, m);
    return TRUE;
}

GArray *linux_modules(Linux *l, GError **err)
{
    ModuleList list = { .all = NULL };
    uint64_t head;
    if (!linux_symbol(l, "modules", &head, err) || !find_layout(l, &list.at, err))
        return NULL;
    list.all = g_array_new(FALSE, TRUE, sizeof(LinuxModule));
    if (linux_list(l, head, list.at.list.offset, add_module, &list, err))
        return list.all;
    g_array_free(list.all, TRUE);
    return NULL;
}

gboolean linux_print_modules(Linux *l, GString *out, GError **err)
{
    static const char *const states[] = { "live", "loading", "unloading" };
    g_autoptr(GArray) all = linux_modules(l, err);
    if (!all)
        return FALSE;
    if (!all->len)
        g_string_append(out, "no modules are loaded\n");
    for (guint k = 0; k < all->len; k++) {
        const LinuxModule *m = &g_array_index(all, LinuxModule, k);
        g_string_append_printf(out, "0x%016" PRIx64 " %8" PRIu64 "  %-9s  %s\n", m->base, m->size,
                               m->state < G_N_ELEMENTS(states) ? states[m->state] : "?", m->name);
    }
    return TRUE;
}
