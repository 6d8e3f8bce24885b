"""ask.py [OPTION...] NAME[/TYPE]... [-- COMMAND...]: asks for names, all at once, and then becomes COMMAND.

Prints a line for each, in order: NAME TYPE CODE DATA... ttl=LEAST ms=TAKEN, or instead of the code what
went wrong; `cut` stands before the data of a reply that says so. Labels hold any octet, as \\DDD.
It is sent into sandboxes as `python3 -c`: what resolvers of musl and Go do, without the C library.

    @ADDRESS[:PORT]   the server, 169.254.1.1 without    +tcp  +patience=SECONDS  +size=OCTETS (EDNS)
"""

import os
import re
import socket
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "HTTPS": 65, "ANY": 255}
CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
OPTIONS = {"server": "169.254.1.1", "patience": "6", "size": "0", "tcp": ""}


def labels(name):
    parts = [re.sub(r"\\(\d{3})", lambda found: chr(int(found[1])), part) for part in name.rstrip(".").split(".")]
    return b"".join(bytes([len(part)]) + part.encode("latin-1") for part in parts if part) + b"\0"


def query(name, kind):
    size = int(OPTIONS["size"])
    edns = struct.pack("!BHHIH", 0, 41, size, 0, 0) if size else b""
    header = os.urandom(2) + struct.pack("!HHHHH", 0x0100, 1, 0, 0, bool(size))
    return header + labels(name) + struct.pack("!HH", TYPES[kind], 1) + edns


def name_at(reply, at):
    """A name, and where the octets after it start."""
    found, after = [], None
    for _ in range(130):
        if reply[at] >= 0xC0:
            after = after or at + 2
            at = int.from_bytes(reply[at : at + 2], "big") & 0x3FFF
        elif reply[at] == 0:
            return ".".join(found), after or at + 1
        else:
            found.append(reply[at + 1 : at + 1 + reply[at]].decode("latin-1"))
            at += 1 + reply[at]
    raise ValueError("a name without an end")


def shown(reply, kind, at, length):
    if kind == TYPES["A"]:
        return socket.inet_ntop(socket.AF_INET, reply[at : at + length])
    if kind == TYPES["AAAA"]:
        return socket.inet_ntop(socket.AF_INET6, reply[at : at + length])
    if kind in (TYPES["CNAME"], TYPES["PTR"]):
        return ("alias=" if kind == TYPES["CNAME"] else "") + name_at(reply, at)[0]
    return reply[at : at + length].hex()


def read(reply):
    flags, questions, answers = struct.unpack("!HHH", reply[2:8])
    at, words, ttls = 12, [], []
    if questions:
        at = name_at(reply, at)[1] + 4
    for _ in range(answers):
        _, at = name_at(reply, at)
        kind, _, ttl, length = struct.unpack("!HHIH", reply[at : at + 10])
        words.append(shown(reply, kind, at + 10, length))
        ttls.append(ttl)
        at += 10 + length
    cut = ["cut"] if flags & 0x0200 else []
    return [CODES.get(flags & 15, str(flags & 15)), *cut, *words, f"ttl={min(ttls, default=0)}"]


def exchange(message):
    host, _, port = OPTIONS["server"].partition(":")
    kind = socket.SOCK_STREAM if OPTIONS["tcp"] else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(float(OPTIONS["patience"]))
        sock.connect((host, int(port or 53)))
        if not OPTIONS["tcp"]:
            sock.send(message)
            return sock.recv(65535)
        sock.sendall(struct.pack("!H", len(message)) + message)
        with sock.makefile("rb") as stream:
            return stream.read(int.from_bytes(stream.read(2), "big"))


def ask(wanted):
    name, _, kind = wanted.partition("/")
    start = time.monotonic()
    try:
        message = query(name, kind or "A")
        reply = exchange(message)
        words = read(reply) if reply[:2] == message[:2] else ["strange"]
    except (OSError, IndexError, struct.error, ValueError) as error:
        words = [type(error).__name__]
    return " ".join([name, kind or "A", *words, f"ms={(time.monotonic() - start) * 1000:.0f}"])


def main(words):
    words, command = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    for word in [word for word in words if word[0] in "@+"]:
        words.remove(word)
        key, _, value = ("server=" + word[1:] if word[0] == "@" else word[1:]).partition("=")
        OPTIONS[key] = value or "yes"
    with ThreadPoolExecutor(max_workers=32) as pool:
        print(*pool.map(ask, words), sep="\n", flush=True, file=sys.stderr if command else sys.stdout)
    if command:
        os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
