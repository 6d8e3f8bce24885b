"""A terminal with a person at it: starts a command on a pty, types, reads, resizes, waits."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 10.0  # seconds


class Terminal:
    def __init__(self, *command, rows=24, columns=80):
        self.seen = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvp(command[0], command)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def modes(self):
        """The pty's settings as tcgetattr(3) gives them."""
        return termios.tcgetattr(self.master)

    def expect(self, pattern, patience=PATIENCE):
        """Reads until the pattern appears, and drops everything up to its end."""
        end = time.monotonic() + patience
        while not (match := re.search(pattern, self.seen)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                sys.exit(f"expected {pattern!r}, the terminal shows {self.seen[-2000:]!r}")
            try:
                data = os.read(self.master, 65536)
            except OSError:  # EIO: the other side is closed
                data = b""
            if not data:
                sys.exit(f"expected {pattern!r}, but it ended with {self.seen[-2000:]!r}")
            self.seen += data.decode(errors="replace")
        self.seen = self.seen[match.end() :]
        return match

    def status(self, patience=PATIENCE):
        """The exit status as a shell would show it."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if select.select([self.master], [], [], 0.02)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    time.sleep(0.02)
        os.kill(self.pid, signal.SIGKILL)
        sys.exit(f"it did not end; the terminal shows {self.seen[-2000:]!r}")
