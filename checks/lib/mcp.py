"""mcp.py COMMAND... -- NAME=ARGUMENTS...: an MCP client (JSON-RPC, a line each) of the server that the command is.

Without calls it lists the tools. Prints the text of each answer; ends with status 1 if one is an error.
It is sent into sandboxes as `python3 -c`.
"""

import json
import subprocess
import sys

cut = sys.argv.index("--")
server = subprocess.Popen(sys.argv[1:cut], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def say(**fields):
    server.stdin.write((json.dumps({"jsonrpc": "2.0"} | fields) + "\n").encode())
    server.stdin.flush()


def ask(number, method, **params):
    say(id=number, method=method, params=params)
    while True:
        heard = json.loads(server.stdout.readline())
        if heard.get("id") == number:
            return heard


who = {"name": "checks", "version": "1"}
ask(0, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=who)
say(method="notifications/initialized")
failed = False
for number, call in enumerate(sys.argv[cut + 1 :], 1):
    name, _, arguments = call.partition("=")
    answer = ask(number, "tools/call", name=name, arguments=json.loads(arguments or "{}"))
    failed |= "error" in answer or answer["result"].get("isError", False)
    print("\n".join(part["text"] for part in answer["result"]["content"]) if "result" in answer else answer["error"])
if not sys.argv[cut + 1 :]:
    print(" ".join(tool["name"] for tool in ask(1, "tools/list")["result"]["tools"]))
server.stdin.close()
server.wait(30)
sys.exit(failed)
