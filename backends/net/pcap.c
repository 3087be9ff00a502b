/*
 * Captures of a network's frames in libpcap's file format (microseconds, LINKTYPE_ETHERNET), for Wireshark and
 * tcpdump: -object filter-dump, or a network's pcap=.
 *
 * Frames are recorded as they pass between card and network: those with segmentation left to do are longer than the
 * wire's.  The file's numbers are in the host's byte order, which its magic number tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "backends/net/backend.h"
#include "core/error.h"
#include "core/log.h"

enum { LINKTYPE_ETHERNET = 1, LENGTH_MAX = 65536, FILE_BUFFER = 256 << 10, FLUSH_MS = 200 };

struct NetCapture {
    NetBackend *network;
    char *name;
    FILE *file;              /* NULL: writing has failed, which was said */
    unsigned length;         /* of a frame, so many bytes at most */
    GSource *flushing;       /* while something has been written that is not in the file yet */
};

static void put_u32(FILE *f, uint32_t v)
{
    fwrite(&v, sizeof v, 1, f);
}

static void put_u16(FILE *f, uint16_t v)
{
    fwrite(&v, sizeof v, 1, f);
}

/* Magic number, version 2.4, two fields that are always zero, length of a frame at most, kind of link. */
static void put_header(const NetCapture *c)
{
    put_u32(c->file, 0xa1b2c3d4);
    put_u16(c->file, 2);
    put_u16(c->file, 4);
    put_u32(c->file, 0);
    put_u32(c->file, 0);
    put_u32(c->file, c->length);
    put_u32(c->file, LINKTYPE_ETHERNET);
}

static void flush_cancel(NetCapture *c)
{
    if (!c->flushing)
        return;
    g_source_destroy(c->flushing);
    g_clear_pointer(&c->flushing, g_source_unref);
}

/* Who looks at the file while it grows sees all but the last moment. */
static gboolean flush_now(gpointer p)
{
    NetCapture *c = p;
    Machine *m = c->network->machine;
    machine_lock(m);
    if (c->flushing && c->file)
        fflush(c->file);
    flush_cancel(c);
    machine_unlock(m);
    return G_SOURCE_REMOVE;
}

static void flush_later(NetCapture *c)
{
    if (c->flushing)
        return;
    c->flushing = g_timeout_source_new(FLUSH_MS);
    g_source_set_callback(c->flushing, flush_now, c, NULL);
    g_source_attach(c->flushing, c->network->machine->context);
}

static void capture_free(gpointer p)
{
    NetCapture *c = p;
    flush_cancel(c);
    if (c->file)
        fclose(c->file);
    g_free(c->name);
    g_free(c);
}

static void capture_frame(NetBackend *n, NetCapture *c, const struct iovec *iov, unsigned count)
{
    size_t size = net_iov_size(iov, count), kept = MIN(size, c->length);
    int64_t now = clock_now(n->machine->clocks, MYNA_CLOCK_HOST) / 1000;
    put_u32(c->file, now / 1000000);
    put_u32(c->file, now % 1000000);
    put_u32(c->file, kept);
    put_u32(c->file, size);
    for (unsigned i = 0; i < count && kept; i++) {
        size_t part = MIN(iov[i].iov_len, kept);
        fwrite(iov[i].iov_base, 1, part, c->file);
        kept -= part;
    }
    flush_later(c);
    if (!ferror(c->file))
        return;
    log_user("capture of network '%s': cannot write %s: %s; it ends here", n->id, c->name, g_strerror(errno));
    fclose(c->file);
    c->file = NULL;
}

void net_capture(NetBackend *n, const struct iovec *iov, unsigned count)
{
    for (unsigned i = 0; i < n->captures->len; i++) {
        NetCapture *c = n->captures->pdata[i];
        if (c->file)
            capture_frame(n, c, iov, count);
    }
}

void net_captures_free(NetBackend *n)
{
    g_clear_pointer(&n->captures, g_ptr_array_unref);
}

gboolean net_capture_start(NetBackend *n, const char *file, unsigned length, GError **err)
{
    FILE *f = fopen(file, "wbe");
    if (!f)
        return error_set(err, "capture of network '%s': cannot write %s: %s", n->id, file, g_strerror(errno));
    setvbuf(f, NULL, _IOFBF, FILE_BUFFER);
    NetCapture *c = g_new0(NetCapture, 1);
    c->network = n;
    c->file = f;
    c->name = g_strdup(file);
    c->length = length && length < LENGTH_MAX ? length : LENGTH_MAX;
    put_header(c);
    if (!n->captures)
        n->captures = g_ptr_array_new_with_free_func(capture_free);
    g_ptr_array_add(n->captures, c);
    return TRUE;
}
