/*
 * VMware's pointer: positions on the screen, by commands of the backdoor (vmport.h).  It needs a PS/2 mouse, in the
 * slot "ps2-mouse", whose interrupt tells the guest's driver to look.
 */
#ifndef MYNA_HW_VMMOUSE_H
#define MYNA_HW_VMMOUSE_H

#include "core/device.h"

extern const DeviceType vmmouse_type;

#endif
