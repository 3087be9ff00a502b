"""An X server of the test's own, its windows, and what a person does with keyboard and mouse."""
import ctypes
import os
import re
import struct
import subprocess
import sys
import time

WIDTH, HEIGHT = 1600, 1200
SECONDS = 20


def skip(why):
    print(f"{os.path.basename(sys.argv[0])}: skipped: {why}")
    sys.exit(77)


class ClientMessage(ctypes.Structure):
    """XClientMessageEvent of Xlib.h, as long as an XEvent."""
    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int),
                ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong),
                ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("padding", ctypes.c_long * 12)]


class X:
    """An X server of our own, with its memory in a file, and a client that plays keyboard and mouse."""

    def __init__(self, folder):
        self.folder = folder
        read, write = os.pipe()
        self.server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", f"{WIDTH}x{HEIGHT}x24",
                                        "-fbdir", folder, "-nolisten", "tcp", "-nocursor"], pass_fds=[write],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as f:
            number = f.readline().strip()
        if not number:
            skip("Xvfb does not start")
        self.name = f":{number}"
        with open(os.path.join(folder, "openbox.xml"), "w") as f:
            f.write('<openbox_config xmlns="http://openbox.org/3.4/rc"/>')  # no keys of its own
        self.manager = subprocess.Popen(["openbox", "--config-file", f.name],
                                        env=dict(os.environ, DISPLAY=self.name, HOME=folder),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.x11, self.xtst = (ctypes.CDLL(n) for n in ("libX11.so.6", "libXtst.so.6"))
        self.x11.XOpenDisplay.restype = ctypes.c_void_p
        self.x11.XDefaultRootWindow.restype = ctypes.c_ulong
        self.display = ctypes.c_void_p(self.x11.XOpenDisplay(self.name.encode()))
        self.await_manager()

    def await_manager(self):
        """Until it takes a window into its frame: one that comes while it starts may never be shown."""
        self.x11.XCreateSimpleWindow.restype = ctypes.c_ulong
        root, parent, children, count = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_void_p(), ctypes.c_uint()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and parent.value == root.value:
            window = ctypes.c_ulong(self.x11.XCreateSimpleWindow(
                self.display, ctypes.c_ulong(self.x11.XDefaultRootWindow(self.display)), 0, 0, 9, 9, 0,
                ctypes.c_ulong(0), ctypes.c_ulong(0)))
            self.x11.XMapWindow(self.display, window)
            self.x11.XSync(self.display, 0)
            time.sleep(0.2)
            self.x11.XQueryTree(self.display, window, ctypes.byref(root), ctypes.byref(parent), ctypes.byref(children),
                                ctypes.byref(count))
            self.x11.XDestroyWindow(self.display, window)
            self.x11.XSync(self.display, 0)

    def key(self, code, down):
        self.xtst.XTestFakeKeyEvent(self.display, code, int(down), ctypes.c_ulong(0))
        self.x11.XSync(self.display, 0)

    def chord(self, *codes):
        for code in codes:
            self.key(code, True)
        for code in reversed(codes):
            self.key(code, False)

    def move(self, x, y):
        self.xtst.XTestFakeMotionEvent(self.display, -1, x, y, ctypes.c_ulong(0))
        self.x11.XSync(self.display, 0)

    def move_by(self, dx, dy):
        self.xtst.XTestFakeRelativeMotionEvent(self.display, dx, dy, ctypes.c_ulong(0))
        self.x11.XSync(self.display, 0)

    def button(self, number, down):
        self.xtst.XTestFakeButtonEvent(self.display, number, int(down), ctypes.c_ulong(0))
        self.x11.XSync(self.display, 0)

    def click(self, number=1):
        self.button(number, True)
        self.button(number, False)

    def place(self, window):
        """Of its upper left dot on the screen."""
        x, y, child = ctypes.c_int(), ctypes.c_int(), ctypes.c_ulong()
        root = ctypes.c_ulong(self.x11.XDefaultRootWindow(self.display))
        self.x11.XTranslateCoordinates(self.display, ctypes.c_ulong(int(window)), root, 0, 0, ctypes.byref(x),
                                       ctypes.byref(y), ctypes.byref(child))
        return x.value, y.value

    def ask_to_close(self, window):
        """As a window manager does when its user closes the window (ICCCM 4.2.8.1)."""
        self.x11.XInternAtom.restype = ctypes.c_ulong
        names = b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"
        protocols, delete = (self.x11.XInternAtom(self.display, name, 0) for name in names)
        e = ClientMessage(33, 0, 1, self.display, int(window), protocols, 32, (ctypes.c_long * 5)(delete, 0))
        self.x11.XSendEvent(self.display, ctypes.c_ulong(int(window)), 0, ctypes.c_long(0), ctypes.byref(e))
        self.x11.XSync(self.display, 0)

    def do(self, *arguments):
        done = subprocess.run(["xdotool", *arguments], env=dict(os.environ, DISPLAY=self.name), stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        return done.stdout.strip()

    def picture(self):
        """The screen's lines, of (B, G, R, 0) for each dot, from the server's memory (X11/XWDFile.h)."""
        with open(os.path.join(self.folder, "Xvfb_screen0"), "rb") as f:
            data = f.read()
        head = struct.unpack(">25I", data[:100])
        start, line = head[0] + 12 * head[19], head[12]
        return [data[start + y * line:start + (y + 1) * line] for y in range(HEIGHT)]

    def close(self):
        self.x11.XCloseDisplay(self.display)
        for process in (self.manager, self.server):
            process.terminate()
            process.wait()


class Window:
    """Myna's window: where it is, and what it shows."""

    def __init__(self, x, process):
        self.x = x
        self.id = until(lambda: x.do("search", "--onlyvisible", "--pid", str(process.pid)).split("\n")[0])

    def title(self):
        return self.x.do("getwindowname", self.id)

    def geometry(self):
        found = dict(re.findall(r"^(\w+)=(-?\d+)$", self.x.do("getwindowgeometry", "--shell", self.id), re.M))
        if "WIDTH" not in found:
            return 0, 0, 0, 0
        return (*self.x.place(self.id), int(found["WIDTH"]), int(found["HEIGHT"]))

    def size(self):
        return self.geometry()[2:]

    def lines(self):
        x, y, width, height = self.geometry()
        return [line[4 * x:4 * (x + width)] for line in self.x.picture()[y:y + height]]

    def focus(self):
        self.x.do("windowfocus", "--sync", self.id)


def until(what, seconds=SECONDS):
    """The first result of what() that counts as true, or the last one."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got or time.monotonic() > end:
            return got
        time.sleep(0.05)


def console_lines(session, path):
    """The guest's screen as the emulator has it, in the form of X.picture()."""
    session.command(f"screendump {path}")
    with open(path, "rb") as f:
        data = f.read()
    head = data.split(b"\n", 3)
    width, height = (int(n) for n in head[1].split())
    rgb = head[3]
    out = bytearray(width * height * 4)
    out[0::4], out[1::4], out[2::4] = rgb[2::3], rgb[1::3], rgb[0::3]
    return [bytes(out[4 * width * y:4 * width * (y + 1)]) for y in range(height)]
