/*
 * virtio-vga: a virtio graphics card that is a standard VGA until its driver shows something (QEMU
 * hw/display/virtio-vga.c).  BARs 0 and 2 and the ROM are the VGA's, 1 and 4 virtio's, which drivers find by their capabilities.
 */
#include "core/machine.h"
#include "hw/display/vga_state.h"
#include "hw/virtio/virtio_gpu_private.h"

typedef struct VirtioVga {
    Gpu gpu;
    Vga vga;
} VirtioVga;

Device *virtio_vga_inner(Device *dev) { return &((VirtioVga *)dev)->vga.pci.dev; }

/* ---- life ---- */

static gboolean vga_inside_create(VirtioVga *s, GError **err)
{
    s->vga.pci.dev = s->gpu.virtio.pci.dev;
    s->vga.xres = s->gpu.xres;
    s->vga.yres = s->gpu.yres;
    return vga_parts_create(&s->vga, VGA_LEGACY | VGA_VBE_PORTS, err);
}

static gboolean virtio_vga_create(Device *dev, GError **err)
{
    VirtioVga *s = (VirtioVga *)dev;

    if (!vga_inside_create(s, err))
        return FALSE;
    s->gpu.idle = &vga_console_ops;
    s->gpu.idle_opaque = &s->vga;
    if (!gpu_init(&s->gpu, &s->vga.console, err)) {
        vga_parts_free(&s->vga);
        return FALSE;
    }
    vga_bars_add(&s->vga, &s->gpu.virtio.pci);
    return TRUE;
}

static void virtio_vga_destroy(Device *dev)
{
    VirtioVga *s = (VirtioVga *)dev;
    gpu_exit(&s->gpu);
    vga_parts_free(&s->vga);
}

static void virtio_vga_reset(Device *dev)
{
    gpu_reset(dev);
    vga_registers_reset(&((VirtioVga *)dev)->vga);
}

static gboolean virtio_vga_post_load(Device *dev, GError **err)
{
    return vga_registers_loaded(&((VirtioVga *)dev)->vga, err) && gpu_post_load(dev, err);
}

static const Property virtio_vga_properties[] = {
    GPU_PROPERTIES,
    { .name = "vgamem_mb", .type = PROP_U32, .offset = offsetof(VirtioVga, vga.vgamem_mb), .initial = 8, .min = 1,
      .max = 256, .help = "the VGA's memory in MiB, a power of 2" },
    PROPERTY(VirtioVga, vga.romfile, "romfile", PROP_STRING, 0, "file of the video BIOS; none: the card has no ROM"),
    PROPERTY_END
};

static const StateField virtio_vga_state[] = {
    STATE_STRUCT(VirtioVga, gpu, gpu_state), STATE_STRUCT(VirtioVga, vga, vga_registers_state), STATE_END
};

const DeviceType virtio_vga_type = {
    .name = "virtio-vga", .description = "virtio graphics card that is a VGA too", .bus = "pci",
    .size = sizeof(VirtioVga), .user = true, .properties = virtio_vga_properties, .create = virtio_vga_create,
    .reset = virtio_vga_reset, .destroy = virtio_vga_destroy, .state = virtio_vga_state, .pre_save = gpu_pre_save,
    .post_load = virtio_vga_post_load,
};
