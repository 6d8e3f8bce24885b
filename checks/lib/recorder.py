"""recorder.py LOG INTERFACE...: writes down every packet that arrives, and answers TCP.

A line is `PROTOCOL FROM TO PORT WHAT`, where WHAT is `syn` for a TCP connection attempt and
otherwise the token that the packet carried ("-" without one). Only ICMP echo requests count:
errors quote the packets that they are about. Ports of TCP are answered on every address.
"""

import ipaddress
import os
import re
import select
import socket
import sys
import threading

PORTS = (22, 80, 443, 5432, 8080, 8443)
TOKEN = re.compile(rb"token-[0-9a-f]{12}")
ETH_P_ALL, ETHERNET, IPV4, IPV6 = 3, 14, 0x0800, 0x86DD
# An empty datagram there, on loopback, is rcc asking the kernel which rules are loaded; attempts
# carry tokens.
CANARIES = {bytes([127, 82, 67, 67]), bytes([127, 82, 67, 68])}
# Who answers a sandbox's questions for names; what it sends from there is no attempt.
RESOLVER = bytes([127, 82, 67, 53])
HEADERS_V6 = {0, 43, 60}  # hop-by-hop, routing, destination options: RFC 8200
TCP, UDP, ECHO = 6, 17, {1: 8, 58: 128}  # echo request types: RFC 792, RFC 4443


def packet(frame):
    """(protocol number, source, destination, what follows the IP header), or None."""
    kind, ip = int.from_bytes(frame[12:14], "big"), frame[ETHERNET:]
    if kind == IPV4 and len(ip) >= 20:
        rest = b"" if ip[6:8] != b"\0\0" and int.from_bytes(ip[6:8], "big") & 0x1FFF else ip[(ip[0] & 15) * 4 :]
        return ip[9], ip[12:16], ip[16:20], rest
    if kind == IPV6 and len(ip) >= 40:
        protocol, rest = ip[6], ip[40:]
        while protocol in HEADERS_V6 and len(rest) >= 8:
            protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
        return protocol, ip[8:24], ip[24:40], rest
    return None


def line(frame):
    """What the log says about a frame; None for what is no attempt to reach anything."""
    seen = packet(frame)
    if seen is None:
        return None
    protocol, source, target, rest = seen
    token = TOKEN.search(rest)
    what, port = token.group().decode() if token else "-", int.from_bytes(rest[2:4], "big")
    if protocol == TCP:
        name, syn = "tcp", len(rest) > 13 and rest[13] & 0x12 == 0x02
        if syn:
            what = "syn"
        elif not token:
            return None
    elif protocol == UDP:
        name = "udp"
        if source == RESOLVER and rest[:2] == b"\0\x35":
            return None
        if target in CANARIES and rest[4:6] == b"\0\x08":  # the length of a header alone, RFC 768
            return None
    elif protocol in ECHO:
        name, port = "icmp", 0
        if rest[:1] != bytes([ECHO[protocol]]):
            return None
    else:
        name, port = f"ip{protocol}", 0
    return f"{name} {ipaddress.ip_address(source)} {ipaddress.ip_address(target)} {port} {what}\n"


def answer(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=converse, args=(connection,), daemon=True).start()


def converse(connection):
    """Long-lived on purpose: a scenario may cut the network under an open connection."""
    with connection:
        try:
            while connection.recv(65536):
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nseen\n")
        except OSError:
            pass


def main(log, interfaces):
    for port in PORTS:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, backlog=64, dualstack_ipv6=True)
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
    sniffers = []
    for interface in interfaces:
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sniffer.bind((interface, ETH_P_ALL))
        sniffers.append(sniffer)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    while True:
        for sniffer in select.select(sniffers, [], [])[0]:
            frame, address = sniffer.recvfrom(65536)
            text = None if address[2] == socket.PACKET_OUTGOING else line(frame)
            if text:
                os.write(out, text.encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
