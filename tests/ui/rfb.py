"""A client of the RFB protocol (RFC 6143, and rfbproto for what is beyond it), for tests: every step is checked."""
import select
import socket
import struct
import subprocess
import time
import zlib

RAW, COPYRECT, RRE, HEXTILE, ZLIB, TIGHT, ZRLE = 0, 1, 2, 5, 6, 7, 16
CURSOR, DESKTOP_SIZE, EXT_DESKTOP_SIZE, LAST_RECT = -239, -223, -308, -224
POINTER_MOTION, EXT_KEY, LED, VMWARE_LED = -257, -258, -261, 0x574d5668
PSEUDO = (CURSOR, DESKTOP_SIZE, EXT_DESKTOP_SIZE, POINTER_MOTION, EXT_KEY, LED)


class RfbError(Exception):
    """The server broke the protocol, or did not answer in time."""


class Refused(RfbError):
    """It does not let us in."""


def connect(where, timeout=20.0):
    """where: "unix:PATH" or "HOST:PORT"."""
    if where.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(where[5:])
        s.settimeout(timeout)
        return s
    host, _, port = where.rpartition(":")
    return socket.create_connection((host or "127.0.0.1", int(port)), timeout)


class Client:
    """A viewer; `pixels` is the picture, 0x00RRGGBB, row by row in a bytearray of 4 bytes a dot (B, G, R, 0)."""

    def __init__(self, where, password=None, version=8, shared=True, encodings=(RAW,) + PSEUDO, timeout=20.0):
        self.sock = where if isinstance(where, socket.socket) else connect(where, timeout)
        self.buffer = b""
        self.timeout = timeout
        self.width = self.height = 0
        self.pixels = bytearray()
        self.cursor = None
        self.absolute = self.leds = None
        self.extended_keys = False
        self.resizes, self.updates, self.rectangles = [], 0, 0
        self.desktop_status = None
        self.bell = 0
        self.inflate = {}
        self.open(password, version, shared)
        self.set_pixel_format()
        self.set_encodings(encodings)

    # ---- bytes ----

    def read(self, count):
        """Exactly so many bytes."""
        deadline = time.monotonic() + self.timeout
        while len(self.buffer) < count:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise RfbError("no answer within %g s" % self.timeout)
            data = self.sock.recv(1 << 20)
            if not data:
                raise RfbError("the server hung up")
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def unpack(self, form):
        """Values off the stream, big-endian."""
        return struct.unpack(">" + form, self.read(struct.calcsize(">" + form)))

    def waiting(self, seconds):
        """Whether something comes within that time."""
        return bool(self.buffer) or bool(select.select([self.sock], [], [], seconds)[0])

    def close(self):
        self.sock.close()

    # ---- opening ----

    def open(self, password, version, shared):
        line = self.read(12)
        if line != b"RFB 003.008\n":
            raise RfbError("the server's version is %r" % line)
        self.sock.sendall(b"RFB 003.%03d\n" % version)
        kind = self.choose_security(password, version)
        if kind == 2:
            self.sock.sendall(encrypt(password, self.read(16)))
        if kind == 2 or version >= 8:
            self.check_result(version)
        self.sock.sendall(bytes([1 if shared else 0]))
        self.width, self.height = self.unpack("HH")
        self.server_format = self.read(16)
        self.name = self.read(self.unpack("I")[0]).decode()
        self.pixels = bytearray(4 * self.width * self.height)

    def choose_security(self, password, version):
        wanted = 2 if password is not None else 1
        if version < 7:
            kind = self.unpack("I")[0]
        else:
            kinds = self.read(self.read(1)[0])
            if not kinds:
                raise Refused(self.read(self.unpack("I")[0]).decode())
            if wanted not in kinds:
                raise Refused("security types %s" % list(kinds))
            kind = wanted
            self.sock.sendall(bytes([kind]))
        if kind != wanted:
            raise Refused("security type %d" % kind)
        return kind

    def check_result(self, version):
        if self.unpack("I")[0] == 0:
            return
        raise Refused(self.read(self.unpack("I")[0]).decode() if version >= 8 else "failed")

    # ---- to the server ----

    def set_pixel_format(self):
        """32 bits, little-endian, 0x00RRGGBB."""
        self.sock.sendall(struct.pack(">B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))

    def set_encodings(self, encodings):
        self.sock.sendall(struct.pack(">BxH", 2, len(encodings)) + b"".join(struct.pack(">i", e) for e in encodings))

    def request(self, incremental=True, area=None):
        x, y, w, h = area or (0, 0, self.width, self.height)
        self.sock.sendall(struct.pack(">BBHHHH", 3, incremental, x, y, w, h))

    def key(self, keysym, down=True):
        self.sock.sendall(struct.pack(">BBxxI", 4, down, keysym))

    def press(self, keysym, hold=0.05):
        self.key(keysym, True)
        time.sleep(hold)
        self.key(keysym, False)

    def press_code(self, code, keysym=0, hold=0.05):
        """QEMU's extended key event: a code of set 1."""
        self.sock.sendall(struct.pack(">BBHII", 255, 0, 1, keysym, code))
        time.sleep(hold)
        self.sock.sendall(struct.pack(">BBHII", 255, 0, 0, keysym, code))

    def pointer(self, x, y, buttons=0):
        self.sock.sendall(struct.pack(">BBHH", 5, buttons, x, y))

    def cut_text(self, text):
        self.sock.sendall(struct.pack(">B3xI", 6, len(text)) + text)

    def set_desktop_size(self, width, height):
        self.sock.sendall(struct.pack(">BxHHBx", 251, width, height, 1) + struct.pack(">IHHHHI", 0, 0, 0, width,
                                                                                      height, 0))

    # ---- from the server ----

    def poll(self, seconds):
        """Takes a message if one comes within that time; whether one did."""
        if not self.waiting(seconds):
            return False
        kind = self.read(1)[0]
        if kind == 0:
            self.update()
        elif kind == 1:
            self.read(6 * struct.unpack(">xHH", self.read(5))[1])
        elif kind == 2:
            self.bell += 1
        elif kind == 3:
            self.read(struct.unpack(">3xI", self.read(7))[0])
        else:
            raise RfbError("a message of type %d" % kind)
        return True

    def update(self):
        count = struct.unpack(">xH", self.read(3))[0]
        for _ in range(count):
            x, y, w, h, encoding = self.unpack("HHHHi")
            if encoding == LAST_RECT:
                break
            self.rectangle(x, y, w, h, encoding)
        self.updates += 1

    def rectangle(self, x, y, w, h, encoding):
        if encoding in (RAW, ZLIB, ZRLE, HEXTILE, COPYRECT, RRE, TIGHT):
            if x + w > self.width or y + h > self.height:
                raise RfbError("a rectangle %dx%d+%d+%d beyond %dx%d" % (w, h, x, y, self.width, self.height))
            self.rectangles += 1
            DECODERS[encoding](self, x, y, w, h)
        elif encoding == CURSOR:
            self.cursor = (w, h, x, y, self.read(4 * w * h), self.read((w + 7) // 8 * h))
        elif encoding == DESKTOP_SIZE:
            self.resize(w, h)
        elif encoding == EXT_DESKTOP_SIZE:
            self.desktop_status = (x, y)
            self.read(16 * self.unpack("B3x")[0])
            if not (x == 1 and y):
                self.resize(w, h)
        elif encoding == POINTER_MOTION:
            self.absolute = bool(x)
        elif encoding == EXT_KEY:
            self.extended_keys = True
        elif encoding == LED:
            self.leds = self.read(1)[0]
        elif encoding == VMWARE_LED:
            self.leds = self.unpack("I")[0]
        else:
            raise RfbError("a rectangle of encoding %d" % encoding)

    def resize(self, width, height):
        if (width, height) == (self.width, self.height):
            return
        self.resizes.append((width, height))
        self.width, self.height = width, height
        self.pixels = bytearray(4 * width * height)

    def put(self, x, y, w, h, data):
        """A rectangle of dots, 4 bytes each."""
        for row in range(h):
            at = 4 * ((y + row) * self.width + x)
            self.pixels[at:at + 4 * w] = data[4 * w * row:4 * w * (row + 1)]

    # ---- pictures ----

    def refresh(self, seconds=None):
        """The whole picture anew."""
        deadline, size = time.monotonic() + (seconds or self.timeout), None
        while size != (self.width, self.height):
            size, rectangles = (self.width, self.height), self.rectangles
            self.request(False)
            while self.rectangles == rectangles and size == (self.width, self.height):
                if not self.poll(max(0, deadline - time.monotonic())):
                    raise RfbError("no update in time")

    def follow(self, seconds):
        """Takes what changes for a while."""
        deadline = time.monotonic() + seconds
        seen = -1
        while time.monotonic() < deadline:
            if seen != self.updates:
                seen = self.updates
                self.request(True)
            self.poll(max(0, min(0.5, deadline - time.monotonic())))

    def rgb(self):
        """The picture in 3 bytes a dot."""
        out = bytearray(3 * self.width * self.height)
        out[0::3], out[1::3], out[2::3] = self.pixels[2::4], self.pixels[1::4], self.pixels[0::4]
        return bytes(out)


# ---- encodings (RFC 6143 section 7.7; Zlib and Tight: rfbproto) ----

def raw(c, x, y, w, h):
    c.put(x, y, w, h, c.read(4 * w * h))


def copyrect(c, x, y, w, h):
    from_x, from_y = c.unpack("HH")
    rows = [bytes(c.pixels[4 * ((from_y + r) * c.width + from_x):][:4 * w]) for r in range(h)]
    c.put(x, y, w, h, b"".join(rows))


def rre(c, x, y, w, h):
    count, = c.unpack("I")
    c.put(x, y, w, h, c.read(4) * (w * h))
    for _ in range(count):
        colour = c.read(4)
        sx, sy, sw, sh = c.unpack("HHHH")
        c.put(x + sx, y + sy, sw, sh, colour * (sw * sh))


def hextile(c, x, y, w, h):
    background = foreground = bytes(4)
    for ty in range(y, y + h, 16):
        for tx in range(x, x + w, 16):
            tw, th = min(16, x + w - tx), min(16, y + h - ty)
            flags = c.read(1)[0]
            if flags & 1:
                raw(c, tx, ty, tw, th)
                continue
            background = c.read(4) if flags & 2 else background
            foreground = c.read(4) if flags & 4 else foreground
            c.put(tx, ty, tw, th, background * (tw * th))
            for _ in range(c.read(1)[0] if flags & 8 else 0):
                colour = c.read(4) if flags & 16 else foreground
                xy, wh = c.read(2)
                sw, sh = (wh >> 4) + 1, (wh & 15) + 1
                c.put(tx + (xy >> 4), ty + (xy & 15), sw, sh, colour * (sw * sh))


def inflated(c, stream, count):
    if stream not in c.inflate:
        c.inflate[stream] = zlib.decompressobj()
    return c.inflate[stream].decompress(c.read(count))


def zlib_rectangle(c, x, y, w, h):
    data = inflated(c, "zlib", c.unpack("I")[0])
    if len(data) != 4 * w * h:
        raise RfbError("zlib gives %d bytes for %dx%d" % (len(data), w, h))
    c.put(x, y, w, h, data)


class Bits:
    """Bytes that are taken one after another."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise RfbError("compressed data ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def colour(self):
        return self.take(3) + b"\0"

    def run(self):
        length = 1
        while True:
            byte = self.take(1)[0]
            length += byte
            if byte != 255:
                return length

    def indices(self, width, height, bits):
        """Rows of numbers of so many bits, each row padded to a byte."""
        out = []
        for _ in range(height):
            row = int.from_bytes(self.take((width * bits + 7) // 8), "big")
            pad = -width * bits % 8
            out += [row >> (pad + bits * (width - 1 - n)) & ((1 << bits) - 1) for n in range(width)]
        return out


def zrle_tile(b, count, width, height):
    kind = b.take(1)[0]
    if kind == 0:
        return b"".join(b.colour() for _ in range(count))
    if kind == 1:
        return b.colour() * count
    if kind <= 16:
        palette = [b.colour() for _ in range(kind)]
        return b"".join(palette[i] for i in b.indices(width, height, 1 if kind == 2 else 2 if kind <= 4 else 4))
    if kind == 128:
        out = b""
        while len(out) < 4 * count:
            out += b.colour() * b.run()
        return out
    if kind < 130:
        raise RfbError("a ZRLE tile of kind %d" % kind)
    palette, out = [b.colour() for _ in range(kind - 128)], b""
    while len(out) < 4 * count:
        index = b.take(1)[0]
        out += palette[index & 127] * (b.run() if index & 128 else 1)
    return out


def zrle(c, x, y, w, h):
    b = Bits(inflated(c, "zrle", c.unpack("I")[0]))
    for ty in range(y, y + h, 64):
        for tx in range(x, x + w, 64):
            tw, th = min(64, x + w - tx), min(64, y + h - ty)
            c.put(tx, ty, tw, th, zrle_tile(b, tw * th, tw, th))


def compact_length(c):
    length = shift = 0
    for shift in (0, 7, 14):
        byte = c.read(1)[0]
        length |= (byte if shift == 14 else byte & 127) << shift
        if not byte & 128:
            break
    return length


def tight_data(c, stream, size):
    if size < 12:
        return c.read(size)
    data = inflated(c, "tight%d" % stream, compact_length(c))
    if len(data) != size:
        raise RfbError("tight gives %d bytes, not %d" % (len(data), size))
    return data


def swapped(rgb):
    """Tight has red first."""
    out = bytearray(len(rgb) // 3 * 4)
    out[0::4], out[1::4], out[2::4] = rgb[2::3], rgb[1::3], rgb[0::3]
    return bytes(out)


def tight(c, x, y, w, h):
    control = c.read(1)[0]
    for stream in range(4):
        if control & (1 << stream):
            c.inflate.pop("tight%d" % stream, None)
    control >>= 4
    if control == 8:
        c.put(x, y, w, h, swapped(c.read(3)) * (w * h))
        return
    if control > 8:
        raise RfbError("tight of kind %d, which nobody asked for" % control)
    stream, kind = control & 3, c.read(1)[0] if control & 4 else 0
    if kind == 0:
        c.put(x, y, w, h, swapped(tight_data(c, stream, 3 * w * h)))
    elif kind == 1:
        count = c.read(1)[0] + 1
        colours = swapped(c.read(3 * count))
        palette = [colours[4 * n:4 * n + 4] for n in range(count)]
        bits = 1 if count == 2 else 8
        b = Bits(tight_data(c, stream, (w * bits + 7) // 8 * h))
        c.put(x, y, w, h, b"".join(palette[i] for i in b.indices(w, h, bits)))
    else:
        raise RfbError("tight with filter %d" % kind)


DECODERS = {RAW: raw, COPYRECT: copyrect, RRE: rre, HEXTILE: hextile, ZLIB: zlib_rectangle, ZRLE: zrle, TIGHT: tight}


def encrypt(password, challenge):
    """The response to a challenge: DES by the password, each byte with its bits reversed (RFC 6143 section 7.2.2)."""
    key = bytes(int("{:08b}".format(b)[::-1], 2) for b in password.encode("latin-1")[:8].ljust(8, b"\0"))
    out = subprocess.run(["openssl", "enc", "-des-ecb", "-nopad", "-K", key.hex(), "-provider", "legacy", "-provider",
                          "default"], input=challenge, capture_output=True, check=True)
    return out.stdout
