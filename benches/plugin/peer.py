"""The peer: the simple form of docs/plugin-protocol.md, as a broker in Python speaks it.

peer.py serve SOCKET PROGRAM       runs PROGRAM for each request, with a thread for each client
peer.py call SOCKET ARGUMENT...    one request, as a wrapper makes it
peer.py clock                      the same without starting: for each line of JSON, [SOCKET, ARGUMENT...], how many
                                   nanoseconds a request took and how many characters came back
"""

import json
import os
import socket
import socketserver
import struct
import subprocess
import sys
import time


def exactly(stream, count):
    parts = bytearray()
    while len(parts) < count:
        part = stream.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def receive(stream):
    (length,) = struct.unpack(">I", exactly(stream, 4))
    return json.loads(exactly(stream, length))


def send(stream, message):
    data = json.dumps(message).encode()
    stream.sendall(struct.pack(">I", len(data)) + data)


class Client(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            try:
                request = receive(self.request)
            except EOFError:
                return
            send(self.request, self.answer(request))

    def answer(self, request):
        ended = subprocess.run(
            [self.server.program, *request["args"]],
            cwd=request["cwd"],
            env={**os.environ, **request["env"]},
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        return {
            "success": ended.returncode == 0,
            "exit_code": ended.returncode,
            "stdout": ended.stdout.decode(errors="replace"),
            "stderr": ended.stderr.decode(errors="replace"),
            "error": None,
        }


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def serve(path, program):
    with Server(path, Client) as server:
        server.program = program
        server.serve_forever()


def call(path, args):
    with socket.socket(socket.AF_UNIX) as plugin:
        plugin.connect(path)
        send(plugin, {"action": "exec", "args": args, "cwd": os.getcwd(), "env": {}})
        return receive(plugin)


def clock():
    for line in sys.stdin:
        path, *args = json.loads(line)
        start = time.perf_counter_ns()
        answer = call(path, args)
        took = time.perf_counter_ns() - start
        if answer["exit_code"] != 0:
            sys.exit(f"{path}: {answer}")
        print(took, len(answer["stdout"]), flush=True)


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3])
elif sys.argv[1] == "call":
    answer = call(sys.argv[2], sys.argv[3:])
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"] + (answer["error"] or ""))
    sys.exit(answer["exit_code"])
else:
    clock()
