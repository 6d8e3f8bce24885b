"""git_server.py ADDRESS:PORT ROOT CERTIFICATE KEY PASSWORD LOG USER: repositories over HTTPS, for x-access-token.

Every request is a line of LOG: `METHOD PATH none|right|wrong`, the last for who asks. Git's own http-backend serves it,
as USER. An answer to who has no right password repeats what it was asked with, as servers do that are to be debugged.
"""

import base64
import http.server
import os
import pwd
import ssl
import subprocess
import sys


class Repositories(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while length := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        body, asked = self.body(), self.headers.get("Authorization")
        who = {None: "none", self.server.right: "right"}.get(asked, "wrong")
        with open(self.server.log, "a", encoding="utf-8") as log:
            log.write(f"{self.command} {self.path} {who}\n")
        path, _, query = self.path.partition("?")
        if who != "right" or path.startswith("/echo/"):
            status = 401 if who != "right" else 403
            headers = [("WWW-Authenticate", 'Basic realm="git"'), ("Content-Type", "text/plain")]
            return self.answer(status, headers, f"you sent {asked}\n".encode())
        environment = dict(
            self.server.environment,
            PATH_INFO=path,
            QUERY_STRING=query,
            REQUEST_METHOD=self.command,
            REMOTE_USER="x",
            REMOTE_ADDR=self.client_address[0],
            CONTENT_LENGTH=str(len(body)),
            CONTENT_TYPE=self.headers.get("Content-Type", ""),
            HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""),
            GIT_PROTOCOL=self.headers.get("Git-Protocol", ""),
        )
        backend = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE, check=False)
        head, _, answer = backend.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
        self.answer(int(headers.pop("Status", "200").split()[0]), headers.items(), answer)

    do_GET = do_POST = serve


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Clients that are killed are no news."""


def main(place, root, certificate, key, password, log, user):
    address, port = place.split(":")
    server = Server((address, int(port)), Repositories)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.right, server.log = "Basic " + base64.b64encode(f"x-access-token:{password}".encode()).decode(), log
    server.environment = dict(PATH=os.environ["PATH"], GIT_PROJECT_ROOT=root, GIT_HTTP_EXPORT_ALL="1")
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
