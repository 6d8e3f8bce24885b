"""relay.py SOCKET STEP...: one connection that speaks the relay's protocol (docs/relay-protocol.md), without rcc.

Prints a line for each step: the answer to a request, which is written as JSON; the next message, for `message`;
that message, acknowledged, for `take`. `send N` sends N messages to whom the next word names, again and again until
each was acknowledged, over whatever happens to the relay meanwhile, and `collect N` takes that many, each once.
It is sent into sandboxes as `python3 -c`. Ends with status 1 if an answer is an error, with 2 if there is no relay.
"""

import json
import socket
import sys
import time

PATIENCE = 30


class Line:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")
        self.kept = []
        self.asked = 0

    def hear(self):
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("closed")
        return json.loads(line)

    def ask(self, request):
        self.asked += 1
        tag = str(self.asked)
        try:
            self.socket.sendall((json.dumps(request | {"request": tag}) + "\n").encode())
        except BrokenPipeError:
            pass  # Whoever hangs up may have said why.
        while True:
            heard = self.hear()
            # What is refused without a tag is the connection itself.
            if heard["type"] == "response" and heard.get("request", tag) == tag:
                return heard
            self.kept.append(heard)

    def message(self):
        while True:
            heard = self.kept.pop(0) if self.kept else self.hear()
            if heard["type"] == "message":
                return heard


def outlasting(path, act):
    """Does it on a new connection as often as the relay goes away."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return act(Line(path))
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def send_all(path, count, to):
    done = []

    def rest(line):
        for number in range(len(done), count):
            answer = line.ask({"type": "send", "to": to, "text": f"number {number}", "id": f"n{number}"})
            if "error" in answer:
                if answer["reason"] == "closing":
                    raise ConnectionError("closing")
                raise SystemExit(json.dumps(answer))
            done.append(answer)

    outlasting(path, rest)
    return {"acknowledged": len(done), "again": sum(answer["data"]["duplicate"] for answer in done)}


def collect(path, count):
    seen = {}

    def more(line):
        line.ask({"type": "subscribe"})
        while len(seen) < count:
            message = line.message()
            seen.setdefault(message["id"], message["text"])
            line.ask({"type": "ack", "ids": [message["id"]]})

    outlasting(path, more)
    inbox = outlasting(path, lambda line: line.ask({"type": "inbox"}))
    in_order = list(seen.values()) == [f"number {number}" for number in range(count)]
    return {"collected": len(seen), "in_order": in_order, "left": len(inbox["data"]["messages"])}


def main(path, *steps):
    steps, failed, line = list(steps), False, None
    while steps:
        step = steps.pop(0)
        if step == "send":
            said = send_all(path, int(steps.pop(0)), steps.pop(0))
        elif step == "collect":
            said = collect(path, int(steps.pop(0)))
        else:
            line = line or Line(path)
            if step in ("message", "take"):
                said = line.message()
                if step == "take":
                    line.ask({"type": "ack", "ids": [said["id"]]})
            else:
                said = line.ask(json.loads(step))
        failed |= "error" in said
        print(json.dumps(said), flush=True)
    return failed


try:
    sys.exit(main(*sys.argv[1:]))
except OSError as error:
    print(f"{sys.argv[1]}: {error}")
    sys.exit(2)
