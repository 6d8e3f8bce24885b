"""beat.py TOKEN ADDRESS PORT: sends the token by UDP and over one TCP connection, every 20 ms.

Sent into sandboxes as `python3 -c`. The connection is opened again whenever it breaks, so that
what stops it is the network alone.
"""

import socket
import sys
import time

token, target = sys.argv[1].encode(), (sys.argv[2], int(sys.argv[3]))
udp, tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), None
while True:
    try:
        udp.sendto(b"udp-" + token, target)
    except OSError:
        pass
    try:
        if tcp is None:
            tcp = socket.create_connection(target, timeout=0.5)
            tcp.settimeout(None)
            tcp.setblocking(False)
        tcp.send(b"tcp-" + token)
    except BlockingIOError:
        pass
    except OSError:
        tcp = None
    time.sleep(0.02)
