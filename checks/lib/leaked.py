"""leaked.py SECRET: exit status 0 if the secret is in standard input: as it is, in hexadecimal, percent-encoded, or in
Base64 wherever in a longer text it was encoded; lines broken anywhere, and one half of it is enough."""

import base64
import re
import sys
import urllib.parse


def halves(text):
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def forms(data):
    """What the text may be read as."""
    yield data
    yield urllib.parse.unquote_to_bytes(data)
    for run in re.findall(rb"[0-9a-fA-F]{8,}", data):
        for start in (0, 1):
            part = run[start:]
            yield bytes.fromhex(part[: len(part) // 2 * 2].decode())
    for run in re.findall(rb"[A-Za-z0-9+/_-]{8,}", data):
        for start in range(4):
            part = run[start:].translate(bytes.maketrans(b"-_", b"+/"))
            yield base64.b64decode(part[: len(part) // 4 * 4])


secret = sys.argv[1].encode()
lines = sys.stdin.buffer.read()
said = [form for data in (lines, re.sub(rb"\s", b"", lines)) for form in forms(data)]
found = [half for half in halves(secret) if any(half in form for form in said)]
print(found)
sys.exit(not found)
