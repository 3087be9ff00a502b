/*
 * Tap interfaces of Linux: getting the descriptor (Linux, Documentation/networking/tuntap.rst).
 */
#ifdef __linux__
#include "backends/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"

#define DEFAULT_HELPER "/usr/lib/qemu/qemu-bridge-helper"
#define DEFAULT_BRIDGE "br0"

static int fd_finish(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

/* ---- an interface of that name, or a new one ---- */

static void interface_failed(const NetBackend *n, const char *name, GError **err)
{
    const char *user = g_get_user_name();
    switch (errno) {
    case EPERM:
        error_set(err, "network '%s': no right to the interface '%s'; once, as root: ip tuntap add dev %s mode tap "
                       "user %s",
                  n->id, name, name, user);
        break;
    case EBUSY:
        error_set(err, "network '%s': the interface '%s' is in use by another process", n->id, name);
        break;
    case EINVAL:
        error_set(err, "network '%s': '%s' is not a tap interface (or one of several queues)", n->id, name);
        break;
    default: error_set(err, "network '%s': interface '%s': %s", n->id, name, g_strerror(errno));
    }
}

static void device_failed(const NetBackend *n, GError **err)
{
    const char *help = errno == ENOENT || errno == ENODEV || errno == ENXIO ? " (as root: modprobe tun)" : "";
    error_set(err, "network '%s': cannot open /dev/net/tun: %s%s; -netdev user needs no rights", n->id,
              g_strerror(errno), help);
}

int tap_open_interface(const NetBackend *n, const TapSettings *s, char **name, GError **err)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | (s->vnet_hdr ? IFF_VNET_HDR : 0)};
    const char *wanted = s->ifname ? s->ifname : "tap%d";
    if (strlen(wanted) >= IFNAMSIZ) {
        error_set(err, "network '%s': ifname=%s is longer than %u characters", n->id, wanted, IFNAMSIZ - 1);
        return -1;
    }
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        device_failed(n, err);
        return -1;
    }
    strcpy(request.ifr_name, wanted);
    if (ioctl(fd, TUNSETIFF, &request)) {
        interface_failed(n, wanted, err);
        close(fd);
        return -1;
    }
    *name = g_strndup(request.ifr_name, IFNAMSIZ);
    return fd_finish(fd);
}

/* ---- one that somebody else has opened ---- */

static int descriptor_check(const NetBackend *n, int fd, char **name, GError **err)
{
    struct ifreq request = {0};
    if (ioctl(fd, TUNGETIFF, &request) || !(request.ifr_flags & IFF_TAP)) {
        error_set(err, "network '%s': descriptor %d is not a tap interface", n->id, fd);
        return -1;
    }
    *name = g_strndup(request.ifr_name, IFNAMSIZ);
    return fd_finish(fd);
}

int tap_open_given(const NetBackend *n, const TapSettings *s, char **name, GError **err)
{
    unsigned fd;
    if (!parse_unsigned("-netdev tap fd=", s->fd, INT_MAX, &fd, err))
        return -1;
    return descriptor_check(n, fd, name, err);
}

/* ---- a helper with the right to, which joins the interface to a bridge ---- */

/* The descriptor travels as a control message beside one byte (unix(7), SCM_RIGHTS). */
static int descriptor_receive(int socket)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    int fd = -1;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); got > 0 && c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    }
    return fd;
}

/* What the helper said, and what is usually wrong. */
static void helper_failed(const NetBackend *n, const char *helper, const char *bridge, int errors, GError **err)
{
    char text[256] = "";
    ssize_t got = read(errors, text, sizeof text - 1);
    g_strdelimit(g_strchomp(text), "\n", ' ');
    const char *help = "";
    g_autofree char *allow = g_strdup_printf("; /etc/qemu/bridge.conf must have the line 'allow %s'", bridge);
    if (got > 0 && (strstr(text, "access denied") || strstr(text, "acl")))
        help = allow;
    else if (got > 0 && strstr(text, "not permitted"))
        help = "; it needs root's rights (chmod u+s)";
    else if (got > 0 && (strstr(text, "No such device") || strstr(text, "mtu")))
        help = "; the bridge must be there (ip link add NAME type bridge)";
    error_set(err, "network '%s': the helper %s gave no interface on bridge %s: %s%s", n->id, helper, bridge,
              *text ? text : "it said nothing", help);
}

/* It inherits its end of the pair, by number; all other descriptors of this process close themselves. */
static gboolean helper_start(const NetBackend *n, const char *helper, const char *bridge, int socket, GPid *pid,
                             int *errors,
                             GError **err)
{
    g_autofree char *fd = g_strdup_printf("--fd=%d", socket), *br = g_strdup_printf("--br=%s", bridge);
    const char *argv[] = {helper, "--use-vnet", fd, br, NULL};
    g_autoptr(GError) why = NULL;
    fcntl(socket, F_SETFD, 0);
    if (g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                                 NULL,
                                 NULL, pid, NULL, NULL, errors, &why))
        return TRUE;
    return error_set(err, "network '%s': cannot start the helper %s: %s (Debian: qemu-system-common has it)", n->id,
                     helper,
                     why->message);
}

int tap_open_helper(const NetBackend *n, const TapSettings *s, char **name, GError **err)
{
    const char *helper = s->helper ? s->helper : DEFAULT_HELPER, *bridge = s->bridge ? s->bridge : DEFAULT_BRIDGE;
    int pair[2], errors, status;
    GPid pid;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
        error_set(err, "network '%s': %s", n->id, g_strerror(errno));
        return -1;
    }
    gboolean ok = helper_start(n, helper, bridge, pair[1], &pid, &errors, err);
    close(pair[1]);
    int fd = ok ? descriptor_receive(pair[0]) : -1;
    close(pair[0]);
    if (!ok)
        return -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (fd < 0)
        helper_failed(n, helper, bridge, errors, err);
    close(errors);
    return fd < 0 ? -1 : descriptor_check(n, fd, name, err);
}

/* ---- scripts ---- */

gboolean tap_run_script(const NetBackend *n, const char *script, const char *name, GError **err)
{
    const char *argv[] = {script, name, NULL};
    g_autoptr(GError) why = NULL;
    int status;
    if (!script || !*script || !strcmp(script, "no"))
        return TRUE;
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL, &status, &why))
        return error_set(err, "network '%s': cannot run the script %s: %s (script=no: none)", n->id, script,
                         why->message);
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return TRUE;
    return error_set(err, "network '%s': the script %s %s failed with status %d", n->id, script, name,
                     WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
#endif
