/*
 * What the `pc` board tells firmware by fw_cfg (QEMU docs/specs/fw_cfg; SeaBIOS src/fw/paravirt.c for what is read), and
 * the user's -fw_cfg files.
 */
#include <string.h>

#include "core/error.h"
#include "core/options.h"
#include "hw/misc/fw_cfg.h"
#include "machines/pc.h"
#include "util/bits.h"
#include "util/endian.h"

enum { KEY_IRQ0_OVERRIDE = 0x8002, FILE_NAME_MAX = 55, E820_ENTRY = 20 };

typedef struct FileOptions {
    char *name, *file, *string;
} FileOptions;

static const OptionField file_fields[] = {
    OPTION_FIELD(FileOptions, name, "name", OPTION_STRING),
    OPTION_FIELD(FileOptions, file, "file", OPTION_STRING),
    OPTION_FIELD(FileOptions, string, "string", OPTION_STRING),
    OPTION_FIELD_END,
};

static gboolean file_check(const char *text, const FileOptions *f, GError **err)
{
    if (!f->name || !*f->name)
        return error_set(err, "-fw_cfg %s: needs a name=", text);
    if (strlen(f->name) > FILE_NAME_MAX)
        return error_set(err, "-fw_cfg %s: the name is longer than %d characters", text, FILE_NAME_MAX);
    if (!f->file == !f->string)
        return error_set(err, "-fw_cfg %s: needs file= or string=", text);
    return TRUE;
}

static gboolean file_add(FwCfg *cfg, const char *text, GError **err)
{
    FileOptions f = {0};
    char *contents = NULL;
    gsize size = 0;
    gboolean ok = option_fields_parse("-fw_cfg", text, "name", file_fields, &f, err) && file_check(text, &f, err) &&
                  (f.string || g_file_get_contents(f.file, &contents, &size, err));
    if (ok)
        fw_cfg_add_file(cfg, f.name, f.string ? f.string : contents, f.string ? strlen(f.string) : size);
    g_free(contents);
    option_fields_clear(file_fields, &f);
    return ok;
}

/* RAM only, below and above the hole: firmware adds what it reserves. */
static void e820_add(const Pc *pc, FwCfg *cfg)
{
    uint8_t table[2 * E820_ENTRY] = {0};
    uint64_t above = pc->o->memory.size - pc->ram_below_4g;
    st64le(table + 8, pc->ram_below_4g);
    st32le(table + 16, E820_RAM);
    st64le(table + E820_ENTRY, 4 * GiB);
    st64le(table + E820_ENTRY + 8, above);
    st32le(table + E820_ENTRY + 16, E820_RAM);
    fw_cfg_add_file(cfg, "etc/e820", table, above ? sizeof table : E820_ENTRY);
}

gboolean pc_fw_cfg_create(Pc *pc, GError **err)
{
    static const uint8_t uuid[16];
    FwCfg *cfg = (FwCfg *)board_add_device(pc->m, pc->o, &fw_cfg_type, NULL, err, NULL);
    if (!cfg)
        return FALSE;
    pc->fw_cfg = cfg;
    fw_cfg_add(cfg, FW_CFG_UUID, uuid, sizeof uuid);
    fw_cfg_add_u64(cfg, FW_CFG_RAM_SIZE, pc->o->memory.size);
    fw_cfg_add_u16(cfg, FW_CFG_NOGRAPHIC, pc->o->nographic);
    fw_cfg_add_u16(cfg, FW_CFG_NB_CPUS, pc->cpu_count);
    fw_cfg_add_u16(cfg, FW_CFG_MAX_CPUS, pc->cpus[pc->cpu_count - 1]->apic_id + 1); /* SeaBIOS: APIC ids are below it */
    fw_cfg_add_u16(cfg, FW_CFG_BOOT_MENU, pc->o->boot.menu);
    fw_cfg_add_u32(cfg, KEY_IRQ0_OVERRIDE, 1);
    e820_add(pc, cfg);
    fw_cfg_add_file(cfg, "etc/boot-fail-wait", (const uint8_t[]){0xff, 0xff, 0xff, 0xff}, 4); /* no retries: -1 ms */
    if (pc->o->nographic) /* SeaBIOS then shows its text screen, and that of boot loaders, on the first serial port */
        fw_cfg_add_file(cfg, "etc/sercon-port", (const uint8_t[]){0xf8, 0x03}, 2);
    for (guint i = 0; i < pc->o->fw_cfgs->len; i++) {
        if (!file_add(cfg, g_ptr_array_index(pc->o->fw_cfgs, i), err))
            return FALSE;
    }
    return TRUE;
}
