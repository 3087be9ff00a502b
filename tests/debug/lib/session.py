"""Sessions with a running Myna, for the scripts of tests/debug: its monitor, its console, real debuggers, TAP lines.

Environment: MYNA (build/myna), GUESTS (build/tests/guest), LINUX (build/guest: what make guest-debug makes), SYMBOLS
(another vmlinux with debugging information).  ACCEL: more options, as "interp" or "tcg,hot=1", of -accel.
"""
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
MYNA = os.environ.get('MYNA', os.path.join(ROOT, 'build/myna'))
GUESTS = os.environ.get('GUESTS', os.path.join(ROOT, 'build/tests/guest'))
LINUX = os.environ.get('LINUX', os.path.join(ROOT, 'build/guest'))
PROMPT = '(myna) '
PATIENCE = 120  # seconds, for what takes one


class Tap:
    """Counts checks and prints a line for each."""

    def __init__(self):
        self.count = self.failed = 0

    def check(self, name, ok, why=''):
        self.count += 1
        self.failed += not ok
        why = ' # ' + str(why).replace('\n', ' | ')[:400] if why and not ok else ''
        print(f"{'ok' if ok else 'not ok'} {self.count} - {name}{why}", flush=True)
        return ok

    def contains(self, name, text, *patterns):
        """Each pattern, a regular expression, is found in the text, in this order."""
        at, missing = 0, None
        for pattern in patterns:
            found = re.compile(pattern, re.M).search(text, at)
            if not found:
                missing = pattern
                break
            at = found.end()
        return self.check(name, missing is None, f"no '{missing}' in: {text[-300:]}")

    def skip(self, name, why):
        self.count += 1
        print(f"ok {self.count} - {name} # SKIP {why}", flush=True)

    def end(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


class Session:
    """A Myna with a monitor on a socket, and its first serial port in a file that can be typed into."""

    def __init__(self, *arguments, paused=False, serial=True, monitor=True, reboot=False):
        self.folder = tempfile.mkdtemp(prefix='myna-debug-')
        self.console_text, self.output = '', ''
        self.transcript = ''  # all that the monitor has printed
        command = [MYNA, '-display', 'none'] + ([] if reboot else ['-no-reboot'])
        if 'ACCEL' in os.environ:
            command += ['-accel', os.environ['ACCEL']]
        if monitor:
            command += ['-monitor', f'unix:{self.path("monitor")},server=on,wait=off']
        if serial:
            command += ['-serial', f'unix:{self.path("serial")},server=on,wait=off']
        command += ['-S'] if paused else []
        self.error = open(self.path('stderr'), 'wb')
        self.process = subprocess.Popen(command + list(arguments), stdin=subprocess.DEVNULL, stdout=self.error,
                                        stderr=self.error)
        self.serial = self.connect('serial') if serial else None
        self.monitor = self.connect('monitor') if monitor else None
        if monitor:
            self.read_until_prompt()

    def path(self, name):
        return os.path.join(self.folder, name)

    def connect(self, name):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                s = socket.socket(socket.AF_UNIX)
                s.connect(self.path(name))
                s.setblocking(True)
                return s
            except OSError:
                s.close()
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(f'no {name} socket: {self.errors()}') from None
                time.sleep(0.02)

    def errors(self):
        with open(self.path('stderr'), errors='replace') as f:
            return f.read()

    @staticmethod
    def receive(s, seconds):
        s.settimeout(max(seconds, 0.001))
        try:
            return s.recv(65536).decode(errors='replace')
        except (socket.timeout, TimeoutError):
            return None
        except OSError:
            return ''

    def read_monitor(self, seconds):
        """Some of what the monitor prints; '' at its end, None when there is nothing."""
        got = self.receive(self.monitor, seconds)
        if got:
            got = got.replace('\r', '')
            self.output += got
            self.transcript += got
        return got

    def read_until_prompt(self, seconds=PATIENCE):
        """What the monitor prints up to its next prompt."""
        end = time.monotonic() + seconds
        while PROMPT not in self.output:
            got = self.read_monitor(end - time.monotonic())
            if got == '' or (got is None and time.monotonic() > end):
                text, self.output = self.output, ''
                return text
        text, self.output = self.output.split(PROMPT, 1)
        return text

    def command(self, line, seconds=PATIENCE):
        """Types a line into the monitor; its output, without the echo."""
        self.monitor.sendall(line.encode() + b'\n')
        text = self.read_until_prompt(seconds)
        first, _, rest = text.partition('\n')
        return rest if first.strip().endswith(line.strip()) else text

    def run(self, line='c', seconds=PATIENCE):
        """A command that lets the machine go on; what is printed when it stops."""
        text = self.command(line)
        stopped = re.search('^=> |^stopped before', text, re.M)  # so soon that one prompt stands behind both
        return text if stopped else text + self.read_until_prompt(seconds)

    def settle(self):
        """Reads all that the monitor has printed so far."""
        self.monitor.sendall(b'echo end of the transcript\n')
        while not re.search(r'^end of the transcript$', self.transcript, re.M) and self.process.poll() is None:
            self.read_until_prompt()
        self.read_until_prompt(1)
        self.transcript = self.transcript.replace('end of the transcript', '')

    def read_console(self, pattern, seconds=PATIENCE):
        """Waits for a regular expression on the serial port; the text up to its end, or None."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.console_text, re.M)
            if found:
                text, self.console_text = self.console_text[:found.end()], self.console_text[found.end():]
                return text
            ready = select.select([self.serial] + ([self.monitor] if self.monitor else []), [], [], 1)[0]
            if self.monitor in ready and self.read_monitor(0) == '':
                return None
            got = self.receive(self.serial, 0) if self.serial in ready else None
            if got == '' or time.monotonic() > end:
                return None
            self.console_text += (got or '').replace('\r', '')

    def await_shell(self, seconds=PATIENCE):
        """Waits for the prompt of the guest's shell, which may ask the terminal for the cursor's place."""
        return self.read_console(r'# (?:\x1b\[6n)?$', seconds)

    def type(self, text):
        self.serial.sendall(text.encode())

    def wait(self, seconds=PATIENCE):
        """The exit status of the process, once it has ended."""
        return self.process.wait(seconds)

    def close(self):
        for s in (self.serial, self.monitor):
            if s:
                s.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.error.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def guest(name):
    """The path of a bare guest (make guests)."""
    return os.path.join(GUESTS, name + '.elf')


def linux_release():
    """The release of the kernel of `make guest`, or None."""
    try:
        with open(os.path.join(LINUX, 'vmlinuz'), 'rb') as f:
            image = f.read(65536)
    except OSError:
        return None
    at = int.from_bytes(image[0x20e:0x210], 'little') + 0x200  # kernel_version of the boot protocol
    return image[at:at + 128].split(b' ')[0].decode(errors='replace')


def linux_symbols():
    """A vmlinux with debugging information for that kernel (make guest-debug), or None."""
    paths = [os.environ.get('SYMBOLS', ''), os.path.join(LINUX, 'vmlinux'),
             f'/usr/lib/debug/boot/vmlinux-{linux_release()}']
    return next((p for p in paths if p and os.path.exists(p)), None)


def system_map(vmlinux):
    """The System.map beside a vmlinux."""
    folder, name = os.path.split(vmlinux)
    return os.path.join(folder, name.replace('vmlinux', 'System.map'))


def linux_disk():
    """A disk that starts the same by SeaBIOS and GRUB (make guest-debug), or None."""
    path = os.path.join(LINUX, 'disk.img')
    return path if os.path.exists(path) else None


def linux(*arguments, append='', **options):
    """A session with Debian's kernel and a shell on the serial port; await it with await_shell()."""
    return Session('-m', '256', '-kernel', os.path.join(LINUX, 'vmlinuz'), '-initrd', os.path.join(LINUX, 'initrd.gz'),
                   '-append', f'console=ttyS0 quiet {append}'.strip(), *arguments, **options)
