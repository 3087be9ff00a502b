/* Folders that a guest may see: whom their files belong to, in the three models of security (share.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "backends/9p/share.h"
#include "core/error.h"
#include "util/endian.h"

/* QEMU's names, and its form: little-endian. */
#define MAPPED_PREFIX "user.virtfs."
#define MAPPED_UID MAPPED_PREFIX "uid"
#define MAPPED_GID MAPPED_PREFIX "gid"
#define MAPPED_MODE MAPPED_PREFIX "mode"
#define MAPPED_RDEV MAPPED_PREFIX "rdev"

/* ---- numbers of owners ---- */

static bool range_parse(const char *text, IdRange *r)
{
    g_auto(GStrv) part = g_strsplit(text, ":", 4);
    guint n = g_strv_length(part);
    guint64 v[3] = { 0, 0, 1 };

    if (n < 2 || n > 3)
        return false;
    for (guint k = 0; k < n; k++)
        if (!g_ascii_string_to_unsigned(part[k], 10, 0, UINT32_MAX - 1, &v[k], NULL))
            return false;
    *r = (IdRange) { v[0], v[1], v[2] };
    return v[2] && v[0] + v[2] <= UINT32_MAX && v[1] + v[2] <= UINT32_MAX;
}

gboolean id_map_parse(const char *what, const char *text, IdMap *map, GError **err)
{
    g_auto(GStrv) ranges = g_strsplit(text, "+", -1);

    map->count = 0;
    if (!*text)
        return error_set(err, "%s: no owners; it is GUEST:HOST or GUEST:HOST:COUNT, several joined by +", what);
    for (char **r = ranges; *r; r++) {
        if (map->count == SHARE_RANGES_MAX)
            return error_set(err, "%s=%s: more than %d ranges", what, text, SHARE_RANGES_MAX);
        if (!range_parse(*r, &map->range[map->count++]))
            return error_set(err, "%s: '%s' is no range of owners; it is GUEST:HOST or GUEST:HOST:COUNT, several joined by +",
                             what, *r);
    }
    return TRUE;
}

uint32_t id_to_guest(const IdMap *map, uint32_t host)
{
    for (unsigned k = 0; k < map->count; k++) {
        const IdRange *r = &map->range[k];
        if (host - r->host < r->count)
            return r->guest + (host - r->host);
    }
    return map->count ? SHARE_NOBODY : host;
}

bool id_to_host(const IdMap *map, uint32_t guest, uint32_t *host)
{
    *host = guest;
    for (unsigned k = 0; k < map->count; k++) {
        const IdRange *r = &map->range[k];
        if (guest - r->guest < r->count) {
            *host = r->host + (guest - r->guest);
            return true;
        }
    }
    return !map->count;
}

/* ---- extended attributes in place of the host's own ---- */

static bool mapped_get(int fd, const char *name, unsigned size, uint64_t *v)
{
    char link[SHARE_LINK_SIZE];
    uint8_t bytes[8];

    if (getxattr(share_link(fd, link), name, bytes, size) != (ssize_t)size)
        return false;
    *v = ldle(bytes, size);
    return true;
}

static int mapped_set(int fd, const char *name, unsigned size, uint64_t v)
{
    char link[SHARE_LINK_SIZE];
    uint8_t bytes[8];

    stle(bytes, v, size);
    return setxattr(share_link(fd, link), name, bytes, size, 0) ? -errno : 0;
}

/* A file is a folder, or not, on the host; it cannot become the other by an attribute. */
static uint32_t mapped_mode(uint32_t host, uint32_t mode)
{
    if (S_ISDIR(host) || S_ISDIR(mode) || !(mode & S_IFMT))
        return (host & S_IFMT) | (mode & 07777);
    return mode;
}

static void mapped_stat(int fd, struct stat *st)
{
    uint64_t v;

    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        return;
    if (mapped_get(fd, MAPPED_UID, 4, &v))
        st->st_uid = v;
    if (mapped_get(fd, MAPPED_GID, 4, &v))
        st->st_gid = v;
    if (mapped_get(fd, MAPPED_MODE, 4, &v))
        st->st_mode = mapped_mode(st->st_mode, v);
    if (mapped_get(fd, MAPPED_RDEV, 8, &v))
        st->st_rdev = v;
}

int share_stat(const Share *s, int fd, struct stat *st)
{
    if (fstat(fd, st))
        return -errno;
    st->st_uid = id_to_guest(&s->uids, st->st_uid);
    st->st_gid = id_to_guest(&s->gids, st->st_gid);
    if (s->security == SHARE_MAPPED)
        mapped_stat(fd, st);
    return 0;
}

static int mapped_set_owner(int fd, uint32_t uid, uint32_t gid)
{
    int error = uid != UINT32_MAX ? mapped_set(fd, MAPPED_UID, 4, uid) : 0;
    return !error && gid != UINT32_MAX ? mapped_set(fd, MAPPED_GID, 4, gid) : error;
}

int share_set_owner(const Share *s, int fd, uint32_t uid, uint32_t gid)
{
    uint32_t host_uid = uid, host_gid = gid;

    if (s->security == SHARE_MAPPED)
        return mapped_set_owner(fd, uid, gid);
    if ((uid != UINT32_MAX && !id_to_host(&s->uids, uid, &host_uid)) ||
        (gid != UINT32_MAX && !id_to_host(&s->gids, gid, &host_gid)))
        return s->security == SHARE_NONE ? 0 : -EPERM;
    int error = fchownat(fd, "", host_uid, host_gid, AT_EMPTY_PATH) ? -errno : 0;
    return s->security == SHARE_NONE && error == -EPERM ? 0 : error;
}

/*
 * A guest that may write to a share with model `none` must not leave programs there that run with the rights of who runs Myna:
 * no set-user-id bits.
 */
static uint32_t host_mode(const Share *s, uint32_t mode)
{
    return mode & (s->security == SHARE_PASSTHROUGH ? 07777 : 01777);
}

int share_set_mode(const Share *s, int fd, uint32_t mode)
{
    char link[SHARE_LINK_SIZE];
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -EOPNOTSUPP;
    if (s->security == SHARE_MAPPED && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return mapped_set(fd, MAPPED_MODE, 4, mode);
    return chmod(share_link(fd, link), host_mode(s, mode)) ? -errno : 0;
}

int share_set_device(const Share *s, int fd, uint64_t rdev)
{
    return s->security == SHARE_MAPPED ? mapped_set(fd, MAPPED_RDEV, 8, rdev) : 0;
}

/* In a mapped share the host's bits only let Myna in. */
uint32_t share_new_mode(const Share *s, uint32_t mode)
{
    if (s->security == SHARE_MAPPED)
        return S_ISDIR(mode) ? 0700 : 0600;
    return host_mode(s, mode);
}

bool share_xattr_visible(const Share *s, const char *name)
{
    return s->security != SHARE_MAPPED || !g_str_has_prefix(name, MAPPED_PREFIX);
}

/* security.capability and the like mean something to the host's kernel. */
bool share_xattr_writable(const Share *s, const char *name)
{
    return share_xattr_visible(s, name) && (s->security == SHARE_PASSTHROUGH || g_str_has_prefix(name, "user."));
}
