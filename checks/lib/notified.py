"""notified.py SOCKET: ends when a service says there that it is ready (sd_notify(3)), or fails after 20 s."""

import socket
import sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
listener.settimeout(20)
while b"READY=1" not in listener.recv(4096).splitlines():
    pass
