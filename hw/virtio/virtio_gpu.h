/*
 * virtio-gpu-pci and virtio-vga: a graphics card whose driver sends it pictures (Virtual I/O Device 1.2, 5.7), in two
 * dimensions.  virtio-vga is a standard VGA too, until its driver takes over (virtio_vga.c).
 *
 *   virtio_gpu.c          the device: configuration, queues, state
 *   virtio_gpu_command.c  what each command checks, does and answers
 *   virtio_gpu_resource.c pictures: memory for them, transfers, saving
 *   virtio_gpu_scanout.c  screens: what is shown, changed lines, the pointer, size
 */
#ifndef MYNA_HW_VIRTIO_GPU_H
#define MYNA_HW_VIRTIO_GPU_H

#include "core/device.h"

extern const DeviceType virtio_gpu_type;
extern const DeviceType virtio_vga_type;

/* The standard VGA inside a virtio-vga, for vga_start_text(). */
Device *virtio_vga_inner(Device *virtio_vga);

#endif
