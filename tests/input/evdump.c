/*
 * evdump: prints each input device's name, then what its keys and buttons do, a line each: "NAME TYPE CODE VALUE".
 * What moves comes before the next of these, movements as their sum and positions as the last, so that a slow console
 * does not have the kernel drop events.
 */
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEVICES = 16, AXES = 16 };

typedef struct Device {
    char name[64];
    int sum[AXES], place[AXES];
    unsigned placed; /* a bit for each axis */
} Device;

static int device_open(Device *d, int n)
{
    char path[32];
    snprintf(path, sizeof path, "/dev/input/event%d", n);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return fd;
    ioctl(fd, EVIOCGNAME(sizeof d->name - 1), d->name);
    for (char *p = d->name; *p; p++)
        if (*p == ' ')
            *p = '_';
    printf("device %s\n", d->name);
    return fd;
}

static void print_movement(Device *d)
{
    for (int axis = 0; axis < AXES; axis++) {
        if (d->sum[axis])
            printf("%s %d %d %d\n", d->name, EV_REL, axis, d->sum[axis]);
        if (d->placed >> axis & 1)
            printf("%s %d %d %d\n", d->name, EV_ABS, axis, d->place[axis]);
        d->sum[axis] = 0;
    }
    d->placed = 0;
}

static void take(Device *d, const struct input_event *e)
{
    if (e->type == EV_SYN && e->code == SYN_DROPPED)
        printf("%s: events were dropped\n", d->name);
    if (e->type == EV_REL && e->code < AXES)
        d->sum[e->code] += e->value;
    if (e->type == EV_ABS && e->code < AXES) {
        d->place[e->code] = e->value;
        d->placed |= 1u << e->code;
    }
    if (e->type == EV_KEY) {
        print_movement(d);
        printf("%s %u %u %d\n", d->name, e->type, e->code, e->value);
    }
}

int main(void)
{
    static Device devices[DEVICES];
    struct pollfd polled[DEVICES];
    int count = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int n = 0; n < DEVICES; n++) {
        int fd = device_open(&devices[count], n);
        if (fd >= 0)
            polled[count++] = (struct pollfd){ fd, POLLIN, 0 };
    }
    printf("evdump: ready\n");
    while (poll(polled, count, -1) > 0)
        for (int n = 0; n < count; n++) {
            struct input_event e[64];
            ssize_t size = polled[n].revents & POLLIN ? read(polled[n].fd, e, sizeof e) : 0;
            for (size_t k = 0; size > 0 && k < size / sizeof *e; k++)
                take(&devices[n], &e[k]);
        }
    return 0;
}
