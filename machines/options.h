/*
 * The command line.  Names and meaning are QEMU's wherever QEMU has the option.
 */
#ifndef MYNA_MACHINES_OPTIONS_H
#define MYNA_MACHINES_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/device.h"
#include "machines/drive_options.h"

struct Board;

/* -machine */
typedef struct MachineOptions {
    char *type, *accel, *pcspk_audiodev;
    char *vmport;              /* "auto", "on" or "off"; NULL: auto */
    uint64_t max_ram_below_4g; /* 0: the board's choice */
    bool tablet;               /* a USB tablet where there is a screen to look at */
    bool pit, i8042, hpet, acpi, usb;
} MachineOptions;

/* -accel */
typedef struct AccelOptions {
    char *name;                /* "kvm:tcg": the first that is there; NULL: the best */
    char *thread;              /* "multi" or "single"; NULL: multi */
    uint64_t tb_size;          /* bytes of recompiled code for each processor; 0: the default */
    unsigned hot;              /* runs of a block before it is recompiled; 0: the default */
    bool verify;
    bool avx512;               /* recompiled code may use the host's AVX-512 */
    bool recompile;            /* what came of it: the recompiler, not the interpreter alone */
} AccelOptions;

/* -smp */
typedef struct SmpOptions {
    unsigned cpus;
    unsigned max_cpus, sockets, dies, cores, threads; /* 0: not given */
} SmpOptions;

/* -rtc */
typedef struct RtcOptions {
    char *base, *clock;
} RtcOptions;

/* -smbios: words of the system's table; NULL: the board's */
typedef struct SmbiosOptions {
    char *type, *manufacturer, *product, *version, *serial, *sku, *family;
} SmbiosOptions;

/* -action: what becomes of the guest's wishes; NULL: the first of each */
typedef struct ActionOptions {
    char *reboot;              /* "reset" or "shutdown" (-no-reboot) */
    char *shutdown;            /* "poweroff" or "pause" (-no-shutdown) */
    char *triple_fault;        /* "auto" (debugger.h), "stop" or "reset" */
} ActionOptions;

/* -boot */
typedef struct BootOptions {
    char *order, *once;
    bool menu;
} BootOptions;

/* -memory */
typedef struct MemoryOptions {
    uint64_t size;
    char *slots, *max;
} MemoryOptions;

typedef struct Options {
    const DeviceType *const *types; /* all device types, ended by NULL */
    const struct Board *board;
    MachineOptions machine;
    AccelOptions accel;
    MemoryOptions memory;
    SmpOptions smp;
    RtcOptions rtc;
    SmbiosOptions smbios;
    ActionOptions action;
    BootOptions boot;
    char *cpu;                 /* NULL: the default model */
    char *kernel, *initrd, *append, *bios;
    const struct KeyLayout *layout; /* -k; NULL: not given */
    char *screenshot_on_exit, *record_screen;
    char *name, *log, *log_file, *log_filter, *pid_file, *vga, *debug_script;
    GPtrArray *paths;          /* -L, char * */
    GPtrArray *drives;         /* DriveOptions * */
    GPtrArray *blockdevs;      /* -blockdev, char * */
    GPtrArray *serials, *parallels, *monitors, *chardevs, *devices, *globals, *fw_cfgs, *debugcons, *mons,
        *qmps, *pretty_qmps, *netdevs, *audiodevs, *audios, *fsdevs, *virtfs, *nics, *nets, *objects,
        *displays; /* char * */
    char *gdb;                 /* -gdb, -s: the device of the gdb port */
    bool perf_map;             /* -perfmap */
    bool no_network;           /* -nic none, -net none */
    bool snapshot, nographic, nodefaults, no_reboot, no_shutdown, stopped;
    bool done;                 /* a list or text was printed: there is nothing to run */
} Options;

/* Parses the command line; NULL with *err.  types: what -device may name. */
Options *options_parse(int argc, char **argv, const DeviceType *const *types, GError **err);
void options_free(Options *o);

#endif
