/* events: prints what all input devices of a Linux guest send, a line each: E DEVICE TYPE CODE VALUE. */
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEVICES = 16 };

int main(void)
{
    struct pollfd fds[DEVICES];
    int count = 0;
    char path[32], name[DEVICES][64];
    for (int n = 0; n < DEVICES; n++) {
        snprintf(path, sizeof path, "/dev/input/event%d", n);
        int fd = open(path, O_RDONLY);
        if (fd < 0)
            continue;
        if (ioctl(fd, EVIOCGNAME(sizeof name[count]), name[count]) < 0)
            name[count][0] = 0;
        printf("device %d: %s\n", n, name[count]);
        fds[count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    }
    printf("reading %d\n", count);
    fflush(stdout);
    while (poll(fds, count, -1) > 0) {
        for (int n = 0; n < count; n++) {
            struct input_event e;
            if (!(fds[n].revents & POLLIN) || read(fds[n].fd, &e, sizeof e) != sizeof e)
                continue;
            if (e.type == EV_KEY || e.type == EV_REL || e.type == EV_ABS)
                printf("E %s %d %d %d\n", name[n], e.type, e.code, e.value);
        }
        fflush(stdout);
    }
    return 0;
}
