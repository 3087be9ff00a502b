/*
 * The command line (machines/options.h): a row for each option says where its argument goes.
 */
#include "machines/options.h"

#include <inttypes.h>
#include <string.h>

#include "backends/audio/audio.h"
#include "backends/char/char.h"
#include "backends/net/net.h"
#include "core/error.h"
#include "core/log.h"
#include "core/options.h"
#include "core/version.h"
#include "cpu/cpu.h"
#include "machines/board.h"
#include "machines/networks.h"
#include "machines/sound.h"
#include "tcg/tcg.h"
#include "ui/keymap.h"
#include "ui/ui.h"
#include "util/bits.h"

typedef enum OptionKind {
    KIND_FLAG,     /* a bool becomes true */
    KIND_STRING,   /* char *, the last one counts */
    KIND_LIST,     /* GPtrArray of char *, in order */
    KIND_FIELDS,   /* key=value into `fields` of the struct at offset */
    KIND_CALL,     /* set() */
    KIND_IGNORED,  /* QEMU has it; nothing to do here */
} OptionKind;

typedef struct Option {
    const char *name;      /* without the dash */
    const char *argument;  /* its notation, NULL: none */
    const char *help;      /* NULL: a short or second name, left out of -help */
    OptionKind kind;
    size_t offset;
    const OptionField *fields;
    const char *implied;
    gboolean (*set)(Options *o, const char *argument, GError **err);
} Option;

/* ---- key=value options ---- */

static const char *const words_rtc_clock[] = {"host", "vm", "rt", NULL};
static const char *const words_vga[] = {"std", "cirrus", "virtio", "none", NULL};
static const char *const words_auto[] = {"auto", "on", "off", NULL};
static const char *const words_smbios[] = {"1", NULL};
static const char *const words_thread[] = {"multi", "single", NULL};

static const char *const words_reboot[] = {"reset", "shutdown", NULL};
static const char *const words_shutdown[] = {"poweroff", "pause", NULL};
static const char *const words_triple_fault[] = {"auto", "stop", "reset", NULL};

static const OptionField machine_fields[] = {
    OPTION_FIELD(MachineOptions, type, "type", OPTION_STRING),
    OPTION_FIELD(MachineOptions, accel, "accel", OPTION_STRING),
    OPTION_FIELD(MachineOptions, max_ram_below_4g, "max-ram-below-4g", OPTION_SIZE),
    OPTION_FIELD(MachineOptions, pit, "pit", OPTION_BOOL),
    OPTION_FIELD(MachineOptions, i8042, "i8042", OPTION_BOOL),
    OPTION_FIELD(MachineOptions, hpet, "hpet", OPTION_BOOL),
    OPTION_FIELD(MachineOptions, acpi, "acpi", OPTION_BOOL),
    OPTION_FIELD(MachineOptions, usb, "usb", OPTION_BOOL),
    OPTION_FIELD(MachineOptions, tablet, "tablet", OPTION_BOOL),
    OPTION_CHOICE(MachineOptions, vmport, "vmport", words_auto),
    OPTION_FIELD(MachineOptions, pcspk_audiodev, "pcspk-audiodev", OPTION_STRING),
    OPTION_FIELD_IGNORED("kernel-irqchip"),
    OPTION_FIELD_IGNORED("smm"), OPTION_FIELD_IGNORED("dump-guest-core"), OPTION_FIELD_IGNORED("mem-merge"),
    OPTION_FIELD_IGNORED("graphics"),
    OPTION_FIELD_END,
};
static const OptionField accel_fields[] = {
    OPTION_FIELD(AccelOptions, name, "accel", OPTION_STRING),
    OPTION_CHOICE(AccelOptions, thread, "thread", words_thread),
    OPTION_FIELD(AccelOptions, tb_size, "tb-size", OPTION_SIZE_MIB),
    OPTION_FIELD(AccelOptions, verify, "verify", OPTION_BOOL),
    OPTION_FIELD(AccelOptions, avx512, "avx512", OPTION_BOOL),
    OPTION_FIELD(AccelOptions, hot, "hot", OPTION_UNSIGNED),
    OPTION_FIELD_IGNORED("split-wx"),
    OPTION_FIELD_END,
};
static const OptionField smp_fields[] = {
    OPTION_FIELD(SmpOptions, cpus, "cpus", OPTION_UNSIGNED),
    OPTION_FIELD(SmpOptions, max_cpus, "maxcpus", OPTION_UNSIGNED),
    OPTION_FIELD(SmpOptions, sockets, "sockets", OPTION_UNSIGNED),
    OPTION_FIELD(SmpOptions, dies, "dies", OPTION_UNSIGNED),
    OPTION_FIELD(SmpOptions, cores, "cores", OPTION_UNSIGNED),
    OPTION_FIELD(SmpOptions, threads, "threads", OPTION_UNSIGNED),
    OPTION_FIELD_END,
};
static const OptionField rtc_fields[] = {
    OPTION_FIELD(RtcOptions, base, "base", OPTION_STRING),
    OPTION_CHOICE(RtcOptions, clock, "clock", words_rtc_clock),
    OPTION_FIELD_IGNORED("driftfix"),
    OPTION_FIELD_END,
};
static const OptionField smbios_fields[] = {
    OPTION_CHOICE(SmbiosOptions, type, "type", words_smbios),
    OPTION_FIELD(SmbiosOptions, manufacturer, "manufacturer", OPTION_STRING),
    OPTION_FIELD(SmbiosOptions, product, "product", OPTION_STRING),
    OPTION_FIELD(SmbiosOptions, version, "version", OPTION_STRING),
    OPTION_FIELD(SmbiosOptions, serial, "serial", OPTION_STRING),
    OPTION_FIELD(SmbiosOptions, sku, "sku", OPTION_STRING),
    OPTION_FIELD(SmbiosOptions, family, "family", OPTION_STRING),
    OPTION_FIELD_END,
};
static const OptionField action_fields[] = {
    OPTION_CHOICE(ActionOptions, reboot, "reboot", words_reboot),
    OPTION_CHOICE(ActionOptions, shutdown, "shutdown", words_shutdown),
    OPTION_CHOICE(ActionOptions, triple_fault, "triple-fault", words_triple_fault),
    OPTION_FIELD_IGNORED("panic"), OPTION_FIELD_IGNORED("watchdog"),
    OPTION_FIELD_END,
};
static const OptionField boot_fields[] = {
    OPTION_FIELD(BootOptions, order, "order", OPTION_STRING),
    OPTION_FIELD(BootOptions, once, "once", OPTION_STRING),
    OPTION_FIELD(BootOptions, menu, "menu", OPTION_BOOL),
    OPTION_FIELD_IGNORED("strict"), OPTION_FIELD_IGNORED("reboot-timeout"), OPTION_FIELD_IGNORED("splash"),
    OPTION_FIELD_IGNORED("splash-time"),
    OPTION_FIELD_END,
};
static const OptionField memory_fields[] = {
    OPTION_FIELD(MemoryOptions, size, "size", OPTION_SIZE_MIB),
    OPTION_FIELD(MemoryOptions, slots, "slots", OPTION_STRING),
    OPTION_FIELD(MemoryOptions, max, "maxmem", OPTION_STRING),
    OPTION_FIELD_END,
};

/* ---- options with a function ---- */

static bool asks_help(const char *argument)
{
    return !strcmp(argument, "help") || !strcmp(argument, "?");
}

static gboolean set_machine(Options *o, const char *argument, GError **err)
{
    if (asks_help(argument)) {
        board_list();
        o->done = true;
        return TRUE;
    }
    if (!option_fields_parse("-machine", argument, "type", machine_fields, &o->machine, err))
        return FALSE;
    o->board = o->machine.type ? board_find(o->machine.type, err) : o->board;
    return o->board != NULL;
}

/* The engines of this host, the best first. */
static const char *const *accels(void)
{
    static const char *const all[] = {"tcg", "interp", NULL};
    return tcg_available() ? all : all + 1;
}

/* "kvm:tcg": the first that is there. */
static gboolean accel_choose(AccelOptions *a, const char *list, GError **err)
{
    char **names = g_strsplit(list, ":", -1);
    const char *chosen = NULL;
    for (char **n = names; *n && !chosen; n++)
        chosen = g_strv_contains(accels(), *n) ? *n : NULL;
    a->recompile = chosen && !strcmp(chosen, "tcg");
    if (!chosen && !strcmp(list, "kvm"))
        error_set(err, "-accel: 'kvm' is not built yet; known: tcg, interp");
    else if (!chosen && !strcmp(list, "tcg"))
        error_set(err, "-accel: 'tcg' has no back end for this host; known: interp");
    else if (!chosen)
        error_unknown(err, "-accel", "accelerator", list, accels());
    g_strfreev(names);
    return chosen != NULL;
}

static gboolean set_accel(Options *o, const char *argument, GError **err)
{
    if (asks_help(argument)) {
        g_print("Accelerators:\n%sinterp     interpreter\n", tcg_available() ? "tcg        recompiler\n" : "");
        o->done = true;
        return TRUE;
    }
    return option_fields_parse("-accel", argument, "accel", accel_fields, &o->accel, err) &&
           (!o->accel.name || accel_choose(&o->accel, o->accel.name, err));
}

/* -accel, or else -machine accel=, or else the best. */
static gboolean accel_settle(Options *o, GError **err)
{
    const char *list = o->accel.name ? o->accel.name : o->machine.accel;
    return accel_choose(&o->accel, list ? list : accels()[0], err);
}

/* "help", or a model with features and "help" at the end. */
static gboolean print_cpu_help(const char *argument, GError **err)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const char *comma = strrchr(argument, ',');
    g_autofree char *model = g_strndup(argument, comma ? comma - argument : 0);
    if (!comma)
        cpu_model_list(out);
    else if (!cpu_model_list_flags(model, out, err))
        return FALSE;
    g_print("%s", out->str);
    return TRUE;
}

static gboolean set_cpu(Options *o, const char *argument, GError **err)
{
    const char *comma = strrchr(argument, ',');
    if (asks_help(comma ? comma + 1 : argument)) {
        o->done = true;
        return print_cpu_help(argument, err);
    }
    g_free(o->cpu);
    o->cpu = g_strdup(argument);
    return TRUE;
}

/* What is not given follows from the rest, as in QEMU: cores first, then sockets, then threads. */
static void smp_complete(SmpOptions *s)
{
    unsigned total = s->max_cpus ? s->max_cpus : s->cpus == UINT_MAX ? 0 : s->cpus;
    s->dies = MAX(s->dies, 1);
    if (!total || !s->cores) {
        s->sockets = MAX(s->sockets, 1);
        s->threads = MAX(s->threads, 1);
    }
    if (!s->cores)
        s->cores = MAX(total / (s->sockets * s->dies * s->threads), 1);
    if (!s->sockets) {
        s->threads = MAX(s->threads, 1);
        s->sockets = MAX(total / (s->dies * s->cores * s->threads), 1);
    }
    if (!s->threads)
        s->threads = MAX(total / (s->sockets * s->dies * s->cores), 1);
    s->max_cpus = total ? total : s->sockets * s->dies * s->cores * s->threads;
    if (s->cpus == UINT_MAX)
        s->cpus = s->max_cpus;
}

static gboolean set_smp(Options *o, const char *argument, GError **err)
{
    SmpOptions *s = &o->smp;
    *s = (SmpOptions){.cpus = UINT_MAX};
    if (!option_fields_parse("-smp", argument, "cpus", smp_fields, s, err))
        return FALSE;
    const unsigned parts[] = {s->sockets, s->dies, s->cores, s->threads, s->max_cpus};
    for (unsigned k = 0; k < ARRAY_SIZE(parts); k++) {
        if (parts[k] > o->board->max_cpus)
            return error_set(err, "-smp: %u of a kind; machine '%s' has at most %u processors", parts[k], o->board->name,
                             o->board->max_cpus);
    }
    smp_complete(s);
    if (s->cpus && s->sockets * s->dies * s->cores * s->threads != s->max_cpus)
        return error_set(err, "-smp: %u sockets of %u dies of %u cores of %u threads are not %u processors", s->sockets,
                         s->dies, s->cores, s->threads, s->max_cpus);
    if (s->cpus > s->max_cpus)
        return error_set(err, "-smp: %u processors, but maxcpus=%u", s->cpus, s->max_cpus);
    return TRUE;
}

static gboolean set_drive(Options *o, const char *argument, GError **err)
{
    DriveOptions *d = drive_options_parse(argument, err);
    if (d)
        g_ptr_array_add(o->drives, d);
    return d != NULL;
}

static gboolean add_disk(Options *o, const char *file, const char *interface, unsigned index, const char *media)
{
    g_ptr_array_add(o->drives, drive_options_new(file, interface, index, media));
    return TRUE;
}

static gboolean set_hda(Options *o, const char *a, GError **err) { (void)err; return add_disk(o, a, NULL, 0, "disk"); }
static gboolean set_hdb(Options *o, const char *a, GError **err) { (void)err; return add_disk(o, a, NULL, 1, "disk"); }
static gboolean set_hdc(Options *o, const char *a, GError **err) { (void)err; return add_disk(o, a, NULL, 2, "disk"); }
static gboolean set_hdd(Options *o, const char *a, GError **err) { (void)err; return add_disk(o, a, NULL, 3, "disk"); }
static gboolean set_cdrom(Options *o, const char *a, GError **err) { (void)err; return add_disk(o, a, NULL, 2, "cdrom"); }
static gboolean set_fda(Options *o, const char *a, GError **err) { (void)err; return add_disk(o, a, "floppy", 0, NULL); }
static gboolean set_fdb(Options *o, const char *a, GError **err) { (void)err; return add_disk(o, a, "floppy", 1, NULL); }

static gboolean set_chardev(Options *o, const char *argument, GError **err)
{
    (void)err;
    if (asks_help(argument)) {
        char_list_kinds();
        o->done = true;
    }
    g_ptr_array_add(o->chardevs, g_strdup(argument));
    return TRUE;
}

static gboolean set_display(Options *o, const char *argument, GError **err)
{
    if (asks_help(argument)) {
        display_list();
        o->done = true;
        return TRUE;
    }
    g_ptr_array_add(o->displays, g_strdup(argument));
    return display_check(argument, err);
}

/* QEMU's -vnc. */
static gboolean set_vnc(Options *o, const char *argument, GError **err)
{
    g_autofree char *display = g_strconcat("vnc=", argument, NULL);
    return set_display(o, strcmp(argument, "none") ? display : argument, err);
}

static gboolean set_layout(Options *o, const char *argument, GError **err)
{
    if (asks_help(argument)) {
        g_print("Keyboard layouts:\n");
        for (unsigned n = 0; layout_nth(n); n++)
            g_print("%s\n", layout_name(layout_nth(n)));
        o->done = true;
        return TRUE;
    }
    o->layout = layout_find(argument, err);
    return o->layout != NULL;
}

static gboolean set_full_screen(Options *o, const char *argument, GError **err)
{
    (void)argument, (void)err;
    g_ptr_array_add(o->displays, g_strdup("sdl,full-screen=on"));
    return display_check("sdl", err);
}

static gboolean set_vga(Options *o, const char *argument, GError **err)
{
    if (!g_strv_contains(words_vga, argument))
        return error_unknown(err, "-vga", "card", argument, words_vga);
    g_free(o->vga);
    o->vga = g_strdup(argument);
    return TRUE;
}

static gboolean set_netdev(Options *o, const char *argument, GError **err)
{
    (void)err;
    if (asks_help(argument)) {
        net_list_kinds();
        o->done = true;
    }
    g_ptr_array_add(o->netdevs, g_strdup(argument));
    return TRUE;
}

static gboolean set_audiodev(Options *o, const char *argument, GError **err)
{
    (void)err;
    if (asks_help(argument)) {
        audio_list_drivers();
        o->done = true;
    }
    g_ptr_array_add(o->audiodevs, g_strdup(argument));
    return TRUE;
}

static gboolean set_audio(Options *o, const char *argument, GError **err)
{
    (void)err;
    if (asks_help(argument) || g_str_has_suffix(argument, "model=help")) {
        g_print("Drivers:\n");
        audio_list_drivers();
        g_print("Models:\n");
        sound_list_models(o->types);
        o->done = true;
    }
    g_ptr_array_add(o->audios, g_strdup(argument));
    return TRUE;
}

/* "none", or help on models, which both -nic and -net have; else into the list. */
static gboolean network_add(Options *o, GPtrArray *list, const char *argument)
{
    if (!strcmp(argument, "none")) {
        o->no_network = true;
    } else if (asks_help(argument) || g_str_has_suffix(argument, "model=help")) {
        networks_list_models(o->types);
        o->done = true;
    } else {
        g_ptr_array_add(list, g_strdup(argument));
    }
    return TRUE;
}

static gboolean set_nic(Options *o, const char *a, GError **err) { (void)err; return network_add(o, o->nics, a); }
static gboolean set_net(Options *o, const char *a, GError **err) { (void)err; return network_add(o, o->nets, a); }

static gboolean set_object(Options *o, const char *argument, GError **err)
{
    static const char *const known[] = {"filter-dump", "throttle-group", NULL};
    g_autofree char *type = g_strndup(argument, strcspn(argument, ","));
    if (!g_strv_contains(known, type))
        return error_unknown(err, "-object", "type", type, known);
    g_ptr_array_add(o->objects, g_strdup(argument));
    return TRUE;
}

static gboolean set_gdb_default(Options *o, const char *argument, GError **err)
{
    (void)argument, (void)err;
    g_free(o->gdb);
    o->gdb = g_strdup("tcp::1234");
    return TRUE;
}

static void list_device_types(const DeviceType *const *types)
{
    for (; *types; types++) {
        if ((*types)->user)
            g_print("name \"%s\", bus %s, %s\n", (*types)->name, (*types)->bus, (*types)->description);
    }
}

/* "TYPE,help" */
static gboolean help_device_type(Options *o, const char *argument, GError **err)
{
    char *name = g_strndup(argument, strcspn(argument, ","));
    const DeviceType *type = board_find_type(o->types, "-device", name, err);
    if (type)
        device_type_help(type);
    o->done = true;
    g_free(name);
    return type != NULL;
}

static gboolean set_device(Options *o, const char *argument, GError **err)
{
    const char *comma = strchr(argument, ',');
    if (asks_help(argument)) {
        list_device_types(o->types);
        o->done = true;
        return TRUE;
    }
    if (comma && asks_help(comma + 1))
        return help_device_type(o, argument, err);
    g_ptr_array_add(o->devices, g_strdup(argument));
    return TRUE;
}

/* QEMU's short names of what -usb -device usb-... adds. */
static gboolean set_usb_device(Options *o, const char *argument, GError **err)
{
    static const char *const known[] = {"keyboard", "mouse", "tablet", NULL};
    if (!g_strv_contains(known, argument))
        return error_unknown(err, "-usbdevice", "device", argument, known);
    o->machine.usb = true;
    g_ptr_array_add(o->devices, g_strconcat("usb-", strcmp(argument, "keyboard") ? argument : "kbd", NULL));
    return TRUE;
}

static gboolean set_log(Options *o, const char *argument, GError **err)
{
    (void)err;
    if (asks_help(argument)) {
        log_list();
        o->done = true;
    }
    g_free(o->log);
    o->log = g_strdup(argument);
    return TRUE;
}

static gboolean print_version(Options *o, const char *argument, GError **err)
{
    (void)argument, (void)err;
    g_print("Myna emulator version " MYNA_VERSION "\n");
    o->done = true;
    return TRUE;
}

static gboolean print_help(Options *o, const char *argument, GError **err);

/* ---- the table ---- */

#define FLAG(name_, field, help_) {.name = name_, .help = help_, .kind = KIND_FLAG, .offset = offsetof(Options, field)}
#define STRING(name_, field, arg, help_)                                                                               \
    {.name = name_, .argument = arg, .help = help_, .kind = KIND_STRING, .offset = offsetof(Options, field)}
#define LIST(name_, field, arg, help_)                                                                                 \
    {.name = name_, .argument = arg, .help = help_, .kind = KIND_LIST, .offset = offsetof(Options, field)}
#define FIELDS(name_, field, implied_, arg, help_)                                                                     \
    {.name = name_, .argument = arg, .help = help_, .kind = KIND_FIELDS, .offset = offsetof(Options, field),           \
     .fields = field##_fields, .implied = implied_}
#define CALL(name_, set_, arg, help_) {.name = name_, .argument = arg, .help = help_, .kind = KIND_CALL, .set = set_}
#define IGNORED(name_, arg) {.name = name_, .argument = arg, .kind = KIND_IGNORED}

static const Option table[] = {
    CALL("machine", set_machine, "NAME[,PROP=VALUE]...", "board, and its properties (help: list)"),
    CALL("M", set_machine, "NAME", NULL),
    CALL("accel", set_accel, "NAME[,thread=single][,tb-size=MIB]...", "engine that runs the processors (help: list)"),
    CALL("cpu", set_cpu, "MODEL[,+FLAG][,-FLAG]...", "processor model (help: list; MODEL,help: its flags)"),
    CALL("smp", set_smp, "N[,sockets=,dies=,cores=,threads=]", "number of processors"),
    FIELDS("m", memory, "size", "SIZE", "memory, in MiB or with a suffix (default 128)"),
    STRING("name", name, "NAME", "name of the machine"),
    CALL("device", set_device, "TYPE[,PROP=VALUE]...", "adds a device (help: list; TYPE,help: its properties)"),
    FLAG("usb", machine.usb, "a USB controller, for -device usb-kbd, usb-mouse, usb-tablet"),
    CALL("usbdevice", set_usb_device, "keyboard|mouse|tablet", "the same, and that device"),
    LIST("global", globals, "TYPE.PROP=VALUE", "property of all devices of a type"),
    FLAG("nodefaults", nodefaults, "no devices but the board's own and those asked for"),
    FIELDS("smbios", smbios, NULL, "type=1[,manufacturer=TEXT][,product=TEXT][,version=TEXT][,serial=TEXT][,sku=TEXT]"
           "[,family=TEXT]", "what the system's SMBIOS table says"),
    FIELDS("rtc", rtc, NULL, "base=utc|localtime|DATE[,clock=host|vm]", "what the real-time clock starts from"),

    STRING("kernel", kernel, "FILE", "kernel to start: Linux bzImage, Multiboot, ELF with PVH"),
    STRING("initrd", initrd, "FILE", "initial RAM disk, or Multiboot modules: \"FILE ARGS,FILE ARGS\""),
    STRING("append", append, "TEXT", "the kernel's command line"),
    STRING("bios", bios, "FILE", "firmware image"),
    LIST("L", paths, "DIR", "where to look for firmware first"),
    FIELDS("boot", boot, "order", "[order=]DRIVES[,menu=on|off]", "boot order: a floppy, c disk, d CD, n network"),
    LIST("fw_cfg", fw_cfgs, "[name=]NAME,file=FILE|string=TEXT", "a file for the guest's firmware interface"),

    CALL("drive", set_drive, "file=FILE[,format=][,if=][,media=][,id=]...", "a disk image"),
    LIST("blockdev", blockdevs, "DRIVER,node-name=ID[,file.filename=]...", "the same in parts, or in JSON, for -device"),
    CALL("hda", set_hda, "FILE", "first hard disk (-hdb, -hdc, -hdd: the others)"),
    CALL("hdb", set_hdb, "FILE", NULL),
    CALL("hdc", set_hdc, "FILE", NULL),
    CALL("hdd", set_hdd, "FILE", NULL),
    CALL("cdrom", set_cdrom, "FILE", "CD image"),
    CALL("fda", set_fda, "FILE", "floppy disk (-fdb: the second)"),
    CALL("fdb", set_fdb, "FILE", NULL),
    FLAG("snapshot", snapshot, "writes to disk images go to temporary files"),

    CALL("nic", set_nic, "TYPE|none[,model=CARD][,mac=][,PROP=VALUE]...", "a network and its card (model=help: cards)"),
    CALL("netdev", set_netdev, "TYPE,id=ID[,PROP=VALUE]...", "a network for a card of -device (help: list)"),
    CALL("net", set_net, "nic|TYPE|none[,PROP=VALUE]...", NULL),
    CALL("object", set_object, "TYPE,id=ID[,PROP=VALUE]...",
         "filter-dump: records a network's frames (pcap); throttle-group: limits that drives share"),

    CALL("audiodev", set_audiodev, "DRIVER,id=ID[,PROP=VALUE]...", "where sound goes, for a -device (help: list)"),
    CALL("audio", set_audio, "DRIVER[,model=MODEL][,PROP=VALUE]...", "a sound device and where it goes (help: lists)"),

    CALL("chardev", set_chardev, "KIND,id=ID[,PROP=VALUE]...", "a character back end (help: list)"),
    LIST("serial", serials, "CHARDEV", "next serial port: stdio, mon:stdio, file:, pty, null, none, chardev:ID, ..."),
    LIST("parallel", parallels, "CHARDEV", NULL),
    LIST("monitor", monitors, "CHARDEV", "where the monitor is"),
    LIST("mon", mons, "[chardev=]ID[,mode=control][,pretty=on]", "a monitor, or QMP, on a -chardev"),
    LIST("qmp", qmps, "CHARDEV", "QMP, the monitor for programs, in JSON"),
    LIST("qmp-pretty", pretty_qmps, "CHARDEV", "the same, for people who read it"),
    STRING("gdb", gdb, "DEVICE", "where gdb may connect: tcp::PORT, unix:PATH, stdio, pty, ..."),
    CALL("s", set_gdb_default, NULL, "the same as -gdb tcp::1234"),
    LIST("debugcon", debugcons, "CHARDEV", "debug console at port 0xe9"),
    CALL("vnc", set_vnc, "[HOST]:N[,KEY=VALUE]...", "a VNC server: -display vnc=[HOST]:N (docs/vnc.md)"),
    CALL("display", set_display, "NAME[,KEY=VALUE]...", "a window or another face; may be given several times (help: list)"),
    CALL("k", set_layout, "LAYOUT", "layout of the guest's keyboard, for text that is typed into it (help: list)"),
    CALL("full-screen", set_full_screen, NULL, NULL),
    STRING("screenshot-on-exit", screenshot_on_exit, "FILE", "what the screen shows at the end: .png, or else PPM"),
    STRING("record-screen", record_screen, "FILE", "a film of the screen (AVI)"),
    CALL("vga", set_vga, "NAME", "graphics card"),
    FLAG("nographic", nographic, "no window; first serial port and monitor on the terminal (Ctrl-A H: help)"),

    LIST("fsdev", fsdevs, "local,id=ID,path=DIR[,readonly=off]...", "a folder of the host, for -device virtio-9p-pci"),
    LIST("virtfs", virtfs, "local,path=DIR,mount_tag=NAME[,readonly=off]...", "a folder of the host, and its device"),

    FIELDS("action", action, NULL, "[reboot=reset|shutdown][,shutdown=poweroff|pause][,triple-fault=auto|stop|reset]",
           "what a reset, a shutdown and a triple fault of the guest do"),
    FLAG("no-reboot", no_reboot, "a reset of the guest ends the emulator"),
    FLAG("no-shutdown", no_shutdown, "a shutdown of the guest pauses the machine"),
    FLAG("S", stopped, "start paused"),
    STRING("debug-script", debug_script, "FILE", "runs a file of monitor commands before the machine starts"),
    CALL("d", set_log, "ITEM[,ITEM]...", "what to log (help: list)"),
    STRING("dfilter", log_filter, "RANGE[,RANGE]...", "log code of these addresses only: A..B, A+SIZE or B-SIZE"),
    STRING("D", log_file, "FILE", "where to log, instead of standard error"),
    FLAG("perfmap", perf_map, "names recompiled code for Linux perf, in /tmp/perf-PID.map"),
    STRING("pidfile", pid_file, "FILE", "writes the process number to a file"),
    IGNORED("no-user-config", NULL),
    IGNORED("msg", "PROPERTIES"),
    IGNORED("sandbox", "PROPERTIES"),
    CALL("version", print_version, NULL, "prints the version"),
    CALL("help", print_help, NULL, "prints this"),
    CALL("h", print_help, NULL, NULL),
};

static void print_option(const Option *option)
{
    enum { COLUMN = 40 };
    char *left = g_strdup_printf("-%s %s", option->name, option->argument ? option->argument : "");
    bool long_one = strlen(left) >= COLUMN;
    g_print("  %-*s%s%s\n", COLUMN, left, long_one ? "\n                                          " : "", option->help);
    g_free(left);
}

static gboolean print_help(Options *o, const char *argument, GError **err)
{
    (void)argument, (void)err;
    g_print("usage: myna [options] [disk image]\n\n");
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        if (table[i].help)
            print_option(&table[i]);
    }
    o->done = true;
    return TRUE;
}

/* ---- the parser ---- */

static const Option *option_find(const char *word, GError **err)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *names[ARRAY_SIZE(table)];
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        if (!strcmp(table[i].name, name))
            return &table[i];
        names[i] = table[i].name;
    }
    const char *nearest = nearest_name(name, names, ARRAY_SIZE(table));
    if (nearest)
        error_set(err, "unknown option '%s' (did you mean '-%s'?); -help lists all", word, nearest);
    else
        error_set(err, "unknown option '%s'; -help lists all", word);
    return NULL;
}

static gboolean option_set(Options *o, const Option *option, const char *argument, GError **err)
{
    void *field = (char *)o + option->offset;
    switch (option->kind) {
    case KIND_FLAG:
        *(bool *)field = true;
        return TRUE;
    case KIND_STRING:
        g_free(*(char **)field);
        *(char **)field = g_strdup(argument);
        return TRUE;
    case KIND_LIST:
        g_ptr_array_add(*(GPtrArray **)field, g_strdup(argument));
        return TRUE;
    case KIND_FIELDS: {
        char *what = g_strdup_printf("-%s", option->name);
        gboolean ok = option_fields_parse(what, argument, option->implied, option->fields, field, err);
        g_free(what);
        return ok;
    }
    case KIND_CALL:
        return option->set(o, argument, err);
    default:
        return TRUE;
    }
}

/* One option at argv[*i], and its argument. */
static gboolean word_parse(Options *o, int argc, char **argv, int *i, GError **err)
{
    const char *word = argv[*i];
    if (word[0] != '-' || !word[1])
        return add_disk(o, word, NULL, 0, "disk");
    const Option *option = option_find(word, err);
    if (!option)
        return FALSE;
    if (!option->argument)
        return option_set(o, option, NULL, err);
    if (*i + 1 >= argc)
        return error_set(err, "-%s needs an argument: %s", option->name, option->argument);
    return option_set(o, option, argv[++*i], err);
}

/* The plain lists of strings: their addresses with &, themselves without. */
#define LISTS(o, ref)                                                                                                  \
    {ref o->paths, ref o->serials, ref o->parallels, ref o->monitors, ref o->chardevs, ref o->devices,                 \
     ref o->globals, ref o->fw_cfgs, ref o->debugcons, ref o->mons, ref o->qmps, ref o->pretty_qmps,                     \
     ref o->netdevs, ref o->nics, ref o->nets, ref o->objects, ref o->blockdevs, ref o->fsdevs, ref o->virtfs,  \
     ref o->audiodevs, ref o->audios, ref o->displays}

static void lists_make(Options *o)
{
    GPtrArray **lists[] = LISTS(o, &);
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        *lists[i] = g_ptr_array_new_with_free_func(g_free);
    o->drives = g_ptr_array_new_with_free_func(drive_options_free);
}

static Options *options_new(void)
{
    Options *o = g_new0(Options, 1);
    lists_make(o);
    o->board = boards[0];
    o->machine = (MachineOptions){.pit = true, .i8042 = true, .hpet = true, .acpi = true, .tablet = true};
    o->accel.avx512 = true;
    o->memory.size = 128 * MiB;
    o->smp.cpus = 1;
    return o;
}

void options_free(Options *o)
{
    if (!o)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        void *field = (char *)o + table[i].offset;
        if (table[i].kind == KIND_STRING)
            g_clear_pointer((char **)field, g_free);
        else if (table[i].kind == KIND_FIELDS)
            option_fields_clear(table[i].fields, field);
    }
    GPtrArray *lists[] = LISTS(o, );
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
        g_ptr_array_unref(lists[i]);
    g_ptr_array_unref(o->drives);
    option_fields_clear(machine_fields, &o->machine);
    option_fields_clear(accel_fields, &o->accel);
    option_fields_clear(smp_fields, &o->smp);
    option_fields_clear(action_fields, &o->action);
    g_free(o->cpu);
    g_free(o->log);
    g_free(o);
}

static bool any_has(const GPtrArray *list, const char *part)
{
    for (guint i = 0; i < list->len; i++) {
        if (strstr(g_ptr_array_index(list, i), part))
            return true;
    }
    return false;
}

/*
 * What is there when nobody asked: a first serial port, which -nographic puts onto the terminal together with the
 * monitor (as far as the terminal is not given to something else).
 */
static void options_default(Options *o)
{
    bool serial = !o->nodefaults && !o->serials->len && !any_has(o->devices, "isa-serial");
    bool monitor = !o->nodefaults && !o->monitors->len && !o->mons->len && !o->qmps->len && !o->pretty_qmps->len;
    bool terminal = o->nographic && !any_has(o->serials, "stdio") && !any_has(o->monitors, "stdio") &&
                    !any_has(o->chardevs, "stdio") && !any_has(o->qmps, "stdio") && !any_has(o->pretty_qmps, "stdio") &&
                    g_strcmp0(o->gdb, "stdio");
    if (serial)
        g_ptr_array_add(o->serials, g_strdup(!terminal ? "vc" : monitor ? "mon:stdio" : "stdio"));
    else if (monitor && terminal)
        g_ptr_array_add(o->monitors, g_strdup("stdio"));
}

/* What no option can check alone. */
static gboolean options_check(Options *o, GError **err)
{
    if (!accel_settle(o, err))
        return FALSE;
    if (o->smp.cpus < 1 || o->smp.cpus > o->board->max_cpus)
        return error_set(err, "-smp: %u processors; machine '%s' has 1 to %u", o->smp.cpus, o->board->name,
                         o->board->max_cpus);
    if (o->accel.verify && o->accel.recompile && o->smp.cpus > 1)
        return error_set(err, "-accel tcg,verify=on: it compares one processor; there are %u (-smp)", o->smp.cpus);
    if (o->memory.size < MiB || o->memory.size > o->board->max_ram)
        return error_set(err, "-m: %" PRIu64 " bytes; machine '%s' has 1 MiB to %" PRIu64 " GiB", o->memory.size,
                         o->board->name, o->board->max_ram / GiB);
    if (!o->kernel && (o->initrd || o->append))
        return error_set(err, "-%s needs -kernel", o->initrd ? "initrd" : "append");
    return TRUE;
}

Options *options_parse(int argc, char **argv, const DeviceType *const *types, GError **err)
{
    Options *o = options_new();
    o->types = types;
    for (int i = 1; i < argc && !o->done; i++) {
        if (!word_parse(o, argc, argv, &i, err)) {
            options_free(o);
            return NULL;
        }
    }
    options_default(o);
    if (o->done || options_check(o, err))
        return o;
    options_free(o);
    return NULL;
}
