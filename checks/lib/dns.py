"""dns.py ADDRESS: answers DNS queries over UDP on port 53 of ADDRESS (RFC 1035), from a table.

NAMES is fixed; lines `NAME ADDRESS...` in /mnt/log/dns replace or add names while it runs.
"""

import ipaddress
import socket
import struct
import sys

EXTRA = "/mnt/log/dns"
A, AAAA = 1, 28
NAMES = {
    "public.test": ["203.0.113.10", "2001:db8:f00d::10"],
    "private.test": ["10.1.2.3", "fd12::3"],
    "neighbour.test": ["192.168.77.20", "2001:db8:77::20"],
    "git.corp.test": ["10.1.2.8"],
    "metadata.test": ["169.254.169.254"],
}


def addresses(name):
    with open(EXTRA, encoding="utf-8") as lines:
        extra = {words[0]: words[1:] for words in map(str.split, lines) if words}
    return extra.get(name, NAMES.get(name))


def question(query):
    """The name and type asked for, and where the question ends."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]])
        at += 1 + query[at]
    return b".".join(labels).decode("ascii").lower(), int.from_bytes(query[at + 1 : at + 3], "big"), at + 5


def reply(query):
    name, kind, end = question(query)
    known = addresses(name)
    found = [ipaddress.ip_address(text).packed for text in known or []]
    found = [packed for packed in found if {A: 4, AAAA: 16}.get(kind) == len(packed)]
    code = 0 if known else 3  # NXDOMAIN
    header = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(found), 0, 0)
    records = (struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(packed)) + packed for packed in found)
    return header + query[12:end] + b"".join(records)


def main(address):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    open(EXTRA, "a", encoding="utf-8").close()
    while True:
        query, client = server.recvfrom(4096)
        try:
            server.sendto(reply(query), client)
        except (IndexError, UnicodeDecodeError):
            continue  # not a query


if __name__ == "__main__":
    main(sys.argv[1])
