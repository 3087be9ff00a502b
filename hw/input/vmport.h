/*
 * VMware's backdoor (Linux arch/x86/include/asm/vmware.h, QEMU hw/i386/vmport.c): IN EAX, DX from port 5658h with the
 * magic number in EAX is a call, whose number is CX, with arguments and results in registers.  vmmouse.c has the
 * pointer.
 *
 * The board puts the device into the slot "vmport".  Under the machine lock, in the calling CPU's thread.
 */
#ifndef MYNA_HW_VMPORT_H
#define MYNA_HW_VMPORT_H

#include "core/cpuport.h"
#include "core/device.h"

enum { VMPORT_COMMANDS = 96 };

/* r: the caller's registers by IO_*; what it leaves there is what the caller finds. */
typedef void VmportFn(void *opaque, uint32_t r[IO_REGISTERS]);

/* Serves command n, below VMPORT_COMMANDS, from now on; fn NULL: nobody does. */
void vmport_serve(Device *vmport, unsigned n, VmportFn *fn, void *opaque);

extern const DeviceType vmport_type;

#endif
