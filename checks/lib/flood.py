"""flood.py NAME: asks for names below NAME, each of them once, as fast as it can. Sent into sandboxes as `python3 -c`."""

import os
import socket
import sys

below = b"".join(bytes([len(part)]) + part for part in sys.argv[1].encode().split(b".")) + b"\0"
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setblocking(False)
number = 0
while True:
    number += 1
    label = b"%d" % number
    header = os.urandom(2) + bytes([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    try:
        sock.sendto(header + bytes([len(label)]) + label + below + bytes([0, 1, 0, 1]), ("169.254.1.1", 53))
    except OSError:
        pass
