"""https_api.py ADDRESS PORT CERTIFICATE LOG [SCRIPT RESULTS]: an upstream of a plugin of kind http.

Every request is written to LOG, a line of JSON with its method, target, headers and body. Paths of /v1 answer in the
ways that a forwarder has to deal with; with SCRIPT, POST /v1/messages is anthropic_api.py's. CERTIFICATE is PEM and has
its key.
"""

import contextlib
import http.server
import json
import pathlib
import ssl
import sys
import threading
import time

import anthropic_api

written, log = threading.Lock(), None


class Upstream(anthropic_api.Api):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.wire = self.rfile

    def parse_request(self):
        whole = super().parse_request()
        if whole:
            self.body = self.wire.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("transfer-encoding"):
                self.body = b"".join(self.chunks())
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = {"method": self.command, "target": self.path, "headers": headers, "body": self.body.decode("latin-1")}
            with written, log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(said) + "\n")
            self.rfile = Replayed(self.wire, self.body)
        return whole

    def chunks(self):
        while length := int(self.wire.readline().strip(), 16):
            yield self.wire.read(length)
            self.wire.readline()
        self.wire.readline()

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/v1/echo":
            return self.answer("application/json", json.dumps(dict(self.headers)).encode())
        if path == "/v1/redirect":
            self.send_response(302)
            self.send_header("location", "http://203.0.113.10/elsewhere")
            self.send_header("content-length", "0")
            return self.end_headers()
        if path == "/v1/stream":
            return self.stream()
        if path == "/v1/endless":
            return self.endless()
        return self.answer("text/plain", b"fine\n")

    def stream(self):
        """Three events, half a second apart, with the credential cut in two on its way."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        key = self.headers.get("x-api-key", "")
        for piece in ["data: one\n\n", f"data: {key[:9]}", f"{key[9:]}\n\n", "data: three\n\n"]:
            self.wfile.write(f"{len(piece):x}\r\n{piece}\r\n".encode())
            self.wfile.flush()
            time.sleep(0.5)
        self.wfile.write(b"0\r\n\r\n")

    def endless(self):
        """An event after the other, until the client has gone."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        while True:
            self.wfile.write(b"data: more\n\n")
            self.wfile.flush()
            time.sleep(0.1)

    def finish(self):
        """Who goes away in the middle is no news."""
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self):
        with contextlib.suppress(OSError):
            super().handle()

    def do_DELETE(self):
        self.answer("text/plain", b"deleted\n")


class Replayed:
    """A body that was read already, and what comes after it."""

    def __init__(self, stream, body):
        self.stream, self.body = stream, body

    def read(self, length):
        first, self.body = self.body[:length], self.body[length:]
        return first

    def readline(self, *limit):
        return self.stream.readline(*limit)

    def close(self):
        self.stream.close()

    @property
    def closed(self):
        return self.stream.closed


def serve(handler, address, port, certificate, where):
    """Serves for good; whoever waits for the log knows when."""
    global log
    log = where
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = http.server.ThreadingHTTPServer((address, port), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    log.touch()
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) > 5:
        script, anthropic_api.results = pathlib.Path(sys.argv[5]), pathlib.Path(sys.argv[6])
        anthropic_api.calls.extend(enumerate(json.loads(script.read_text(encoding="utf-8")), start=1))
        anthropic_api.results.touch()
    serve(Upstream, sys.argv[1], int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4]))
