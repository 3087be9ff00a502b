/*
 * HDA codecs ("High Definition Audio Specification" 1.0a, chapter 7): one audio function group with a converter and a pin for
 * output (hda-output), the same and a pair for input (hda-duplex), or those as speaker and microphone (hda-micro).
 *
 * What a node is stands in a table; what the guest can change of it, in HdaNode.
 */
#include <string.h>

#include "core/error.h"
#include "core/log.h"
#include "core/machine.h"
#include "hw/audio/hda.h"

enum { NODE_ROOT, NODE_GROUP, NODE_DAC, NODE_LINE_OUT, NODE_ADC, NODE_LINE_IN, NODES };
enum {
    PARAM_VENDOR = 0x00, PARAM_REVISION = 0x02, PARAM_NODES = 0x04, PARAM_GROUP_TYPE = 0x05, PARAM_GROUP_CAPS = 0x08,
    PARAM_WIDGET_CAPS = 0x09, PARAM_PCM = 0x0a, PARAM_FORMATS = 0x0b, PARAM_PIN_CAPS = 0x0c, PARAM_AMP_IN = 0x0d,
    PARAM_CONNECTIONS = 0x0e, PARAM_POWER = 0x0f, PARAM_AMP_OUT = 0x12
};
/* 7.3.3: verbs with 8 bits of payload, and with 16. */
enum {
    GET_PARAMETER = 0xf00, GET_CONNECTION_SELECT = 0xf01, GET_CONNECTION_LIST = 0xf02, GET_POWER = 0xf05, SET_POWER = 0x705,
    GET_STREAM = 0xf06, SET_STREAM = 0x706, GET_PIN_CONTROL = 0xf07, SET_PIN_CONTROL = 0x707, GET_UNSOLICITED = 0xf08,
    SET_UNSOLICITED = 0x708, GET_PIN_SENSE = 0xf09, GET_EAPD = 0xf0c, SET_EAPD = 0x70c, GET_CONFIG = 0xf1c,
    SET_CONFIG = 0x71c, GET_SUBSYSTEM = 0xf20, RESET = 0x7ff
};
enum { SET_FORMAT = 0x2, SET_AMP = 0x3, GET_FORMAT = 0xa, GET_AMP = 0xb };
/* 7.3.4.6: type at bit 20, and what the widget has. */
enum {
    WIDGET_OUTPUT = 0 << 20, WIDGET_INPUT = 1 << 20, WIDGET_PIN = 4 << 20, WIDGET_STEREO = 1, WIDGET_IN_AMP = 2,
    WIDGET_OUT_AMP = 4, WIDGET_AMP_OVERRIDE = 8, WIDGET_FORMAT_OVERRIDE = 0x10, WIDGET_LIST = 0x100
};
enum { PIN_OUT = 0x10, PIN_IN = 0x20, PIN_OUT_ENABLED = 0x40, PIN_IN_ENABLED = 0x20, SENSE_PRESENT = (int)0x80000000 };
/* 7.3.4.7: 16, 24 and 32 bits at all rates from 8 to 192 kHz; 7.3.4.8: PCM. */
enum { PCM_SIZES_RATES = 0x001a07ff, FORMAT_PCM = 1 };
/* 7.3.4.10: steps of 1 dB from -74 dB to 0, and a mute. */
enum { AMP_STEPS = 74, QUARTERS_PER_STEP = 4, AMP_MUTE = 0x80 };
#define AMP_CAPS (0x80000000u | 3u << 16 | AMP_STEPS << 8 | AMP_STEPS)

/* What a node is, and cannot change. */
typedef struct NodeRow {
    uint32_t caps, pin_caps, config; /* config: 7.3.3.31 */
    uint8_t connection;              /* of one node; 0: none */
} NodeRow;

typedef struct CodecModel {
    uint32_t vendor;
    unsigned nodes;
    NodeRow row[NODES];
} CodecModel;

#define CONVERTERS                                                                                                     \
    [NODE_DAC] = { .caps = WIDGET_OUTPUT | WIDGET_STEREO | WIDGET_OUT_AMP | WIDGET_AMP_OVERRIDE | WIDGET_FORMAT_OVERRIDE }, \
    [NODE_ADC] = { .caps = WIDGET_INPUT | WIDGET_STEREO | WIDGET_IN_AMP | WIDGET_AMP_OVERRIDE | WIDGET_FORMAT_OVERRIDE |   \
                           WIDGET_LIST, .connection = NODE_LINE_IN }
#define PIN_FOR_OUTPUT(config_)                                                                                        \
    [NODE_LINE_OUT] = { .caps = WIDGET_PIN | WIDGET_STEREO | WIDGET_LIST, .pin_caps = PIN_OUT, .connection = NODE_DAC, \
                        .config = config_ }
#define PIN_FOR_INPUT(config_)                                                                                         \
    [NODE_LINE_IN] = { .caps = WIDGET_PIN | WIDGET_STEREO, .pin_caps = PIN_IN, .config = config_ }

/* Vendor numbers are QEMU's, whose codecs these are like. */
static const CodecModel output_model = {0x1af40012, NODE_LINE_OUT + 1, {CONVERTERS, PIN_FOR_OUTPUT(0x01014010)}};
static const CodecModel duplex_model = {0x1af40022, NODES, {CONVERTERS, PIN_FOR_OUTPUT(0x01014010), PIN_FOR_INPUT(0x01813020)}};
static const CodecModel micro_model = {0x1af40032, NODES, {CONVERTERS, PIN_FOR_OUTPUT(0x90100010), PIN_FOR_INPUT(0x01a19020)}};

typedef struct HdaNode {
    uint8_t stream, pin_control, power, unsolicited, eapd;
    uint8_t amp[2];          /* left, right: gain and AMP_MUTE */
    uint16_t format;
    uint32_t config;
} HdaNode;

typedef struct StandardCodec {
    HdaCodec codec;
    const CodecModel *model;
    HdaNode node[NODES];
} StandardCodec;

/* ---- parameters (7.3.4) ---- */

static uint32_t group_parameter(const StandardCodec *s, unsigned id)
{
    switch (id) {
    case PARAM_NODES: return NODE_DAC << 16 | (s->model->nodes - NODE_DAC);
    case PARAM_GROUP_TYPE: return 1;     /* audio */
    case PARAM_GROUP_CAPS: return 0x0808; /* delays of eight samples, either way */
    case PARAM_PCM: return PCM_SIZES_RATES;
    case PARAM_FORMATS: return FORMAT_PCM;
    case PARAM_POWER: return 0x9;        /* D0 and D3 */
    default: return 0;
    }
}

static uint32_t root_parameter(const StandardCodec *s, unsigned id)
{
    switch (id) {
    case PARAM_VENDOR: return s->model->vendor;
    case PARAM_REVISION: return 0x00100101;
    case PARAM_NODES: return NODE_GROUP << 16 | 1;
    default: return 0;
    }
}

static uint32_t widget_parameter(const NodeRow *row, unsigned id)
{
    bool converter = row->caps & WIDGET_FORMAT_OVERRIDE;
    switch (id) {
    case PARAM_WIDGET_CAPS: return row->caps;
    case PARAM_PCM: return converter ? PCM_SIZES_RATES : 0;
    case PARAM_FORMATS: return converter ? FORMAT_PCM : 0;
    case PARAM_PIN_CAPS: return row->pin_caps;
    case PARAM_AMP_IN: return row->caps & WIDGET_IN_AMP ? AMP_CAPS : 0;
    case PARAM_AMP_OUT: return row->caps & WIDGET_OUT_AMP ? AMP_CAPS : 0;
    case PARAM_CONNECTIONS: return row->connection != 0;
    default: return 0;
    }
}

static uint32_t parameter(const StandardCodec *s, unsigned node, unsigned id)
{
    return node == NODE_ROOT ? root_parameter(s, id) : node == NODE_GROUP ? group_parameter(s, id)
                                                                           : widget_parameter(&s->model->row[node], id);
}

/* ---- verbs ---- */

static uint32_t amp_get(const StandardCodec *s, unsigned node, uint16_t payload)
{
    bool output = payload & 0x8000, left = payload & 0x2000;
    if (!(s->model->row[node].caps & (output ? WIDGET_OUT_AMP : WIDGET_IN_AMP)))
        return 0;
    return s->node[node].amp[left ? 0 : 1];
}

/* Bits: output 15, input 14, left 13, right 12, mute 7, gain 6:0 (7.3.3.7). */
static void amp_set(StandardCodec *s, unsigned node, uint16_t payload)
{
    uint32_t caps = s->model->row[node].caps;
    uint8_t v = (payload & AMP_MUTE) | MIN(payload & 0x7f, AMP_STEPS);
    if (!((payload & 0x8000 && caps & WIDGET_OUT_AMP) || (payload & 0x4000 && caps & WIDGET_IN_AMP)))
        return;
    if (payload & 0x2000)
        s->node[node].amp[0] = v;
    if (payload & 0x1000)
        s->node[node].amp[1] = v;
}

static void nodes_reset(StandardCodec *s)
{
    memset(s->node, 0, sizeof s->node);
    for (unsigned i = 0; i < s->model->nodes; i++) {
        HdaNode *n = &s->node[i];
        n->config = s->model->row[i].config;
        n->amp[0] = n->amp[1] = AMP_STEPS;
        n->pin_control = s->model->row[i].pin_caps & PIN_OUT ? PIN_OUT_ENABLED
                         : s->model->row[i].pin_caps & PIN_IN ? PIN_IN_ENABLED : 0;
    }
}

static uint32_t node_get(const StandardCodec *s, unsigned node, unsigned verb, uint8_t payload)
{
    const HdaNode *n = &s->node[node];
    const NodeRow *row = &s->model->row[node];
    switch (verb) {
    case GET_PARAMETER: return parameter(s, node, payload);
    case GET_CONNECTION_LIST: return payload == 0 ? row->connection : 0;
    case GET_POWER: return n->power | n->power << 4; /* as it was set, at once */
    case GET_STREAM: return n->stream;
    case GET_PIN_CONTROL: return n->pin_control;
    case GET_UNSOLICITED: return n->unsolicited;
    case GET_PIN_SENSE: return row->pin_caps ? (uint32_t)SENSE_PRESENT : 0;
    case GET_EAPD: return n->eapd;
    case GET_CONFIG: return n->config;
    case GET_SUBSYSTEM: return node == NODE_GROUP ? s->model->vendor : 0;
    default: return 0;
    }
}

static void node_set(StandardCodec *s, unsigned node, unsigned verb, uint8_t v)
{
    HdaNode *n = &s->node[node];
    switch (verb) {
    case SET_POWER: n->power = v & 0xf; break;
    case SET_STREAM: n->stream = v; break;
    case SET_PIN_CONTROL: n->pin_control = v; break;
    case SET_UNSOLICITED: n->unsolicited = v; break;
    case SET_EAPD: n->eapd = v; break;
    case SET_CONFIG: case SET_CONFIG + 1: case SET_CONFIG + 2: case SET_CONFIG + 3: {
        unsigned shift = 8 * (verb - SET_CONFIG);
        n->config = (n->config & ~(0xffu << shift)) | (uint32_t)v << shift;
        break;
    }
    case RESET:
        if (node == NODE_GROUP)
            nodes_reset(s);
        break;
    }
}

static uint32_t wide_command(StandardCodec *s, unsigned node, unsigned verb, uint16_t payload)
{
    switch (verb) {
    case GET_FORMAT: return s->node[node].format;
    case GET_AMP: return amp_get(s, node, payload);
    case SET_FORMAT: s->node[node].format = payload; break;
    case SET_AMP: amp_set(s, node, payload); break;
    }
    return 0;
}

static uint32_t codec_command(HdaCodec *c, unsigned node, uint32_t command)
{
    StandardCodec *s = (StandardCodec *)c;
    unsigned wide = command >> 16, verb = command >> 8;
    uint32_t response = 0;
    if (node >= s->model->nodes) {
        log_guest_error("hda: codec %u has no node %u", c->address, node);
        return 0;
    }
    if (wide != 0x7 && wide != 0xf)
        response = wide_command(s, node, wide, command);
    else if (wide == 0xf)
        return node_get(s, node, verb, command);
    else
        node_set(s, node, verb, command);
    if (c->hda)
        hda_codec_changed(c);
    return response;
}

/* ---- loudness ---- */

static bool pin_is_open(const StandardCodec *s, bool recording)
{
    return recording ? s->node[NODE_LINE_IN].pin_control & PIN_IN_ENABLED
                     : s->node[NODE_LINE_OUT].pin_control & PIN_OUT_ENABLED;
}

/* Stream tag in the upper half of the converter's control (7.3.3.11). */
static unsigned codec_volume(const HdaCodec *c, bool recording, unsigned tag, unsigned side)
{
    const StandardCodec *s = (const StandardCodec *)c;
    unsigned converter = recording ? NODE_ADC : NODE_DAC;
    const HdaNode *n = &s->node[converter];
    unsigned gain = n->amp[side & 1] & 0x7f;
    if (converter >= s->model->nodes || n->stream >> 4 != tag || n->amp[side & 1] & AMP_MUTE || !pin_is_open(s, recording))
        return 0;
    return audio_volume_from_attenuation((AMP_STEPS - (int)MIN(gain, AMP_STEPS)) * QUARTERS_PER_STEP);
}

/* ---- devices ---- */

static void codec_link_reset(HdaCodec *c)
{
    nodes_reset((StandardCodec *)c);
}

static const HdaCodecOps codec_ops = {.command = codec_command, .reset = codec_link_reset, .volume = codec_volume};

static gboolean codec_create(Device *dev, const CodecModel *model, GError **err)
{
    StandardCodec *s = (StandardCodec *)dev;

    s->model = model;
    nodes_reset(s);
    return hda_codec_attach(&s->codec, &codec_ops, err);
}

static gboolean output_create(Device *dev, GError **err) { return codec_create(dev, &output_model, err); }
static gboolean duplex_create(Device *dev, GError **err) { return codec_create(dev, &duplex_model, err); }
static gboolean micro_create(Device *dev, GError **err) { return codec_create(dev, &micro_model, err); }

static void codec_destroy(Device *dev)
{
    hda_codec_detach(&((StandardCodec *)dev)->codec);
}

static void codec_reset(Device *dev)
{
    nodes_reset((StandardCodec *)dev);
}

static const Property codec_properties[] = {
    PROPERTY(HdaCodec, backend, "audiodev", PROP_AUDIO, 0, "where sound goes (-audiodev); else the first one"),
    PROPERTY(HdaCodec, bus, "bus", PROP_STRING, 0, "a controller's link, ID.0; otherwise the first one"),
    PROPERTY(HdaCodec, address, "cad", PROP_U32, UINT32_MAX, "address on the link, 0 to 14; otherwise the first free one"),
    PROPERTY_END
};

static const StateField node_state[] = {
    STATE_U8(HdaNode, stream), STATE_U8(HdaNode, pin_control), STATE_U8(HdaNode, power), STATE_U8(HdaNode, unsolicited),
    STATE_U8(HdaNode, eapd), STATE_ARRAY_U8(HdaNode, amp), STATE_U16(HdaNode, format), STATE_U32(HdaNode, config), STATE_END
};

static const StateField codec_state[] = { STATE_STRUCT_ARRAY(StandardCodec, node, node_state), STATE_END };

#define CODEC_TYPE(name_, description_, create_)                                                                       \
    {                                                                                                                  \
        .name = name_, .description = description_, .bus = "HDA", .size = sizeof(StandardCodec), .user = true,         \
        .properties = codec_properties, .create = create_, .reset = codec_reset, .destroy = codec_destroy,             \
        .state = codec_state,                                                                                          \
    }

const DeviceType hda_output_type = CODEC_TYPE("hda-output", "HD Audio codec with line out", output_create);
const DeviceType hda_duplex_type = CODEC_TYPE("hda-duplex", "HD Audio codec with line out and line in", duplex_create);
const DeviceType hda_micro_type = CODEC_TYPE("hda-micro", "HD Audio codec with speaker and microphone", micro_create);
