"""tool_hosts.py ADDRESS CERTIFICATE LOG: what gh, npm and cargo speak with, as one server over HTTPS.

The name that a request asks for decides: api.github.com is a GitHub with a few answers, every other name a registry of
npm with one package, `left`, whose scripts write down what they see; a private one, npm.private.test, has it for the
token alone. Every request is written to LOG, a line of JSON, whatever it is. CERTIFICATE is PEM and has its key.
"""

import base64
import hashlib
import io
import json
import pathlib
import sys
import tarfile

import https_api

PRIVATE = "npm.private.test"
# Where a file of a release is; a token that is sent there has gone elsewhere.
ELSEWHERE = "https://files.test/asset"
PULL = {"number": 7, "title": "A pull request", "state": "OPEN", "headRefName": "claude/x", "isDraft": False,
        "isCrossRepository": False, "headRepositoryOwner": {"login": "o"}, "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-01-01T00:00:00Z", "id": "PR_7", "url": "https://github.com/o/r/pull/7", "body": "text",
        "author": {"login": "a"}, "comments": {"nodes": [], "totalCount": 0}}


def archive():
    """The package, as npm packs it."""
    manifest = {"name": "left", "version": "1.0.0", "bin": {"left": "left.js"}, "scripts": {
        "postinstall": "env >\"$INIT_CWD/lifecycle\"; cat ~/.npmrc >>\"$INIT_CWD/lifecycle\" 2>&1 || true"}}
    files = {"package.json": json.dumps(manifest), "left.js": "#!/usr/bin/env node\nconsole.log('left', 'ran')\n",
             "index.js": "module.exports = 'required'\n"}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo("package/" + name)
            entry.size, entry.mode = len(text), 0o755
            tar.addfile(entry, io.BytesIO(text.encode()))
    return manifest, packed.getvalue()


MANIFEST, ARCHIVE = archive()


class Host(https_api.Upstream):
    def say(self, value, status=200):
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def named(self):
        return (self.headers.get("host") or "").partition(":")[0]

    def do_GET(self):
        path = self.path.partition("?")[0]
        if self.named() != "api.github.com":
            return self.registry(path)
        if path == "/user":
            return self.say({"login": "somebody", "environments": ["one"]})
        if path == "/repos/o/r/releases/tags/v1":
            return self.say({"tag_name": "v1", "assets": [
                {"name": "asset", "url": "https://api.github.com/repos/o/r/releases/assets/1", "size": 5}]})
        if path == "/repos/o/r/releases/assets/1":
            self.send_response(302)
            self.send_header("location", ELSEWHERE)
            self.send_header("content-length", "0")
            return self.end_headers()
        if path == "/repos/o/r/echo":
            return self.say(dict(self.headers))
        return self.say({"full_name": "o/r"})

    do_HEAD = do_GET

    def registry(self, path):
        if self.named() == PRIVATE and not self.headers.get("authorization"):
            return self.say({"error": "who are you"}, 401)
        # Behind a forwarder a registry is told the name that its client used, or the upstream's; npm follows either.
        if path == "/left":
            digest = base64.b64encode(hashlib.sha512(ARCHIVE).digest()).decode()
            dist = {"tarball": f"https://{self.named()}/left/-/left-1.0.0.tgz", "integrity": "sha512-" + digest}
            return self.say({"name": "left", "dist-tags": {"latest": "1.0.0"},
                             "versions": {"1.0.0": {**MANIFEST, "hasInstallScript": True, "dist": dist}}})
        if path in ("/left/-/left-1.0.0.tgz", "/asset"):
            body = ARCHIVE if path != "/asset" else b"asset"
            return self.answer("application/octet-stream", body)
        return self.say({"error": "not found"}, 404)

    def do_POST(self):
        if self.named() == "api.github.com" and self.path == "/graphql":
            return self.graphql(json.loads(self.body))
        return self.say({})

    def do_PUT(self):
        self.say({"ok": True})

    do_DELETE = do_PATCH = do_PUT

    def graphql(self, asked):
        query = asked.get("query", "")
        pulls = {"totalCount": 1, "nodes": [PULL], "pageInfo": {"hasNextPage": False, "endCursor": ""}}
        repository = {"pullRequests": pulls, "pullRequest": PULL, "issue": PULL, "id": "R_1", "name": "r",
                      "owner": {"login": "o"}, "hasIssuesEnabled": True, "defaultBranchRef": {"name": "main"},
                      "viewerPermission": "WRITE"}
        made = {"url": "https://github.com/o/r/pull/8", "id": "PR_8"}
        if "createPullRequest" in query:
            return self.say({"data": {"createPullRequest": {"pullRequest": made}}})
        if "addComment" in query:
            return self.say({"data": {"addComment": {"commentEdge": {"node": {"url": made["url"]}}}}})
        if "release(" in query:
            return self.say({"data": {"repository": {"release": None}}})
        return self.say({"data": {"repository": repository}})


if __name__ == "__main__":
    https_api.serve(Host, sys.argv[1], 443, sys.argv[2], pathlib.Path(sys.argv[3]))
