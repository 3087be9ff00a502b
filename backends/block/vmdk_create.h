/* Making VMDK images (ImageDriver.create). */
#ifndef MYNA_BACKENDS_BLOCK_VMDK_CREATE_H
#define MYNA_BACKENDS_BLOCK_VMDK_CREATE_H

#include "backends/block/image.h"

#define VMDK_CREATE_HELP                                                                                               \
    "subformat=monolithicSparse|monolithicFlat|twoGbMaxExtentSparse|twoGbMaxExtentFlat|streamOptimized"                \
    " (monolithicSparse)\n"                                                                                            \
    "adapter_type=ide|buslogic|lsilogic|legacyESX (ide)\n"                                                             \
    "hwversion=NUMBER (4)\n"                                                                                           \
    "zeroed_grain=BOOL (off): grains of zeros need no room"

gboolean vmdk_create(const ImageCreate *c, GError **err);

#endif
