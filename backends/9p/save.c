/*
 * A 9P server as bytes, little-endian: u32 msize; fids: u32 count, of each u32 id, u32 uid, u8 kind, u32 flags, u8 whether it has a
 * path, the path; of attributes u32 charged, u32 flags, the name, u32 size, the bytes; locks: u32 count, of each u32 fid, u8 type,
 * u64 start, u64 end, u32 process, the client.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/9p/session.h"
#include "core/error.h"
#include "util/endian.h"

enum { TRUNCATE = 01000 };

/* ---- saving ---- */

static void save(GByteArray *out, uint64_t v, unsigned size)
{
    uint8_t bytes[8];
    stle(bytes, v, size);
    g_byte_array_append(out, bytes, size);
}

static void save_string(GByteArray *out, const char *s)
{
    save(out, strlen(s), 2);
    g_byte_array_append(out, (const uint8_t *)s, strlen(s));
}

static void save_fid(const P9Fid *f, GByteArray *out)
{
    save(out, f->id, 4);
    save(out, f->uid, 4);
    save(out, f->kind, 1);
    save(out, f->flags, 4);
    save(out, f->path != NULL, 1);
    if (f->path)
        save_string(out, f->path);
    if (f->kind != FID_XATTR && f->kind != FID_XATTR_NEW)
        return;
    save(out, f->charged, 4);
    save(out, f->xattr_flags, 4);
    save_string(out, f->xattr ? f->xattr : "");
    save(out, f->value->len, 4);
    g_byte_array_append(out, f->value->data, f->value->len);
}

static void save_lock(const P9LockRange *r, GByteArray *out)
{
    save(out, r->fid, 4);
    save(out, r->type, 1);
    save(out, r->start, 8);
    save(out, r->end, 8);
    save(out, r->process, 4);
    save_string(out, r->client);
}

void p9_server_save(P9Server *s, GByteArray *out)
{
    GHashTableIter i;
    gpointer f;

    save(out, s->msize, 4);
    save(out, g_hash_table_size(s->fids), 4);
    g_hash_table_iter_init(&i, s->fids);
    while (g_hash_table_iter_next(&i, NULL, &f))
        save_fid(f, out);
    save(out, s->locks->len, 4);
    for (guint n = 0; n < s->locks->len; n++)
        save_lock(&g_array_index(s->locks, P9LockRange, n), out);
}

/* ---- loading ---- */

/* What the parts of a path must be for share_open(). */
static bool path_is_valid(const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    for (char **n = names; *n; n++)
        if (!name_is_valid(*n))
            return false;
    return true;
}

/* A file that is gone, or not to be opened any more, leaves a fid without one: reading gives EBADF, all else ENOENT. */
static void reopen(P9Server *s, P9Fid *f, uint32_t flags)
{
    int path = fid_open(s, f, 0);
    int fd = path < 0 ? path : share_reopen(path, open_flags(flags & ~TRUNCATE));

    if (path >= 0)
        close(path);
    if (s->share->readonly && flags & 3 && fd >= 0) {
        close(fd);
        fd = -EROFS;
    }
    if (fd < 0 || fid_set_open(s, f, fd, flags & ~TRUNCATE))
        fid_set_path(s, f, NULL);
}

static gboolean load_value(P9Server *s, P9Fid *f, P9Reader *r, uint8_t kind, GError **err)
{
    uint32_t charged = p9_get32(r);

    f->xattr_flags = p9_get32(r);
    f->xattr = p9_get_string(r);
    uint32_t size = p9_get32(r);
    const uint8_t *data = p9_take(r, size);
    if (r->bad || size > charged || charged > 65536 || fid_charge(s, f, charged))
        return error_set(err, "9p: a saved attribute of %u bytes is not whole", charged);
    f->kind = kind;
    f->value = g_byte_array_new();
    g_byte_array_append(f->value, data, size);
    return TRUE;
}

static gboolean load_fid(P9Server *s, P9Reader *r, GError **err)
{
    uint32_t id = p9_get32(r), uid = p9_get32(r);
    uint8_t kind = p9_get8(r);
    uint32_t flags = p9_get32(r);
    char *path = p9_get8(r) ? p9_get_string(r) : NULL;
    P9Fid *f;

    if (r->bad || kind > FID_XATTR_NEW || (path && *path && !path_is_valid(path))) {
        g_free(path);
        return error_set(err, "9p: a saved fid is not valid");
    }
    if (fid_add_locked(s, id, uid, path, &f))
        return error_set(err, "9p: saved fid %u is there twice, or one too many", id);
    if (kind == FID_XATTR || kind == FID_XATTR_NEW)
        return load_value(s, f, r, kind, err);
    if (kind != FID_PATH)
        reopen(s, f, flags);
    return TRUE;
}

static gboolean load_lock(P9Server *s, P9Reader *r, GError **err)
{
    P9LockRange l = { .fid = p9_get32(r), .type = p9_get8(r), .start = p9_get64(r), .end = p9_get64(r), .process = p9_get32(r) };
    g_autofree char *client = p9_get_string(r);
    P9Fid *f = g_hash_table_lookup(s->fids, GUINT_TO_POINTER(l.fid));
    struct stat st;

    if (r->bad || l.type > 1 || l.start > l.end)
        return error_set(err, "9p: a saved lock is not valid");
    if (!f || f->fd < 0 || fstat(f->fd, &st))
        return TRUE;
    l.device = st.st_dev;
    l.inode = st.st_ino;
    l.client = client;
    locks_append(s, l);
    return TRUE;
}

gboolean p9_server_load(P9Server *s, const uint8_t *data, size_t size, GError **err)
{
    P9Reader r = { data, size, 0, false };

    s->msize = p9_get32(&r);
    if (s->msize && (s->msize < P9_MSIZE_MIN || s->msize > P9_MSIZE_MAX))
        return error_set(err, "9p: a saved message size of %u bytes is none", s->msize);
    for (uint32_t n = p9_get32(&r); n && !r.bad; n--)
        if (!load_fid(s, &r, err))
            return FALSE;
    for (uint32_t n = p9_get32(&r); n && !r.bad; n--)
        if (!load_lock(s, &r, err))
            return FALSE;
    return (!r.bad && r.pos == r.size) || error_set(err, "9p: the saved server is not whole");
}
