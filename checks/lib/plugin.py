"""plugin.py WHAT TOOL ...: a client of the plugins' protocol in its simple form, by its page alone.

exec TOOL CWD ARGUMENT...      one call; its output, error and exit status are this program's
raw TOOL HEX                   sends bytes, and prints what comes until the plugin closes, or for two seconds
silent TOOL COUNT SECONDS      so many connections that say nothing, for so long
signals TOOL SECONDS           one call in the streaming form, and bytes of signals to it as fast as they are taken
many TOOL COUNT                so many calls at once: prints how many were answered as they must be
"""

import json
import os
import socket
import struct
import sys
import threading
import time


def connect(tool):
    plugin = socket.socket(socket.AF_UNIX)
    plugin.connect(f"/run/rcc/plugins/{tool}.sock")
    return plugin


def exactly(plugin, count):
    parts = bytearray()
    while len(parts) < count:
        part = plugin.recv(min(count - len(parts), 65536))
        if not part:
            raise EOFError("the plugin closed the connection")
        parts += part
    return bytes(parts)


def call(plugin, args, cwd, **more):
    request = json.dumps({"action": "exec", "args": args, "cwd": cwd, **more}).encode()
    plugin.sendall(struct.pack(">I", len(request)) + request)
    (length,) = struct.unpack(">I", exactly(plugin, 4))
    return json.loads(exactly(plugin, length))


def execute(tool, cwd, *args):
    answer = call(connect(tool), list(args), cwd or os.getcwd())
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"] + (answer["error"] or ""))
    sys.exit(answer["exit_code"])


def raw(tool, text):
    plugin = connect(tool)
    plugin.settimeout(2)
    said = b""
    try:
        plugin.sendall(bytes.fromhex(text))
        while part := plugin.recv(65536):
            said += part
        end = "closed"
    except TimeoutError:
        end = "open"
    except (BrokenPipeError, ConnectionResetError):
        end = "closed"
    print(end, said[4:].decode(errors="replace"))


def silent(tool, count, seconds):
    held = []
    for _ in range(int(count)):
        plugin = socket.socket(socket.AF_UNIX)
        plugin.settimeout(1)
        try:
            plugin.connect(f"/run/rcc/plugins/{tool}.sock")
            held.append(plugin)
        except OSError as error:
            print("refused:", error)
            break
    print("holding", len(held), flush=True)
    time.sleep(float(seconds))


def signals(tool, seconds):
    plugin = connect(tool)
    frame = lambda said: struct.pack(">I", len(said)) + said
    request = {"action": "exec", "args": ["sleep", "100"], "cwd": os.getcwd()}
    plugin.sendall(frame(b'{"action":"stream","version":1}') + frame(b"c" + json.dumps(request).encode()))
    flood = frame(b'c{"action":"signal","signal":"CONT"}') * 1000
    end = time.monotonic() + float(seconds)
    plugin.settimeout(0.2)
    sent = 0
    while time.monotonic() < end:
        try:
            sent += plugin.send(flood[sent % len(flood) :])
        except TimeoutError:
            pass
    print("sent", sent)


def many(tool, count):
    answers = [None] * int(count)

    def one(number):
        answers[number] = call(connect(tool), ["sh", "-c", f"echo {number}; exit {number % 100}"], os.getcwd())

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(answers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = [answer and (answer["stdout"], answer["exit_code"]) == (f"{n}\n", n % 100) for n, answer in enumerate(answers)]
    print("good:", sum(map(bool, good)))


{"exec": execute, "raw": raw, "silent": silent, "signals": signals, "many": many}[sys.argv[1]](*sys.argv[2:])
