/*
 * Inside backends/net: what all kinds of networks share. Each kind is a file with a NetKind; net.c holds the list, the
 * notation and the way of frames between host and card, net_offload.c the work that one side leaves to the other,
 * pcap.c the captures.
 */
#ifndef MYNA_BACKENDS_NET_BACKEND_H
#define MYNA_BACKENDS_NET_BACKEND_H

#include "backends/net/net.h"
#include "core/machine.h"
#include "core/options.h"

/* What every -netdev may say: the first member of a kind's settings, and the first rows of its table. */
typedef struct NetSettings {
    char *type, *id, *pcap;
} NetSettings;

#define NET_SETTINGS_FIELDS(T)                                                                                         \
    OPTION_FIELD(T, common.type, "type", OPTION_STRING), OPTION_FIELD(T, common.id, "id", OPTION_STRING),              \
        OPTION_FIELD(T, common.pcap, "pcap", OPTION_STRING)

typedef struct NetKind {
    const char *name;         /* -netdev's first word */
    const char *help;
    size_t settings_size;
    const OptionField *fields;
    void (*settings_default)(void *settings); /* values of what is not given; NULL: zeros */
    /* close() is called also when this fails.  NULL: it is not built in; help says why. */
    gboolean (*open)(NetBackend *n, const void *settings, GError **err);
    void (*close)(NetBackend *n);
    /* A frame from the card, with nothing left to do but what n->host_abilities says; iov is only for this call. */
    void (*send)(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload);
    void (*wake)(NetBackend *n);          /* net_has_room() may have become true; NULL: nothing to do */
    void (*abilities_changed)(NetBackend *n); /* n->abilities; NULL: nothing to do */
    void (*describe)(NetBackend *n, GString *out); /* ",key=value" for `info network`; NULL: no more to say */
} NetKind;

extern const NetKind net_kind_hubport, net_kind_socket, net_kind_stream, net_kind_dgram, net_kind_tap, net_kind_bridge,
    net_kind_user;

typedef struct NetCapture NetCapture;

/* Frames that the card has no room for, in the order they came; bounded in number and bytes. */
typedef struct NetQueue {
    GQueue frames;
    size_t bytes;
} NetQueue;

struct NetBackend {
    Machine *machine;
    char *id;
    const NetKind *kind;
    void *state;              /* of the kind */
    unsigned host_abilities;  /* NET_CAN_* of the host's side, for frames from the card */
    const NetUser *user;      /* the card; NULL: none */
    void *opaque;
    char *device;             /* its name */
    unsigned abilities;       /* its NET_CAN_* */
    bool down;                /* by set_link */
    bool no_carrier;          /* by the host's side */
    bool sending;             /* within kind->send(): a frame that comes back here goes round in a loop of hubs */
    bool delivering;          /* within user->receive() */
    bool starved;             /* net_has_room() has said no: the kind waits for wake() */
    NetQueue queue;
    GPtrArray *captures;      /* NetCapture *; NULL: none */
    uint64_t frames_in, bytes_in, frames_out, bytes_out; /* in: to the card */
    uint64_t dropped, lost;   /* on the way to the card, on the way to the host */
};

/* A frame from the host; what is left to do with it that the card cannot is done here. */
void net_receive(NetBackend *n, const struct iovec *iov, unsigned count, const NetOffload *offload);

/*
 * Whether a frame would reach the card at once, or be dropped at once as there is none to take it.  Otherwise the kind
 * stops reading from the host, which then queues by itself, until wake().
 */
bool net_has_room(NetBackend *n);

/* The host's interface, or the other end, came or went. */
void net_set_carrier(NetBackend *n, bool up);

/*
 * net_offload.c: gives fn the frame, in as many frames as a side with `abilities` needs, each with what is left to do.
 */
typedef void NetFrameFn(void *opaque, const struct iovec *iov, unsigned count, const NetOffload *offload);
void net_finish(const struct iovec *iov, unsigned count, const NetOffload *offload, unsigned abilities, NetFrameFn *fn,
                void *opaque);
/*
 * The same in place, without cutting: the checksums of a frame that may be a large segment of TCP, and its lengths.
 * FALSE: its headers do not hold what is to be done.
 */
gboolean net_complete(uint8_t *frame, size_t size, const NetOffload *offload);
/* Whether net_finish() would have something to do. */
bool net_unfinished(const NetOffload *offload, unsigned abilities);

/* pcap.c */
void net_capture(NetBackend *n, const struct iovec *iov, unsigned count);
void net_captures_free(NetBackend *n);

#endif
