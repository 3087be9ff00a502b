/*
 * The gdb port: a debugger that speaks gdb's remote serial protocol (gdb manual, appendix E) connects to a character
 * back end, and sees the CPUs as threads of one process.
 *
 * docs/debugging-gdb.md tells users what it offers.  One port a machine, one client at a time, any number one after
 * the other.  Main loop's thread, machine lock held.
 */
#ifndef MYNA_DEBUGGER_GDB_H
#define MYNA_DEBUGGER_GDB_H

#include <glib.h>

#include "core/machine.h"

/*
 * Opens the port on a device in QEMU's notation ("tcp::1234", "unix:PATH,server=on,wait=off", "stdio", "pty",
 * "chardev:ID"), in place of the one before; "none" closes it.  A TCP server without a host name is for this host
 * only; servers do not wait for a client.  FALSE with *err, and no port.
 */
gboolean gdb_open(Machine *m, const char *device, GError **err);

/* Tells a client that the machine is gone, and frees the port; the back end goes with the others. */
void gdb_free(Machine *m);

#endif
