/*
 * The machine as such: address spaces, clocks, devices, main loop, run state.  What board it is, machines/ says.
 *
 * Threads and locks.  The thread that calls machine_run() runs the main loop: timers, character and disk I/O, the
 * monitor.  Each CPU has a thread of its own.  `lock` (recursive) is held whenever device code runs: the main loop's
 * callbacks take it, and address space accesses take it for device registers.  A CPU thread does not hold it while it
 * executes instructions.
 */
#ifndef MYNA_CORE_MACHINE_H
#define MYNA_CORE_MACHINE_H

#include <glib.h>
#include <stdbool.h>

#include "core/clock.h"
#include "core/cpuport.h"
#include "core/device.h"
#include "core/idle.h"
#include "core/input.h"
#include "core/irq.h"
#include "core/memory.h"

typedef enum RunState { RUN_PAUSED, RUN_RUNNING, RUN_SHUTDOWN } RunState;

typedef enum RequestKind {
    REQUEST_NONE, REQUEST_RESET, REQUEST_WAKE, REQUEST_SHUTDOWN, REQUEST_POWERDOWN
} RequestKind;

/* What the CPU layer gives the machine to start and stop its CPUs; set by the board. */
typedef struct MachineCpuOps {
    void (*resume)(void *opaque);  /* let all CPU threads run */
    void (*pause)(void *opaque);   /* returns when none runs; not called from a CPU thread */
    void (*reset)(void *opaque);   /* power-on reset of all; they are paused */
} MachineCpuOps;

/* What happened to a machine. */
typedef enum MachineEventKind {
    MACHINE_RUN_STATE,            /* run_state has changed */
    MACHINE_RESET,                /* devices and CPUs were reset; paused still; `waking` as in Machine */
    MACHINE_SHUTDOWN,             /* it ends, or with -no-shutdown is about to pause */
    MACHINE_POWERDOWN,            /* the power button was pressed */
    MACHINE_WAKE,                 /* a sleep state has ended */
} MachineEventKind;

typedef struct MachineEvent {
    MachineEventKind kind;
    bool guest;                   /* of a reset or shutdown: the guest wanted it, not a face or a signal */
    bool no_reboot;               /* a shutdown that would be a reset without -no-reboot */
    const char *reason;           /* of a request; NULL: none was given */
} MachineEvent;

typedef struct MachineListener {
    void (*happened)(void *opaque, const MachineEvent *e); /* main loop's thread, machine lock held */
    void *opaque;
} MachineListener;

/* How many dies a package has, cores a die, threads a core; cores 0: all CPUs are cores of one package. */
typedef struct CpuTopology {
    unsigned dies, cores, threads;
} CpuTopology;

struct Machine {
    GRecMutex lock;
    GMainContext *context;
    GMainLoop *loop;
    RamPool *pool;
    AddressSpace *memory, *ports;
    Clocks *clocks;
    Input *input;
    GPtrArray *devices;           /* Device * */
    uint64_t ram_size;
    unsigned cpu_count;
    CpuTopology topology;
    const CpuPort *cpu_ports[256];  /* by CPU index */
    const MachineCpuOps *cpu_ops;
    void *cpu_opaque;
    RunState run_state;
    bool no_reboot, no_shutdown;  /* -no-reboot, -no-shutdown */
    bool waking;                  /* the reset under way ends a sleep state that kept memory (ACPI S3) */
    int exit_status;              /* of the process, once shut down */
    const DeviceType *const *types; /* NULL-ended list of all device types, for -device */
    void (*powerdown)(void *opaque); /* the board's power button */
    void *powerdown_opaque;
    GHashTable *slots;            /* well-known objects by name, for devices that find each other (machine_provide) */
    GQueue *requests;             /* private to machine.c */
    GPtrArray *listeners;         /* const MachineListener *, private to machine.c */
    IdleWatch idle;
    /*
     * Lets what is under way outside of the machine's state (transfers of disks) come to its end, before it is saved, or
     * replaced by a saved one; lock held, paused.  What cannot end: FALSE with *err, or with give_up it is given up.  May
     * be NULL.
     */
    gboolean (*settle)(Machine *m, bool give_up, GError **err);
    void (*smm_changed)(void *opaque, bool in_smm); /* chipset: shows or hides SMRAM; lock held; may be NULL */
    void *smm_opaque;
    unsigned lock_depth;          /* how often machine_lock() holds `lock`, guarded by it: for machine_pause() */
};

/* An empty machine with both address spaces; RAM is added by the board out of pool_reserve bytes. */
Machine *machine_new(uint64_t pool_reserve, GError **err);
void machine_free(Machine *m);

/* Whoever is told what happens; kept, not copied. */
void machine_listen(Machine *m, const MachineListener *l);
void machine_unlisten(Machine *m, const MachineListener *l);

/*
 * Objects that devices and boards share by name: "isa" (IsaBus), "pci" (PciBus), "fw_cfg" (FwCfg), "i8259", ...;
 * machine_find returns NULL when nobody provided it.
 */
void machine_provide(Machine *m, const char *name, void *object);
void *machine_find(Machine *m, const char *name);

/* The same for back ends, which devices' properties name: the object "KIND:ID", KIND as property_type_name() has it. */
void machine_provide_backend(Machine *m, const char *kind, const char *id, void *backend);
void *machine_find_backend(Machine *m, const char *kind, const char *id);

/* The main loop, in the calling thread, until shutdown; resumes the CPUs first unless `paused`.  Returns exit status. */
int machine_run(Machine *m, bool paused);

/*
 * Pause and resume, from the main loop's thread.  machine_pause() lets go of the machine lock meanwhile, as CPUs may
 * wait for it to finish an access; so not from a timer's function or a device's callback, which hold it beside
 * machine_lock().
 * After a shutdown under -no-shutdown only a reset makes the machine run again.
 */
void machine_pause(Machine *m);
void machine_resume(Machine *m);

/*
 * Requests, from any thread; carried out by the main loop soon.  reason is a short text for the user, e.g. "guest
 * request (port 0xcf9)".  With -no-reboot a reset is a shutdown; with -no-shutdown a shutdown is a pause.
 * status is the exit status of the process.  A wake is the reset that ends a sleep state; no option changes it.
 */
void machine_request_reset(Machine *m, const char *reason);
void machine_request_wake(Machine *m, const char *reason);
void machine_request_shutdown(Machine *m, int status, const char *reason);
void machine_request_powerdown(Machine *m);

/* The reset button: the same as machine_request_reset(), by the user. */
void machine_press_reset(Machine *m, const char *reason);

/* Ends the main loop whatever the options say (monitor's quit); the same, as a signal asks for it. */
void machine_quit(Machine *m, int status);
void machine_quit_by_signal(Machine *m);

/* Resets all devices and CPUs (main loop's thread, paused). */
void machine_reset(Machine *m);

/*
 * The whole machine's state to and from bytes; paused.  cpu state through hooks added by machine_add_state.  Saving
 * gives NULL, after a line to the user, when the guest's memory holds more than an array can (4 GiB, zero pages not
 * counted), or when something cannot be brought to rest (Machine.settle).
 */
GByteArray *machine_save(Machine *m);
gboolean machine_load(Machine *m, const uint8_t *data, size_t size, GError **err);

/* State beside devices (CPUs): saved in the order added. pre and post may be NULL. */
void machine_add_state(Machine *m, const char *name, const StateField *fields, void *object, void (*pre)(void *),
                       void (*post)(void *));

static inline void machine_lock(Machine *m)
{
    g_rec_mutex_lock(&m->lock);
    m->lock_depth++;
}

static inline void machine_unlock(Machine *m)
{
    m->lock_depth--;
    g_rec_mutex_unlock(&m->lock);
}

#endif
