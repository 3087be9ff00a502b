/* The 9P server: versions, messages and errors (server.h). */
#include "backends/9p/server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "backends/9p/session.h"
#include "util/bits.h"
#include "util/endian.h"

/* Types of messages; an answer's is the question's + 1. */
enum {
    P9_RLERROR = 7, P9_TSTATFS = 8, P9_TLOPEN = 12, P9_TLCREATE = 14, P9_TSYMLINK = 16, P9_TMKNOD = 18, P9_TRENAME = 20,
    P9_TREADLINK = 22, P9_TGETATTR = 24, P9_TSETATTR = 26, P9_TXATTRWALK = 30, P9_TXATTRCREATE = 32, P9_TREADDIR = 40,
    P9_TFSYNC = 50, P9_TLOCK = 52, P9_TGETLOCK = 54, P9_TLINK = 70, P9_TMKDIR = 72, P9_TRENAMEAT = 74, P9_TUNLINKAT = 76,
    P9_TVERSION = 100, P9_TAUTH = 102, P9_TATTACH = 104, P9_TFLUSH = 108, P9_TWALK = 110, P9_TREAD = 116, P9_TWRITE = 118,
    P9_TCLUNK = 120, P9_TREMOVE = 122
};

/* ---- the server ---- */

/* A quarter of the descriptors that the process may have, so that a guest cannot take its disks and networks away. */
static gint descriptors_for_guest(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return P9_FIDS_MAX;
    return CLAMP(limit.rlim_cur / 4, 16, P9_FIDS_MAX);
}

P9Server *p9_server_new(const Share *share)
{
    P9Server *s = g_new0(P9Server, 1);

    s->refs = 1;
    s->share = share;
    s->fids = g_hash_table_new(NULL, NULL);
    s->open_max = descriptors_for_guest();
    s->locks = g_array_new(FALSE, FALSE, sizeof(P9LockRange));
    g_rw_lock_init(&s->lock);
    g_mutex_init(&s->locks_mutex);
    g_mutex_init(&s->devices_mutex);
    return s;
}

P9Server *p9_server_ref(P9Server *s)
{
    g_atomic_int_inc(&s->refs);
    return s;
}

void p9_server_unref(P9Server *s)
{
    if (!g_atomic_int_dec_and_test(&s->refs))
        return;
    fids_clear(s);
    g_hash_table_unref(s->fids);
    g_array_unref(s->locks);
    g_rw_lock_clear(&s->lock);
    g_mutex_clear(&s->locks_mutex);
    g_mutex_clear(&s->devices_mutex);
    g_free(s);
}

/* ---- what messages have in common ---- */

/* The 16th device and later ones share a number: two of their files may then look like one to the guest, no more. */
static unsigned device_number(P9Server *s, uint64_t device)
{
    unsigned n = 0;

    g_mutex_lock(&s->devices_mutex);
    while (n < s->device_count && s->device[n] != device)
        n++;
    if (n == s->device_count && n < ARRAY_SIZE(s->device))
        s->device[s->device_count++] = device;
    g_mutex_unlock(&s->devices_mutex);
    return n;
}

uint64_t qid_path(P9Server *s, uint64_t device, uint64_t inode)
{
    return inode ^ (uint64_t)device_number(s, device) << 59;
}

void put_qid(P9Request *q, const struct stat *st)
{
    p9_put8(&q->out, S_ISDIR(st->st_mode) ? QID_FOLDER : S_ISLNK(st->st_mode) ? QID_LINK : QID_FILE);
    p9_put32(&q->out, st->st_mtim.tv_sec ^ st->st_mtim.tv_nsec ^ st->st_size << 8);
    p9_put64(&q->out, qid_path(q->server, st->st_dev, st->st_ino));
}

bool name_is_valid(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

char *path_join(const char *folder, const char *name)
{
    return *folder ? g_strconcat(folder, "/", name, NULL) : g_strdup(name);
}

int open_flags(uint32_t flags)
{
    static const struct { uint32_t flag; int host; } table[] = {
        { 01000, O_TRUNC }, { 02000, O_APPEND }, { 010000, O_DSYNC }, { 0200000, O_DIRECTORY }, { 04000000, O_SYNC },
    };
    static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR };
    int host = modes[flags & 3];

    for (unsigned k = 0; k < ARRAY_SIZE(table); k++)
        if (flags & table[k].flag)
            host |= table[k].host;
    return host;
}

/* ---- messages about no file in particular ---- */

/* version(5): begins anew, with no fid. */
static int version(P9Request *q)
{
    P9Server *s = q->server;
    uint32_t wanted = p9_get32(&q->in), msize = MIN(wanted, P9_MSIZE_MAX);
    g_autofree char *name = p9_get_string(&q->in);
    bool known = !strcmp(name, "9P2000.L");

    if (q->in.bad)
        return -EPROTO;
    if (msize < P9_MSIZE_MIN)
        return -EMSGSIZE;
    fids_clear(s);
    g_rw_lock_writer_lock(&s->lock);
    s->msize = known ? msize : 0;
    g_rw_lock_writer_unlock(&s->lock);
    p9_put32(&q->out, msize);
    p9_put_string(&q->out, known ? "9P2000.L" : "unknown");
    return 0;
}

static int auth(P9Request *q)
{
    (void)q;
    return -ENOENT; /* none is needed: attach(5) */
}

static int flush(P9Request *q)
{
    p9_get16(&q->in);
    return q->in.bad ? -EPROTO : 0;
}

int p9_statfs(P9Request *q)
{
    enum { V9FS_MAGIC = 0x01021997 }; /* linux/magic.h */
    P9Fid *f = fid_get(q->server, p9_get32(&q->in));
    struct statfs st;

    if (!f)
        return -EBADF;
    int fd = fid_handle(q->server, f);
    fid_put(f);
    if (fd < 0)
        return fd;
    int error = fstatfs(fd, &st) ? -errno : 0;
    close(fd);
    if (error)
        return error;
    p9_put32(&q->out, V9FS_MAGIC);
    p9_put32(&q->out, st.f_bsize);
    p9_put64(&q->out, st.f_blocks);
    p9_put64(&q->out, st.f_bfree);
    p9_put64(&q->out, st.f_bavail);
    p9_put64(&q->out, st.f_files);
    p9_put64(&q->out, st.f_ffree);
    p9_put64(&q->out, 0);
    p9_put32(&q->out, st.f_namelen);
    return 0;
}

/* ---- dispatch ---- */

static P9Handler *handler_of(uint8_t type)
{
    static P9Handler *const table[256] = {
        [P9_TSTATFS] = p9_statfs, [P9_TLOPEN] = p9_lopen, [P9_TLCREATE] = p9_lcreate, [P9_TSYMLINK] = p9_symlink,
        [P9_TMKNOD] = p9_mknod, [P9_TRENAME] = p9_rename, [P9_TREADLINK] = p9_readlink, [P9_TGETATTR] = p9_getattr,
        [P9_TSETATTR] = p9_setattr, [P9_TXATTRWALK] = p9_xattrwalk, [P9_TXATTRCREATE] = p9_xattrcreate,
        [P9_TREADDIR] = p9_readdir, [P9_TFSYNC] = p9_fsync, [P9_TLOCK] = p9_lock, [P9_TGETLOCK] = p9_getlock,
        [P9_TLINK] = p9_link, [P9_TMKDIR] = p9_mkdir, [P9_TRENAMEAT] = p9_renameat, [P9_TUNLINKAT] = p9_unlinkat,
        [P9_TVERSION] = version, [P9_TAUTH] = auth, [P9_TATTACH] = p9_attach, [P9_TFLUSH] = flush, [P9_TWALK] = p9_walk,
        [P9_TREAD] = p9_read, [P9_TWRITE] = p9_write, [P9_TCLUNK] = p9_clunk, [P9_TREMOVE] = p9_remove,
    };
    return table[type];
}

static bool changes_files(uint8_t type)
{
    switch (type) {
    case P9_TLCREATE: case P9_TSYMLINK: case P9_TMKNOD: case P9_TRENAME: case P9_TSETATTR: case P9_TXATTRCREATE:
    case P9_TLINK: case P9_TMKDIR: case P9_TRENAMEAT: case P9_TUNLINKAT: case P9_TWRITE:
        return true;
    default:
        return false; /* opening and removing look for themselves */
    }
}

static uint32_t agreed_size(P9Server *s)
{
    g_rw_lock_reader_lock(&s->lock);
    uint32_t msize = s->msize;
    g_rw_lock_reader_unlock(&s->lock);
    return msize;
}

/* What the message comes to: its answer is in q->out behind the header, or a negative errno. */
static int carry_out(P9Request *q, uint8_t type, uint32_t msize)
{
    P9Handler *handler = handler_of(type);

    if (!handler)
        return -EOPNOTSUPP;
    if (!msize && type != P9_TVERSION)
        return -EPROTO;
    if (q->server->share->readonly && changes_files(type))
        return -EROFS;
    int error = handler(q);
    if (!error && q->in.bad)
        return -EPROTO;
    return !error && q->out.full ? -ENOBUFS : error;
}

static size_t put_error(uint8_t *answer, size_t room, int error)
{
    enum { SIZE = P9_HEADER_SIZE + 4 };
    if (room < SIZE)
        return 0;
    answer[4] = P9_RLERROR;
    st32le(answer + P9_HEADER_SIZE, -error);
    return SIZE;
}

size_t p9_server_handle(P9Server *s, const uint8_t *message, size_t size, uint8_t *answer, size_t room)
{
    uint32_t msize = agreed_size(s), told = size >= P9_HEADER_SIZE ? ld32le(message) : 0;

    room = MIN(room, msize ? msize : P9_MSIZE_MIN);
    if (room < P9_HEADER_SIZE || size < P9_HEADER_SIZE)
        return 0;
    P9Request q = { s, { message, MIN(size, told), P9_HEADER_SIZE, false }, { answer, room, P9_HEADER_SIZE, false } };
    bool whole = told >= P9_HEADER_SIZE && told <= size && told <= (msize ? msize : P9_MSIZE_MIN);
    int error = whole ? carry_out(&q, message[4], msize) : -EPROTO;
    answer[4] = message[4] + 1;
    size_t length = error ? put_error(answer, room, error) : q.out.pos;
    memcpy(answer + 5, message + 5, 2);
    if (length)
        st32le(answer, length);
    return length;
}
