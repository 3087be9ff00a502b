/* The image drivers, one each file: a new one is added here and in drivers.c. */
#ifndef MYNA_BACKENDS_BLOCK_DRIVERS_H
#define MYNA_BACKENDS_BLOCK_DRIVERS_H

#include "backends/block/image.h"

extern const ImageDriver image_driver_file;
extern const ImageDriver image_driver_nbd;
extern const ImageDriver image_driver_raw;
extern const ImageDriver image_driver_qcow2;
extern const ImageDriver image_driver_vdi;
extern const ImageDriver image_driver_vhdx;
extern const ImageDriver image_driver_vmdk;
extern const ImageDriver image_driver_vpc;

/* Whether a name is a URL that the protocol "nbd" opens. */
bool image_is_nbd(const char *file);

#endif
