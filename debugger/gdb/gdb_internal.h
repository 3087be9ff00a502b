/*
 * What the files of the gdb port share.
 *
 *   gdb_packet.c        frames: checksums, acknowledgements, escapes, run lengths
 *   gdb.c               the port, its clients, and which packet is whose
 *   gdb_query.c         q and Q packets
 *   gdb_registers.c     which registers there are (the layout), g G p P
 *   gdb_description.c   the same as XML, for qXfer:features:read
 *   gdb_memory.c        m M x X, the memory map
 *   gdb_stops.c         Z and z
 *   gdb_run.c           c s vCont, what is reported when the machine stops
 *   gdb_nonstop.c       the same where threads stop one by one
 *   gdb_threads.c       H T and lists of threads
 */
#ifndef MYNA_DEBUGGER_GDB_INTERNAL_H
#define MYNA_DEBUGGER_GDB_INTERNAL_H

#include "backends/char/char.h"
#include "cpu/registers.h"
#include "debugger/debugger.h"
#include "debugger/gdb/gdb.h"

#define GDB_PACKET_MAX 0x4000u /* bytes between $ and #, both ways */
#define GDB_CPUS 256

/* Signals, as the protocol numbers them. */
enum { GDB_SIGINT = 2, GDB_SIGTRAP = 5, GDB_SIGSEGV = 11 };

/* ---- registers ---- */

/* How a register on the wire follows from one of the CPU. */
typedef enum GdbKind {
    GDB_WHOLE,  /* zero-extended, or its low part */
    GDB_UPPER,  /* the upper half */
    GDB_PC,     /* RIP as a linear address */
    GDB_SP,     /* RSP likewise */
    GDB_OFFSET, /* RSP as far as the stack's width goes */
    GDB_MODE,   /* 16, 32 or 64: the size of code */
    GDB_ZERO,   /* what the CPU lacks, but gdb insists on */
} GdbKind;

typedef struct GdbRegister {
    const char *feature, *name, *type, *group; /* of the description */
    GdbKind kind;
    unsigned bits;
    CpuRegister reg;
} GdbRegister;

/* ---- the port ---- */

typedef enum GdbFrame { FRAME_NONE, FRAME_BODY, FRAME_SUM_HIGH, FRAME_SUM_LOW } GdbFrame;

/* A breakpoint or watchpoint of the client. */
typedef struct GdbStop {
    char type;            /* '0' to '4', as in Z packets */
    uint64_t address, length;
    bool cut;             /* gdb asked for the 32-bit form of the address */
    unsigned id[2];       /* of its Stops; the second may be 0: none */
} GdbStop;

typedef struct GdbPort {
    Machine *machine;
    Debugger *debugger;
    DebuggerListener listener;
    CharBackend *c;
    bool shared;          /* the back end is somebody else's -chardev */
    char *device;

    GdbFrame frame;       /* the packet that comes in */
    GByteArray *body;
    uint8_t sum, given;   /* checksum as counted, as received */
    bool escaped, too_long;
    GString *sent;        /* the last packet, framed, until it is acknowledged */
    GString *reply;       /* to the packet in hand */
    bool no_reply;        /* it has none, or has one already */

    bool attached;        /* a client is there: it sent a packet */
    bool no_ack;
    bool swbreak, hwbreak; /* the client knows these reasons of a stop */
    bool busy, closing;   /* input is being worked on; the port is to be freed after it */
    bool waiting;         /* the client waits for the machine to stop */
    bool physical;        /* memory packets are about guest-physical addresses */
    bool step_interrupts; /* interrupts are taken in single steps */
    Cpu *cpu;             /* that packets about registers and memory are about */
    Cpu *running;         /* that s and c are about, or NULL */
    Cpu *ranged;          /* steps until it leaves [range_first, range_last], or NULL */
    uint64_t range_first, range_last;
    bool non_stop;
    bool runs[GDB_CPUS];  /* non-stop: by CPU */
    bool met[GDB_CPUS];   /* likewise: it stopped before the instruction at met_at, and has yet to pass that */
    uint64_t met_at[GDB_CPUS];
    bool untold, late;    /* likewise: ? has told of one thread only; the others are told of after the next packet */
    GQueue *stopped;      /* non-stop: char *, replies that the client has not asked for yet; the first was notified */
    GArray *stops;        /* GdbStop */
    GArray *layout;       /* GdbRegister, in the order of the wire */
    GString *object;      /* what qXfer reads, as it was when it began */
} GdbPort;

/* ---- frames ---- */

/* Takes bytes from the client. */
void gdb_packet_feed(GdbPort *g, const uint8_t *data, size_t size);
void gdb_packet_reset(GdbPort *g);

/* Sends a packet with this text or data; a notification, which nobody acknowledges; an O packet of text. */
void gdb_send(GdbPort *g, const char *data, size_t size);
void gdb_notify(GdbPort *g, const char *text);
void gdb_send_output(GdbPort *g, const char *text);

/* What feed finds: a packet (data ends with a NUL beyond its size), or Ctrl-C. */
void gdb_handle(GdbPort *g, const char *data, size_t size);
void gdb_handle_overlong(GdbPort *g);
void gdb_interrupt(GdbPort *g);

/* ---- parts of packets ---- */

/* A hexadecimal number, at least a digit; moves *p behind it. */
bool gdb_parse_hex(const char **p, uint64_t *v);
/* The same, and then this character. */
bool gdb_parse_hex_then(const char **p, uint64_t *v, char then);
/* Exactly size bytes of two digits; false when there are other characters. */
bool gdb_parse_bytes(const char **p, uint8_t *bytes, size_t size);
void gdb_put_bytes(GString *s, const uint8_t *bytes, size_t size);

/* A thread's number: "1", "p1.1"; 0: any, UINT64_MAX: all. */
bool gdb_parse_thread(const char **p, uint64_t *id);

void gdb_reply_ok(GdbPort *g);
/* "Enn"; and with a text, which gdb shows. */
void gdb_reply_error(GdbPort *g, unsigned number);
void gdb_reply_failure(GdbPort *g, const char *text);
enum { GDB_EINVAL = 22, GDB_EFAULT = 14, GDB_ESRCH = 3 };

/* A packet's name, up to which the rest is given to its function; whole: nothing may follow. */
typedef struct GdbCommand {
    const char *name;
    bool whole;
    void (*run)(GdbPort *g, const char *rest, size_t size);
} GdbCommand;

/* The row of a table, ended by a row without a name, that a packet is for; or NULL. */
const GdbCommand *gdb_find_command(const GdbCommand *table, const char *packet);

extern const GdbCommand gdb_query_commands[], gdb_register_commands[], gdb_memory_commands[], gdb_stop_commands[],
    gdb_run_commands[], gdb_thread_commands[];

/* ---- by subject ---- */

GArray *gdb_layout_new(Cpu *cpu);
void gdb_register_read(Cpu *cpu, const GdbRegister *r, uint8_t *bytes);
gboolean gdb_register_write(Cpu *cpu, const GdbRegister *r, const uint8_t *bytes, GError **err);

/* What qXfer objects hold. */
void gdb_make_description(GdbPort *g, GString *out);
void gdb_make_threads(GdbPort *g, GString *out);
void gdb_make_memory_map(GdbPort *g, GString *out);

/* Changes the linear address of RIP: in real mode CS follows, where it must. */
gboolean gdb_set_pc(Cpu *cpu, uint64_t la, GError **err);

/* What packets are about from now on; what it does, in a word. */
void gdb_choose_cpu(GdbPort *g, Cpu *cpu);
const char *gdb_cpu_state(const Cpu *cpu);

/* The 64-bit form of an address in the topmost 2 GiB of either address space: gdb may have cut it (gdb_stops.c). */
static inline uint64_t gdb_full_address(uint64_t address)
{
    return address >> 31 == 1 ? address | UINT64_C(0xffffffff) << 32 : address;
}

const GdbStop *gdb_stop_of(const GdbPort *g, const Stop *s);
void gdb_stops_clear(GdbPort *g);

/* What each CPU is to do, by vCont. */
typedef struct GdbAction {
    char what;            /* 0: nothing; 'c', 's', 'r', 't' */
    uint64_t first, end;  /* of r */
} GdbAction;

/* "T05thread:1;core:0;...": r NULL: no more than that it stands still. */
char *gdb_stop_reply(GdbPort *g, const StopReport *r, Cpu *cpu, unsigned signal);
void gdb_on_stopped(void *opaque, const StopReport *r);
void gdb_on_output(void *opaque, const char *text);

void gdb_nonstop_set(GdbPort *g, bool on);
void gdb_nonstop_act(GdbPort *g, const GdbAction *actions);
void gdb_nonstop_stopped(GdbPort *g, const StopReport *r);
void gdb_nonstop_ask(GdbPort *g);      /* ? */
void gdb_nonstop_next(GdbPort *g);     /* vStopped */
void gdb_nonstop_tell_late(GdbPort *g);
void gdb_nonstop_interrupt(GdbPort *g);

/* Tells people what happened, if it is not what the client itself asked for. */
void gdb_explain(GdbPort *g, const StopReport *r);

#endif
