"""dns.py ADDRESS [TABLE]: answers DNS queries on port 53 of ADDRESS, over UDP and TCP (RFC 1035).

NAMES is fixed; lines `NAME WORD...` in TABLE (/mnt/log/dns) replace or add names while it runs:
    ADDRESS        an A or an AAAA record        ttl=SECONDS  of all its records, 60 without
    alias=NAME     a CNAME and what NAME has     hint=ADDRESS an HTTPS record that names the address
    pointer=NAME   a PTR record                  text=WORD    a TXT record
    way=WAY        how it answers instead: see hostile_dns.py
Every query is written to /mnt/log/asked: `PROTOCOL NAME TYPE SERVER`, odd octets as %HH.
"""

import ipaddress
import os
import socket
import struct
import sys
import threading
from urllib.parse import quote

import hostile_dns
from dns_wire import A, AAAA, CNAME, HTTPS, PTR, TXT, encoded, message, question, record

EXTRA, ASKED = "/mnt/log/dns", "/mnt/log/asked"
NAMES = {
    "public.test": ["203.0.113.10", "2001:db8:f00d::10"],
    "private.test": ["10.1.2.3", "fd12::3"],
    "neighbour.test": ["192.168.77.20", "2001:db8:77::20"],
    "git.corp.test": ["10.1.2.8"],
    "metadata.test": ["169.254.169.254"],
}
ALIASES_MAX = 24


def known(table, name):
    with open(table, encoding="utf-8") as lines:
        extra = {words[0]: words[1:] for words in map(str.split, lines) if words}
    return extra.get(name, NAMES.get(name))


def data(word, kind):
    """The data of the record that a word stands for, if it is of that type."""
    key, _, value = word.partition("=")
    if key == "pointer" and kind == PTR:
        return encoded(value)
    if key == "text" and kind == TXT:
        return bytes([len(value)]) + value.encode()
    if key == "hint" and kind == HTTPS:  # priority 1, target ".", ipv4hint: RFC 9460
        return struct.pack("!HBHH", 1, 0, 4, 4) + ipaddress.ip_address(value).packed
    if "=" not in word:
        packed = ipaddress.ip_address(word).packed
        return packed if {A: 4, AAAA: 16}.get(kind) == len(packed) else None
    return None


def answer(table, name, kind):
    """The code and the records; `way` instead of them if the name has one."""
    records, exists = [], False
    for _ in range(ALIASES_MAX):
        words = known(table, name)
        exists = words is not None
        options = dict(word.split("=", 1) for word in words or [] if "=" in word)
        if "way" in options:
            return options["way"], records
        ttl, alias = int(options.get("ttl", 60)), options.get("alias")
        if alias is None or kind == CNAME:
            found = [data(word, kind) for word in words or []]
            return 0 if exists else 3, records + [record(name, kind, ttl, one) for one in found if one is not None]
        records.append(record(name, CNAME, ttl, encoded(alias)))
        name = alias
    return 0, records


def replies(table, query, protocol, server):
    """What is sent back, in order: whole messages."""
    name, kind = question(query)
    with open(ASKED, "a", encoding="utf-8") as log:
        log.write(f"{protocol} {quote(name)} {kind} {server}\n")
    code, records = answer(table, name, kind)
    if isinstance(code, str):
        return hostile_dns.replies(code, query, protocol)
    return [message(query, code, records, limit=65535 if protocol == "tcp" else 1232)]


def converse(table, connection, server):
    with connection, connection.makefile("rb") as stream:
        while True:
            length = stream.read(2)
            if len(length) < 2:
                return
            for reply in replies(table, stream.read(int.from_bytes(length, "big")), "tcp", server):
                connection.sendall(reply if isinstance(reply, bytearray) else struct.pack("!H", len(reply)) + reply)


def over_tcp(table, address):
    listener = socket.create_server((address, 53), backlog=64)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=converse, args=(table, connection, address), daemon=True).start()


def main(address, table=EXTRA):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    threading.Thread(target=over_tcp, args=(table, address), daemon=True).start()
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for path in (ASKED, table):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    while True:
        query, client = server.recvfrom(4096)
        try:
            for reply in replies(table, query, "udp", address):
                # A bytearray is what comes from somebody else: there, from another port.
                (elsewhere if isinstance(reply, bytearray) else server).sendto(reply, client)
        except (IndexError, UnicodeError):
            continue  # not a query


if __name__ == "__main__":
    main(*sys.argv[1:])
