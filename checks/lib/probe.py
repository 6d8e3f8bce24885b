"""probe.py ATTEMPTS: tries to reach places, all at once, and prints what each attempt met.

ATTEMPTS is a JSON list of [protocol, address or name (over IPv4), port, token]; the answer a JSON list of words:
"answered", "sent" (no answer is expected), or the name of the error. It is sent into sandboxes
as `python3 -c`, so it is one file and needs only the standard library.
"""

import errno
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

PATIENCE = 2.0  # seconds


def interface():
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    return names[0] if names else "lo"


def attempt(protocol, address, port, token):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if address.startswith(("fe80:", "ff02:")):
        address += "%" + interface()
    kinds = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0)}
    icmp = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    with socket.socket(family, *kinds.get(protocol, (socket.SOCK_DGRAM, icmp))) as sock:
        sock.settimeout(PATIENCE)
        if protocol == "tcp":
            sock.connect(socket.getaddrinfo(address, port, family)[0][4])
            sock.sendall(token.encode())
            return "answered" if b"seen" in sock.recv(4096) else "closed"
        if family == socket.AF_INET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        echo = bytes([128 if family == socket.AF_INET6 else 8, 0, 0, 0, 0, 0, 0, 1])
        message = token.encode() if protocol == "udp" else echo + token.encode()
        sock.sendto(message, socket.getaddrinfo(address, port, family)[0][4])
        return "sent"


def outcome(words):
    try:
        return attempt(*words)
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


if __name__ == "__main__":
    attempts = json.loads(sys.argv[1])
    with ThreadPoolExecutor(max_workers=len(attempts) or 1) as pool:
        print(json.dumps(list(pool.map(outcome, attempts))))
