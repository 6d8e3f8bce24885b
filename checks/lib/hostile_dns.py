"""Answers that no honest server gives; the way of a name in dns.py. Whoever believes one of them
takes EVIL for an address of the name, or a name's alias for more than it is."""

import ipaddress
import random
import struct

from dns_wire import A, CNAME, encoded, message, question, record

EVIL = ipaddress.ip_address("203.0.113.66").packed
GOOD = ipaddress.ip_address("203.0.113.77").packed


def replies(way, query, protocol):
    """Whole messages. A bytearray comes from elsewhere over UDP, and over TCP is sent without a length."""
    name, _ = question(query)
    return globals()["way_" + way.replace("-", "_")](name, query, protocol)


def evil(name, query):
    return message(query, 0, [record(name, A, 60, EVIL)])


def good(name, query):
    return message(query, 0, [record(name, A, 60, GOOD)])


def other_id(reply):
    return struct.pack("!H", int.from_bytes(reply[:2], "big") ^ 0x5555) + reply[2:]


def way_silent(_name, _query, _protocol):
    return []


def way_servfail(_name, query, _protocol):
    return [message(query, 2, [])]


def way_refused(_name, query, _protocol):
    return [message(query, 5, [])]


def way_garbage(_name, query, _protocol):
    return [query[:2] + random.Random(4).randbytes(500)]


def way_loop(name, query, _protocol):
    """The owner's name is a pointer to itself."""
    reply = evil(name, query)
    at = len(reply) - len(record(name, A, 60, EVIL))
    return [reply[:at] + struct.pack("!H", 0xC000 | at) + reply[at + len(encoded(name)) :]]


def way_forward(name, query, _protocol):
    """Two pointers that point at each other."""
    reply = message(query, 0, [])
    at = len(reply)
    loop = struct.pack("!HHHHIH", 0xC000 | at + 2, 0xC000 | at, A, 1, 60, 4) + EVIL
    return [reply[:6] + b"\0\1" + reply[8:] + loop]


def way_promise(name, query, _protocol):
    """65,535 records in each section, it says."""
    reply = evil(name, query)
    return [reply[:6] + b"\xff" * 6 + reply[12:]]


def way_question(_name, query, _protocol):
    """An answer to another question, with the right id."""
    other = query[:12] + encoded("public.test") + query[-4:]
    return [evil("public.test", other[:12] + encoded("public.test") + struct.pack("!HH", A, 1))]


def way_id(name, query, _protocol):
    """Nothing but wrong ids, over either protocol."""
    return [other_id(evil(name, query))] * 3


def way_guess(name, query, protocol):
    """Somebody guesses ids for a while; who asks over TCP gets the true answer."""
    return [good(name, query)] if protocol == "tcp" else [other_id(evil(name, query))] * 50 + [evil(name, query)]


def way_elsewhere(name, query, protocol):
    """A right id from another port comes first."""
    return [good(name, query)] if protocol == "tcp" else [bytearray(evil(name, query)), good(name, query)]


def way_query(name, query, _protocol):
    """Everything is right, except that it is a question."""
    reply = evil(name, query)
    return [reply[:2] + b"\x05\x80" + reply[4:]]


def way_thousand(name, query, protocol):
    addresses = [struct.pack("!BBH", 203, 1, number) for number in range(1000)]
    return [message(query, 0, [record(name, A, 60, one) for one in addresses], limit=cut(protocol))]


def way_64k(name, query, protocol):
    """As many records as a message over TCP can hold."""
    room = (65535 - len(query) - 12) // len(record(name, A, 60, EVIL))
    addresses = [struct.pack("!BBH", 203, 2, number) for number in range(room)]
    return [message(query, 0, [record(name, A, 60, one) for one in addresses], limit=cut(protocol))]


def way_unfinished(name, query, protocol):
    """65,535 octets are promised over TCP, and never come."""
    whole = message(query, 0, [record(name, A, 60, EVIL)] * 100, limit=cut(protocol))
    return [whole] if protocol == "udp" else [bytearray(b"\xff\xff" + whole)]


def way_bailiwick(name, query, _protocol):
    """An alias, and what nobody asked: addresses for the alias of other people's names."""
    answers = [
        record(name, CNAME, 60, encoded("public.test")),
        record("public.test", A, 86400, GOOD),
        record("neighbour.test", A, 86400, EVIL),
    ]
    more = [record(other, A, 86400, EVIL) for other in ("listed.test", "git.corp.test", "private.test")]
    return [message(query, 0, answers, more)]


def way_circle(name, query, _protocol):
    other = "x." + name
    answers = [record(name, CNAME, 60, encoded(other)), record(other, CNAME, 60, encoded(name))]
    return [message(query, 0, [*answers, record(name, A, 60, EVIL)])]


def way_class(name, query, _protocol):
    """An address of class CHAOS."""
    reply = evil(name, query)
    at = len(reply) - len(record(name, A, 60, EVIL)) + len(encoded(name))
    return [reply[: at + 2] + b"\0\3" + reply[at + 4 :]]


def way_nxdomain(name, query, _protocol):
    """No such name, and here is its address."""
    return [message(query, 3, [record(name, A, 60, EVIL)])]


def cut(protocol):
    return 65535 if protocol == "tcp" else 1232
