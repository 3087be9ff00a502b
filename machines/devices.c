/*
 * All device types, in alphabetical order.  A new device needs its header and a line here.
 */
#include "machines/devices.h"

#include "hw/acpi/piix4_pm.h"
#include "hw/audio/ac97.h"
#include "hw/audio/adlib.h"
#include "hw/audio/hda.h"
#include "hw/audio/sb16.h"
#include "hw/block/ahci.h"
#include "hw/block/fdc.h"
#include "hw/block/ide.h"
#include "hw/block/nvme.h"
#include "hw/char/debugcon.h"
#include "hw/char/serial.h"
#include "hw/display/cirrus.h"
#include "hw/display/vga.h"
#include "hw/input/i8042.h"
#include "hw/input/vmmouse.h"
#include "hw/input/vmport.h"
#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/isa/piix3.h"
#include "hw/misc/debug_exit.h"
#include "hw/misc/ferr.h"
#include "hw/misc/fw_cfg.h"
#include "hw/misc/i8237.h"
#include "hw/misc/pc_testdev.h"
#include "hw/misc/port61.h"
#include "hw/misc/port92.h"
#include "hw/net/e1000.h"
#include "hw/net/ne2000.h"
#include "hw/net/rtl8139.h"
#include "hw/pci/i440fx.h"
#include "hw/pci/piix3_ide.h"
#include "hw/scsi/scsi.h"
#include "hw/timer/hpet.h"
#include "hw/timer/i8254.h"
#include "hw/timer/mc146818.h"
#include "hw/usb/ehci.h"
#include "hw/usb/uhci.h"
#include "hw/usb/usb_hid.h"
#include "hw/usb/usb_hub.h"
#include "hw/usb/usb_storage.h"
#include "hw/usb/xhci.h"
#include "hw/virtio/virtio_9p.h"
#include "hw/virtio/virtio_balloon.h"
#include "hw/virtio/virtio_blk.h"
#include "hw/virtio/virtio_gpu.h"
#include "hw/virtio/virtio_input.h"
#include "hw/virtio/virtio_net.h"
#include "hw/virtio/virtio_rng.h"
#include "hw/virtio/virtio_scsi.h"
#include "hw/virtio/virtio_serial.h"

const DeviceType *const device_types[] = {
    &ac97_type,
    &adlib_type,
    &ahci_type,
    &bochs_display_type,
    &cirrus_vga_type,
    &debug_exit_type,
    &debugcon_type,
    &e1000_type,
    &e1000e_type,
    &ferr_type,
    &fw_cfg_type,
    &hda_duplex_type,
    &hda_micro_type,
    &hda_output_type,
    &hpet_type,
    &i440fx_type,
    &i8042_type,
    &i8237_type,
    &i8254_type,
    &i8259_type,
    &ich9_ahci_type,
    &ich9_ehci_type,
    &ich9_intel_hda_type,
    &ide_cd_type,
    &ide_hd_type,
    &intel_hda_type,
    &ioapic_type,
    &isa_fdc_type,
    &lapic_type,
    &mc146818_type,
    &ne2k_isa_type,
    &ne2k_pci_type,
    &nec_xhci_type,
    &nvme_type,
    &pc_testdev_type,
    &piix3_ide_type,
    &piix3_type,
    &piix3_uhci_type,
    &piix4_pm_type,
    &piix4_uhci_type,
    &port61_type,
    &port92_type,
    &qemu_xhci_type,
    &rtl8139_type,
    &sb16_type,
    &scsi_cd_type,
    &scsi_hd_type,
    &secondary_vga_type,
    &serial_type,
    &usb_ehci_type,
    &usb_hub_type,
    &usb_kbd_type,
    &usb_mouse_type,
    &usb_storage_type,
    &usb_tablet_type,
    &vga_type,
    &virtconsole_type,
    &virtio_9p_type,
    &virtio_balloon_type,
    &virtio_blk_type,
    &virtio_gpu_type,
    &virtio_keyboard_type,
    &virtio_mouse_type,
    &virtio_net_type,
    &virtio_rng_type,
    &virtio_scsi_type,
    &virtio_serial_type,
    &virtio_tablet_type,
    &virtio_vga_type,
    &virtserialport_type,
    &vmmouse_type,
    &vmport_type,
    NULL,
};
