"""A machine to test faces on: started, asked by its monitor, looked at; and pictures as files."""
import hashlib
import os
import socket
import struct
import subprocess
import sys
import time
import zlib


class Failure(Exception):
    """What a check found."""


class Skipped(Exception):
    """Not possible here, and why."""


class Machine:
    """MYNA (build/myna) with options, a monitor on a socket and standard error in a file, within a folder."""

    def __init__(self, folder, *options, serial=True):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.errors = open(self.path("errors"), "w+")
        program = os.environ.get("MYNA") or os.path.join(os.path.dirname(__file__), "../../build/myna")
        line = [program, *options, "-monitor", "unix:%s,server=on,wait=off" % self.path("monitor")]
        line += ["-serial", "file:" + self.path("serial") if serial else "none"]
        self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)
        self.monitor = self.open_monitor()

    def path(self, name):
        return os.path.join(self.folder, name)

    def open_monitor(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        for _ in range(600):
            try:
                s.connect(self.path("monitor"))
                break
            except OSError:
                if self.process.poll() is not None:
                    raise Failure("the machine did not start: " + self.said())
                time.sleep(0.1)
        self.answer(s)
        return s

    @staticmethod
    def answer(s):
        data = b""
        while not data.endswith(b"(myna) "):
            part = s.recv(65536)
            if not part:
                raise Failure("the monitor hung up")
            data += part
        return data.decode(errors="replace").replace("\r", "")[:-7]

    def ask(self, command):
        """What the monitor prints."""
        self.monitor.sendall(command.encode() + b"\n")
        return self.answer(self.monitor).partition("\n")[2]

    def screendump(self):
        """(width, height, rgb)"""
        path = self.path("screen.ppm")
        said = self.ask("screendump " + path)
        if said.strip():
            raise Failure("screendump: " + said)
        with open(path, "rb") as f:
            data = f.read()
        return ppm(data)

    def said(self):
        self.errors.flush()
        self.errors.seek(0)
        return self.errors.read()

    def serial(self):
        with open(self.path("serial"), "rb") as f:
            return f.read().decode(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Its exit status."""
        if self.alive():
            self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def ppm(data):
    """A binary PPM as (width, height, rgb)."""
    lines = data.split(b"\n", 3)
    width, height = map(int, lines[1].split())
    return width, height, lines[3]


def png(path, width, height, rgb):
    """Writes a picture."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + rgb[3 * width * y:3 * width * (y + 1)] for y in range(height))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def region(width, rgb, x, y, w, h):
    """Part of a picture."""
    return b"".join(rgb[3 * (width * row + x):3 * (width * row + x + w)] for row in range(y, y + h))


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


class Tap:
    """Reports checks; each is a function that raises."""

    def __init__(self, count):
        self.number = self.failed = 0
        print("1..%d" % count, flush=True)

    def check(self, name, function, *arguments):
        self.number += 1
        start = time.monotonic()
        try:
            note = function(*arguments)
        except Skipped as e:
            self.number -= 1
            self.skip(name, e)
            return False
        except Exception as e:  # pylint: disable=broad-except
            self.failed += 1
            print("# %s: %s" % (type(e).__name__, str(e)[-1500:].replace("\n", "\n#   ")))
            print("not ok %d - %s" % (self.number, name), flush=True)
            return False
        if note:
            print("# %s" % note)
        print("ok %d - %s (%.0f s)" % (self.number, name, time.monotonic() - start), flush=True)
        return True

    def skip(self, name, why):
        self.number += 1
        print("ok %d - %s # SKIP %s" % (self.number, name, why), flush=True)


def skip_all(why):
    """Exit status 77: not possible here."""
    print("1..0 # SKIP " + why)
    sys.exit(77)


def expect(condition, why):
    if not condition:
        raise Failure(why)


def wait_for(seconds, condition, why):
    """Until condition() is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < deadline, why() if callable(why) else why)
        time.sleep(0.1)
