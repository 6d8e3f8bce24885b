"""git_client.py SERVICE URL [MODE]: asks the git plugin's socket for a remote, as no git would; see the page on the
plugins' protocol. Says what the broker said, and the beginning of what the remote did."""

import json
import socket
import struct
import sys


def frame(tag, content):
    return struct.pack(">I", len(tag) + len(content)) + tag + content


def exactly(plugin, count):
    parts = b""
    while len(parts) < count:
        part = plugin.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def frames(plugin):
    while True:
        try:
            yield exactly(plugin, *struct.unpack(">I", exactly(plugin, 4)))
        except (EOFError, ConnectionError):
            return


def main(service, url, mode="connect"):
    with socket.socket(socket.AF_UNIX) as plugin:
        plugin.settimeout(20)
        plugin.connect("/run/rcc/plugins/git.sock")
        plugin.sendall(frame(b"", json.dumps({"action": "stream", "version": 1}).encode()))
        wanted = {"action": "connect", "service": service, "url": url, "mode": mode}
        plugin.sendall(frame(b"c", json.dumps(wanted).encode()))
        said = frames(plugin)
        next(said)
        for answer in said:
            print(answer[:3000].decode(errors="replace"))
            if answer[:1] == b"c" and b'"started"' in answer:
                plugin.sendall(frame(b"0", b"0000") + frame(b"0", b""))


main(*sys.argv[1:])
