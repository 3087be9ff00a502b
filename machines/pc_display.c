/*
 * The graphics card and the SMBIOS tables of the `pc` board.
 */
#include "core/version.h"
#include "cpu/model.h"
#include "cpu/system.h"
#include "cpu/topology.h"
#include "hw/display/cirrus.h"
#include "hw/display/vga.h"
#include "hw/virtio/virtio_gpu.h"
#include "machines/pc.h"
#include "util/bits.h"

/* Where kernels look for the SMBIOS entry point; the tables follow it. */
#define SMBIOS_AT UINT64_C(0xf0000)

static bool vga_wanted(const Options *o)
{
    return o->vga ? strcmp(o->vga, "none") != 0 : !o->nodefaults;
}

typedef struct Card {
    const char *name; /* of -vga */
    const DeviceType *type;
    const char *rom;
} Card;

static const Card *card_chosen(const Options *o)
{
    static const Card cards[] = {
        { "std", &vga_type, "vgabios-stdvga.bin" }, { "cirrus", &cirrus_vga_type, "vgabios-cirrus.bin" },
        { "virtio", &virtio_vga_type, "vgabios-virtio.bin" },
    };
    for (unsigned n = 1; n < ARRAY_SIZE(cards); n++)
        if (!g_strcmp0(o->vga, cards[n].name))
            return &cards[n];
    return &cards[0];
}

gboolean pc_display_create(Pc *pc, GError **err)
{
    const Card *card = card_chosen(pc->o);
    if (!vga_wanted(pc->o))
        return TRUE;
    const DeviceType *type = card->type;
    g_autofree char *rom = pc_firmware_find(pc, card->rom);
    pc->vga = rom ? board_add_device(pc->m, pc->o, type, NULL, err, "romfile", rom, NULL)
                  : board_add_device(pc->m, pc->o, type, NULL, err, NULL);
    return pc->vga != NULL;
}

void pc_display_start(Pc *pc)
{
    if (pc->vga)
        vga_start_text(pc->vga->type == &virtio_vga_type ? virtio_vga_inner(pc->vga) : pc->vga);
}

void pc_smbios_create(Pc *pc)
{
    uint32_t leaf[4];
    unsigned logical = topology_logical(pc->m);
    cpuid_read(pc->cpus[0], 1, 0, leaf);
    const SmbiosOptions *o = &pc->o->smbios;
    SmbiosConfig config = {
        .system = { o->manufacturer, o->product, o->version, o->serial, o->sku, o->family },
        .version = MYNA_VERSION, .sockets = (pc->cpu_count + logical - 1) / logical,
        .cores = logical / topology_threads(pc->m), .threads = logical, .cpu_vendor = pc->model->vendor_id,
        .cpu_name = pc->model->model_id, .cpu_signature = leaf[CPUID_EAX], .cpu_features = leaf[CPUID_EDX],
        .cpu_long_mode = cpu_has(pc->cpus[0], FEAT_LM), .cpu_mhz = CPU_TSC_HZ / 1000000,
        .ram_size = pc->o->memory.size, .ram_below_4g = pc->ram_below_4g,
    };
    pc->smbios = smbios_build(&config);
    smbios_add_to_fw_cfg(pc->smbios, pc->fw_cfg);
}

void pc_smbios_start(Pc *pc) { smbios_install(pc->smbios, pc->m->memory, SMBIOS_AT); }
