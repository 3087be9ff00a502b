"""A terminal as far as curses needs one: what a program writes to it becomes a screen of characters with colours."""
import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

SEQUENCE = re.compile(r"\x1b(?:\[([?>=]?)([0-9;]*)([@-~])|[()]([0-9A-B])|([=>78cDEMH])|\][^\x07\x1b]*(?:\x07|\x1b\\))")


class Terminal:
    """A program on a pseudo terminal; rows[y][x] is (character, foreground, background, bold)."""

    def __init__(self, command, columns=80, rows=25, environment=None):
        self.columns, self.height = columns, rows
        self.clear_all()
        self.pending = b""
        self.unknown = set()
        self.pid, self.fd = pty.fork()
        if not self.pid:
            self.set_size(0, columns, rows)
            os.execvpe(command[0], command,
                       dict(os.environ, **{"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})}))
        self.set_size(self.fd, columns, rows)

    @staticmethod
    def set_size(fd, columns, rows):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self.columns, self.height = columns, rows
        self.clear_all()
        self.set_size(self.fd, columns, rows)

    def clear_all(self):
        self.x = self.y = self.top = 0
        self.bottom = self.height - 1
        self.colours = (None, None, False)
        self.cursor_on = True
        self.last = " "
        self.rows = [self.blank_row() for _ in range(self.height)]

    def blank(self):
        return (" ",) + self.colours

    def blank_row(self):
        return [self.blank()] * self.columns

    def send(self, data):
        os.write(self.fd, data if isinstance(data, bytes) else data.encode())

    def run(self, seconds):
        """Takes what comes for a while; False: the program has ended."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.fd], [], [], left)[0]:
                break
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.feed(data)
        return True

    def wait(self, seconds, condition):
        """Whether the condition comes true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or not self.run(0.1):
                return condition()
        return True

    def text(self):
        return "\n".join("".join(c[0] for c in row).rstrip() for row in self.rows)

    # ---- what is written ----

    def feed(self, data):
        data = self.pending + data
        cut = len(data)
        while cut and len(data) - cut < 3 and data[cut - 1] & 0xc0 == 0x80:
            cut -= 1
        cut = len(data) if not cut or data[cut - 1] < 0xc0 else cut - 1
        text = data[:cut].decode("utf-8", errors="replace")
        self.pending = data[cut:]
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                m = SEQUENCE.match(text, at)
                if not m:
                    self.pending = text[at:].encode() + self.pending
                    return
                self.sequence(m)
                at = m.end()
            else:
                self.character(text[at])
                at += 1

    def character(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            self.line_feed()
        elif c == "\b":
            self.x = max(self.x - 1, 0)
        elif c >= " ":
            if self.x == self.columns:
                self.x = 0
                self.line_feed()
            self.rows[self.y][self.x] = (c,) + self.colours
            self.x += 1
            self.last = c

    def line_feed(self):
        if self.y == self.bottom:
            self.scroll(1)
        else:
            self.y = min(self.y + 1, self.height - 1)

    def scroll(self, count):
        for _ in range(abs(count)):
            if count > 0:
                del self.rows[self.top]
                self.rows.insert(self.bottom, self.blank_row())
            else:
                del self.rows[self.bottom]
                self.rows.insert(self.top, self.blank_row())

    def sequence(self, m):
        private, numbers, final = m.group(1), m.group(2), m.group(3)
        if final is None:
            if m.group(5) == "M":
                if self.y == self.top:
                    self.scroll(-1)
                else:
                    self.y -= 1
            return
        values = [int(n) if n else 0 for n in numbers.split(";")] if numbers else [0]
        if private:
            if private == "?" and values == [25]:
                self.cursor_on = final == "h"
            return
        action = getattr(self, "do_" + {"@": "ich"}.get(final, final), None)
        if action:
            action(values)
        elif final not in "hltrcn":
            self.unknown.add(final)

    def do_H(self, v):
        self.y = min(max(v[0], 1), self.height) - 1
        self.x = min(max(v[1] if len(v) > 1 else 1, 1), self.columns) - 1

    do_f = do_H

    def do_A(self, v):
        self.y = max(self.y - max(v[0], 1), 0)

    def do_B(self, v):
        self.y = min(self.y + max(v[0], 1), self.height - 1)

    def do_C(self, v):
        self.x = min(self.x + max(v[0], 1), self.columns - 1)

    def do_D(self, v):
        self.x = max(self.x - max(v[0], 1), 0)

    def do_G(self, v):
        self.x = min(max(v[0], 1), self.columns) - 1

    def do_d(self, v):
        self.y = min(max(v[0], 1), self.height) - 1

    def do_J(self, v):
        if v[0] == 0:
            self.do_K([0])
            first, last = self.y + 1, self.height
        elif v[0] == 1:
            self.do_K([1])
            first, last = 0, self.y
        else:
            first, last = 0, self.height
        for y in range(first, last):
            self.rows[y] = self.blank_row()

    def do_K(self, v):
        first, last = {0: (self.x, self.columns), 1: (0, self.x + 1)}.get(v[0], (0, self.columns))
        for x in range(first, min(last, self.columns)):
            self.rows[self.y][x] = self.blank()

    def do_X(self, v):
        for x in range(self.x, min(self.x + max(v[0], 1), self.columns)):
            self.rows[self.y][x] = self.blank()

    def do_b(self, v):
        for _ in range(max(v[0], 1)):
            self.character(self.last)

    def do_P(self, v):
        for _ in range(max(v[0], 1)):
            del self.rows[self.y][self.x]
            self.rows[self.y].append(self.blank())

    def do_ich(self, v):
        for _ in range(max(v[0], 1)):
            self.rows[self.y].insert(self.x, self.blank())
            del self.rows[self.y][self.columns:]

    def do_L(self, v):
        top, self.top = self.top, self.y
        self.scroll(-max(v[0], 1))
        self.top = top

    def do_M(self, v):
        top, self.top = self.top, self.y
        self.scroll(max(v[0], 1))
        self.top = top

    def do_S(self, v):
        self.scroll(max(v[0], 1))

    def do_T(self, v):
        self.scroll(-max(v[0], 1))

    def do_r(self, v):
        self.top = max(v[0], 1) - 1
        self.bottom = (v[1] if len(v) > 1 and v[1] else self.height) - 1
        self.x = self.y = 0

    def do_m(self, v):
        fore, back, bold = self.colours
        at = 0
        while at < len(v):
            n = v[at]
            if n == 0:
                fore, back, bold = None, None, False
            elif n == 1:
                bold = True
            elif n == 22:
                bold = False
            elif 30 <= n <= 37 or 90 <= n <= 97:
                fore = n - 30 if n < 40 else n - 90 + 8
            elif 40 <= n <= 47 or 100 <= n <= 107:
                back = n - 40 if n < 50 else n - 100 + 8
            elif n == 39:
                fore = None
            elif n == 49:
                back = None
            elif n in (38, 48) and v[at + 1:at + 2] == [5]:
                if n == 38:
                    fore = v[at + 2]
                else:
                    back = v[at + 2]
                at += 2
            at += 1
        self.colours = (fore, back, bold)
