"""DNS messages, as much as dns.py needs of RFC 1035."""

import struct

A, CNAME, PTR, TXT, AAAA, HTTPS = 1, 5, 12, 16, 28, 65
TRUNCATED = 0x0200


def encoded(name):
    labels = [label.encode() for label in name.strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def record(name, kind, ttl, data):
    return encoded(name) + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def end_of_question(query):
    at = 12
    while query[at]:
        at += 1 + query[at]
    return at + 5


def question(query):
    """The name and type asked for; what is not ASCII as in Latin-1."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]])
        at += 1 + query[at]
    return b".".join(labels).decode("latin-1").lower(), int.from_bytes(query[at + 1 : at + 3], "big")


def message(query, code, records, additional=(), limit=65535):
    """A reply, which says that it was cut if it is longer than `limit`."""

    def of(flags, answers, more):
        header = query[:2] + struct.pack("!HHHHH", flags | code, 1, len(answers), 0, len(more))
        return header + query[12 : end_of_question(query)] + b"".join([*answers, *more])

    whole = of(0x8580, records, additional)
    return whole if len(whole) <= limit else of(0x8580 | TRUNCATED, [], [])
