/*
 * Intel High Definition Audio ("High Definition Audio Specification", revision 1.0a): controller and codecs.
 *
 * A codec is a device of its own, at an address 0..14 on the link of a controller: "ID.0" in its property bus, or the
 * machine's first.  It answers verbs, and says how loud a stream is that the controller moves.
 */
#ifndef MYNA_HW_AUDIO_HDA_H
#define MYNA_HW_AUDIO_HDA_H

#include "backends/audio/audio.h"
#include "core/device.h"

extern const DeviceType intel_hda_type, ich9_intel_hda_type;
extern const DeviceType hda_output_type, hda_duplex_type, hda_micro_type;

enum { HDA_CODECS = 15 };

typedef struct Hda Hda;
typedef struct HdaCodec HdaCodec;

typedef struct HdaCodecOps {
    uint32_t (*command)(HdaCodec *c, unsigned node, uint32_t verb); /* 20 bits of verb and payload; the response */
    void (*reset)(HdaCodec *c);                                    /* the link's */
    /* Of the stream with this tag (1..15): AUDIO_VOLUME_FULL times its gain; 0 when no converter takes, or gives, it. */
    unsigned (*volume)(const HdaCodec *c, bool recording, unsigned tag, unsigned side);
} HdaCodecOps;

struct HdaCodec {
    Device dev;
    Hda *hda;
    const HdaCodecOps *ops;
    uint32_t address;        /* property cad: 0..14, or UINT32_MAX: the first free one */
    char *bus;
    AudioBackend *backend;
};

/* In a codec's create() and destroy(): the controller is found and the address taken. */
gboolean hda_codec_attach(HdaCodec *c, const HdaCodecOps *ops, GError **err);
void hda_codec_detach(HdaCodec *c);

/* Converters, gains or mutes have changed. */
void hda_codec_changed(HdaCodec *c);

#endif
