/* Descriptors from tables, and the requests that every device knows (USB 2.0, 9.4 to 9.6). */
#include <string.h>

#include "core/error.h"
#include "hw/usb/usb.h"
#include "util/bits.h"
#include "util/endian.h"

enum { GET_STATUS = 0, CLEAR_FEATURE = 1, SET_FEATURE = 3, SET_ADDRESS = 5, GET_DESCRIPTOR = 6, GET_CONFIGURATION = 8,
       SET_CONFIGURATION = 9, GET_INTERFACE = 10, SET_INTERFACE = 11, SYNCH_FRAME = 12, SET_SEL = 0x30,
       SET_ISOCH_DELAY = 0x31 };
enum { DESC_DEVICE = 1, DESC_CONFIGURATION, DESC_STRING, DESC_INTERFACE, DESC_ENDPOINT, DESC_QUALIFIER,
       DESC_OTHER_SPEED, DESC_BOS = 15, DESC_CAPABILITY, DESC_COMPANION = 48 };
enum { FEATURE_HALT = 0, FEATURE_FUNCTION_SUSPEND = 0, FEATURE_REMOTE_WAKEUP = 1, FEATURE_U1_ENABLE = 48,
       FEATURE_LTM_ENABLE = 50 };
enum { TO_DEVICE = 0x00, TO_INTERFACE = 0x01, TO_ENDPOINT = 0x02, IN = 0x80, STALL = -1 };
enum { ATTRIBUTE_SELF_POWERED = 0x40 };
enum { LANGUAGE_ENGLISH = 0x0409, STRING_MAX = 126 /* UTF-16 units of a descriptor */ };
enum { HEADER = 2, DEVICE_SIZE = 18, CONFIGURATION_SIZE = 9, INTERFACE_SIZE = 9, ENDPOINT_SIZE = 7, COMPANION_SIZE = 6,
       QUALIFIER_SIZE = 10, BOS_SIZE = 5, EXTENSION_SIZE = 7, SUPER_SPEED_SIZE = 10 };

/* ---- what the tables say now ---- */

static const UsbSpeedDesc *speed_desc(const UsbDevice *d) { return d->type->desc->speeds[usb_speed(d)]; }

static const UsbConfigurationDesc *find_configuration(const UsbDevice *d, unsigned value)
{
    const UsbSpeedDesc *s = speed_desc(d);
    for (unsigned n = 0; s && n < s->configuration_count; n++)
        if (s->configurations[n].value == value)
            return &s->configurations[n];
    return NULL;
}

static const UsbInterfaceDesc *find_interface(const UsbDevice *d, unsigned number, unsigned alternate)
{
    const UsbConfigurationDesc *c = d->configuration ? find_configuration(d, d->configuration) : NULL;
    for (unsigned n = 0; c && n < c->interface_count; n++)
        if (c->interfaces[n].number == number && c->interfaces[n].alternate == alternate)
            return &c->interfaces[n];
    return NULL;
}

const UsbEndpointDesc *usb_endpoint(const UsbDevice *d, uint8_t address)
{
    const UsbConfigurationDesc *c = d->configuration ? find_configuration(d, d->configuration) : NULL;
    for (unsigned n = 0; c && n < c->interface_count; n++) {
        const UsbInterfaceDesc *i = &c->interfaces[n];
        if (i->alternate != d->alternate[i->number % USB_INTERFACES_MAX])
            continue;
        for (unsigned e = 0; e < i->endpoint_count; e++)
            if (i->endpoints[e].address == address)
                return &i->endpoints[e];
    }
    return NULL;
}

const char *usb_string(const UsbDevice *d, unsigned index)
{
    const char *const *s = d->type->desc->strings;
    if (index == USB_STRING_SERIAL && d->serial)
        return d->serial;
    for (unsigned n = 0; n < index; n++)
        if (!s[n])
            return NULL;
    return s[index];
}

/* ---- descriptors into memory of USB_CONTROL_MAX bytes ---- */

typedef struct Writer {
    uint8_t *data;
    unsigned size;
} Writer;

/* Room for a descriptor with length and type set, or NULL. */
static uint8_t *append(Writer *w, unsigned size, uint8_t type)
{
    if (size > USB_CONTROL_MAX - w->size)
        return NULL;
    uint8_t *at = w->data + w->size;
    memset(at, 0, size);
    at[0] = size;
    at[1] = type;
    w->size += size;
    return at;
}

static void append_bytes(Writer *w, const uint8_t *bytes, unsigned size)
{
    if (size > USB_CONTROL_MAX - w->size || !size)
        return;
    memcpy(w->data + w->size, bytes, size);
    w->size += size;
}

/* SuperSpeed devices give endpoint 0's size as a power of 2 (3.2, 9.6.1). */
static uint8_t max_packet0(const UsbSpeedDesc *s) { return s->max_packet0 > 255 ? 9 : s->max_packet0; }

static int describe_device(const UsbDevice *d, uint8_t *data)
{
    const UsbDesc *desc = d->type->desc;
    const UsbSpeedDesc *s = speed_desc(d);
    Writer w = { data, 0 };
    uint8_t *b = append(&w, DEVICE_SIZE, DESC_DEVICE);
    st16le(b + 2, s->version);
    b[4] = s->device_class;
    b[5] = s->subclass;
    b[6] = s->protocol;
    b[7] = max_packet0(s);
    st16le(b + 8, desc->vendor);
    st16le(b + 10, desc->product);
    st16le(b + 12, desc->release);
    for (unsigned n = USB_STRING_MANUFACTURER; n <= USB_STRING_SERIAL; n++)
        b[13 + n] = usb_string(d, n) ? n : 0;
    b[17] = s->configuration_count;
    return w.size;
}

/* What it would be at the other of full and high speed (9.6.2). */
static const UsbSpeedDesc *other_speed(const UsbDevice *d)
{
    const UsbSpeedDesc *const *s = d->type->desc->speeds;
    switch (usb_speed(d)) {
    case USB_HIGH: return s[USB_FULL];
    case USB_FULL: return s[USB_HIGH];
    default: return NULL;
    }
}

static int describe_qualifier(const UsbDevice *d, uint8_t *data)
{
    const UsbSpeedDesc *s = other_speed(d);
    Writer w = { data, 0 };
    if (!s)
        return STALL;
    uint8_t *b = append(&w, QUALIFIER_SIZE, DESC_QUALIFIER);
    st16le(b + 2, s->version);
    b[4] = s->device_class;
    b[5] = s->subclass;
    b[6] = s->protocol;
    b[7] = max_packet0(s);
    b[8] = s->configuration_count;
    return w.size;
}

static void append_endpoint(Writer *w, const UsbEndpointDesc *e, bool super_speed)
{
    uint8_t *b = append(w, ENDPOINT_SIZE, DESC_ENDPOINT);
    if (!b)
        return;
    b[2] = e->address;
    b[3] = e->attributes;
    st16le(b + 4, e->max_packet);
    b[6] = e->interval;
    if (super_speed && (b = append(w, COMPANION_SIZE, DESC_COMPANION))) {
        b[2] = e->max_burst;
        b[3] = e->companion_attributes;
        st16le(b + 4, e->bytes_per_interval);
    }
    append_bytes(w, e->extra, e->extra_size);
}

static void append_interface(Writer *w, const UsbInterfaceDesc *i, bool super_speed)
{
    uint8_t *b = append(w, INTERFACE_SIZE, DESC_INTERFACE);
    if (!b)
        return;
    b[2] = i->number;
    b[3] = i->alternate;
    b[4] = i->endpoint_count;
    b[5] = i->interface_class;
    b[6] = i->subclass;
    b[7] = i->protocol;
    b[8] = i->string;
    append_bytes(w, i->extra, i->extra_size);
    for (unsigned n = 0; n < i->endpoint_count; n++)
        append_endpoint(w, &i->endpoints[n], super_speed);
}

static unsigned count_interfaces(const UsbConfigurationDesc *c)
{
    unsigned count = 0;
    for (unsigned n = 0; n < c->interface_count; n++)
        count += !c->interfaces[n].alternate;
    return count;
}

static int describe_configuration(const UsbSpeedDesc *s, bool super_speed, unsigned index, uint8_t type, uint8_t *data)
{
    Writer w = { data, 0 };
    if (!s || index >= s->configuration_count)
        return STALL;
    const UsbConfigurationDesc *c = &s->configurations[index];
    uint8_t *b = append(&w, CONFIGURATION_SIZE, type);
    b[4] = count_interfaces(c);
    b[5] = c->value;
    b[6] = c->string;
    b[7] = c->attributes;
    b[8] = c->milliamperes / (super_speed ? 8 : 2);
    for (unsigned n = 0; n < c->interface_count; n++)
        append_interface(&w, &c->interfaces[n], super_speed);
    st16le(data + 2, w.size);
    return w.size;
}

/* Index 0 lists the languages: English (9.6.7). */
static int describe_string(const UsbDevice *d, unsigned index, uint8_t *data)
{
    Writer w = { data, 0 };
    if (!index) {
        st16le(append(&w, HEADER + 2, DESC_STRING) + HEADER, LANGUAGE_ENGLISH);
        return w.size;
    }
    const char *s = usb_string(d, index);
    glong units = 0;
    g_autofree gunichar2 *utf16 = s ? g_utf8_to_utf16(s, -1, NULL, &units, NULL) : NULL;
    if (!utf16)
        return STALL;
    units = MIN(units, STRING_MAX);
    uint8_t *b = append(&w, HEADER + 2 * units, DESC_STRING);
    for (glong n = 0; n < units; n++)
        st16le(b + HEADER + 2 * n, utf16[n]);
    return w.size;
}

/* Binary device object store (3.2, 9.6.2): of devices of version 2.01 and more. */
static int describe_bos(const UsbDevice *d, uint8_t *data)
{
    const UsbSpeedDesc *const *s = d->type->desc->speeds;
    Writer w = { data, 0 };
    if (speed_desc(d)->version <= 0x0200)
        return STALL;
    append(&w, BOS_SIZE, DESC_BOS);
    append(&w, EXTENSION_SIZE, DESC_CAPABILITY)[2] = 2; /* USB 2.0 extension; no link power management */
    data[4] = 1;
    if (s[USB_SUPER]) {
        uint8_t *b = append(&w, SUPER_SPEED_SIZE, DESC_CAPABILITY);
        b[2] = 3;
        st16le(b + 4, (s[USB_LOW] ? 1 : 0) | (s[USB_FULL] ? 2 : 0) | (s[USB_HIGH] ? 4 : 0) | 8);
        b[6] = s[USB_FULL] ? 1 : s[USB_HIGH] ? 2 : 3; /* the slowest with all functions */
        b[7] = 10;
        st16le(b + 8, 10);
        data[4]++;
    }
    st16le(data + 2, w.size);
    return w.size;
}

static int get_descriptor(UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    unsigned index = r->value & 0xff;
    bool super_speed = usb_speed(d) == USB_SUPER;
    switch (r->value >> 8) {
    case DESC_DEVICE: return describe_device(d, data);
    case DESC_CONFIGURATION:
        return describe_configuration(speed_desc(d), super_speed, index, DESC_CONFIGURATION, data);
    case DESC_STRING: return describe_string(d, index, data);
    case DESC_QUALIFIER: return describe_qualifier(d, data);
    case DESC_OTHER_SPEED: return describe_configuration(other_speed(d), false, index, DESC_OTHER_SPEED, data);
    case DESC_BOS: return describe_bos(d, data);
    default: return d->type->control ? d->type->control(d, r, data) : STALL;
    }
}

/* ---- configuration ---- */

bool usb_set_configuration(UsbDevice *d, unsigned value)
{
    bool changed = d->configuration || value;
    if (value && !find_configuration(d, value))
        return false;
    d->configuration = value;
    d->halted = 0;
    memset(d->alternate, 0, sizeof d->alternate);
    if (changed && d->type->configured)
        d->type->configured(d);
    return true;
}

static int set_interface(UsbDevice *d, unsigned number, unsigned alternate)
{
    const UsbInterfaceDesc *i = find_interface(d, number, alternate);
    if (!i || number >= USB_INTERFACES_MAX)
        return STALL;
    d->alternate[number] = alternate;
    for (unsigned n = 0; n < i->endpoint_count; n++)
        d->halted &= ~usb_halt_mask(i->endpoints[n].address);
    if (d->type->alternate_set)
        d->type->alternate_set(d, number);
    return 0;
}

gboolean usb_check_configuration(const UsbDevice *d, GError **err)
{
    if (d->configuration && !find_configuration(d, d->configuration))
        return error_set(err, "%s: the saved state has a configuration %u, which there is not", d->dev.id,
                         d->configuration);
    for (unsigned n = 0; n < USB_INTERFACES_MAX; n++)
        if (d->alternate[n] && !find_interface(d, n, d->alternate[n]))
            return error_set(err, "%s: the saved state has an interface setting %u.%u, which there is not", d->dev.id,
                             n, d->alternate[n]);
    return TRUE;
}

/* ---- status and features (9.4.1, 9.4.5, 9.4.9) ---- */

static int reply16(uint8_t *data, unsigned v)
{
    st16le(data, v);
    return 2;
}

static int get_device_status(const UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    const UsbSpeedDesc *s = speed_desc(d);
    const UsbConfigurationDesc *c = d->configuration ? find_configuration(d, d->configuration) : &s->configurations[0];
    if (r->index)
        return STALL;
    return reply16(data, (c->attributes & ATTRIBUTE_SELF_POWERED ? 1 : 0) | (d->wakeup_allowed ? 2 : 0));
}

static int set_device_feature(UsbDevice *d, const UsbRequest *r, bool set)
{
    if (r->value == FEATURE_REMOTE_WAKEUP) {
        d->wakeup_allowed = set;
        return 0;
    }
    /* The link's power states are the hardware's affair; there is no latency to be tolerated here (3.2, 9.4.9). */
    bool link = usb_speed(d) == USB_SUPER && r->value >= FEATURE_U1_ENABLE && r->value <= FEATURE_LTM_ENABLE;
    return link && d->configuration ? 0 : STALL;
}

/* Function suspend of SuperSpeed (3.2, 9.4.9): remote wakeup of the function is bit 9 of the index. */
static int set_interface_feature(UsbDevice *d, const UsbRequest *r, bool set)
{
    if (usb_speed(d) != USB_SUPER || r->value != FEATURE_FUNCTION_SUSPEND)
        return STALL;
    d->wakeup_allowed = set && r->index & 0x200;
    return 0;
}

static bool endpoint_exists(const UsbDevice *d, const UsbRequest *r)
{
    return r->index <= 0xff && (!(r->index & 0x0f) || usb_endpoint(d, r->index));
}

static int get_endpoint_status(const UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    if (!endpoint_exists(d, r))
        return STALL;
    return reply16(data, d->halted & usb_halt_mask(r->index) ? 1 : 0);
}

static int set_endpoint_feature(UsbDevice *d, const UsbRequest *r, bool set)
{
    if (!endpoint_exists(d, r) || r->value != FEATURE_HALT)
        return STALL;
    if (!(r->index & 0x0f))
        return 0; /* endpoint 0 does without: a SETUP always gets through */
    if (set) {
        d->halted |= usb_halt_mask(r->index);
        return 0;
    }
    d->halted &= ~usb_halt_mask(r->index);
    if (d->type->halt_cleared)
        d->type->halt_cleared(d, r->index);
    return 0;
}

/* ---- requests ---- */

static int set_address(UsbDevice *d, unsigned address)
{
    if (address > 127)
        return STALL;
    d->address = address;
    return 0;
}

static int device_request(UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    switch (r->type << 8 | r->request) {
    case (IN | TO_DEVICE) << 8 | GET_STATUS: return get_device_status(d, r, data);
    case (IN | TO_DEVICE) << 8 | GET_DESCRIPTOR: return get_descriptor(d, r, data);
    case (IN | TO_DEVICE) << 8 | GET_CONFIGURATION: data[0] = d->configuration; return 1;
    case TO_DEVICE << 8 | SET_ADDRESS: return set_address(d, r->value);
    case TO_DEVICE << 8 | SET_CONFIGURATION: return usb_set_configuration(d, r->value & 0xff) ? 0 : STALL;
    case TO_DEVICE << 8 | SET_FEATURE: return set_device_feature(d, r, true);
    case TO_DEVICE << 8 | CLEAR_FEATURE: return set_device_feature(d, r, false);
    case TO_DEVICE << 8 | SET_SEL:
    case TO_DEVICE << 8 | SET_ISOCH_DELAY: return usb_speed(d) == USB_SUPER ? 0 : STALL;
    default: return STALL;
    }
}

static int interface_request(UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    unsigned number = r->index & 0xff;
    if (number >= USB_INTERFACES_MAX || !find_interface(d, number, d->alternate[number]))
        return STALL;
    switch (r->type << 8 | r->request) {
    case (IN | TO_INTERFACE) << 8 | GET_STATUS: return reply16(data, 0);
    case (IN | TO_INTERFACE) << 8 | GET_INTERFACE: data[0] = d->alternate[number]; return 1;
    case TO_INTERFACE << 8 | SET_INTERFACE: return set_interface(d, number, r->value);
    case TO_INTERFACE << 8 | SET_FEATURE: return set_interface_feature(d, r, true);
    case TO_INTERFACE << 8 | CLEAR_FEATURE: return set_interface_feature(d, r, false);
    default: return d->type->control ? d->type->control(d, r, data) : STALL;
    }
}

static int endpoint_request(UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    switch (r->type << 8 | r->request) {
    case (IN | TO_ENDPOINT) << 8 | GET_STATUS: return get_endpoint_status(d, r, data);
    case (IN | TO_ENDPOINT) << 8 | SYNCH_FRAME: return reply16(data, 0);
    case TO_ENDPOINT << 8 | SET_FEATURE: return set_endpoint_feature(d, r, true);
    case TO_ENDPOINT << 8 | CLEAR_FEATURE: return set_endpoint_feature(d, r, false);
    default: return STALL;
    }
}

int usb_request(UsbDevice *d, const UsbRequest *r, uint8_t *data)
{
    if (d->port && !(r->type & 0x60)) /* standard requests, by recipient */
        switch (r->type & 0x1f) {
        case TO_DEVICE: return device_request(d, r, data);
        case TO_INTERFACE: return interface_request(d, r, data);
        case TO_ENDPOINT: return endpoint_request(d, r, data);
        default: return STALL;
        }
    return d->port && d->type->control ? d->type->control(d, r, data) : STALL;
}
