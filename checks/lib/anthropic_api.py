"""anthropic_api.py PORT SCRIPT RESULTS: a scripted stand-in for the Anthropic Messages API.

SCRIPT is a JSON list of tool calls `{"name": ..., "input": {...}}`. Each request that offers tools
is answered by the next call, and by the text "done" when none is left. What the client's tools
answered is appended to RESULTS, one JSON line `{"call": from 1, "error": bool, "text": ...}` a call.
What it was told before the conversation is in RESULTS.system, the conversation so far in
RESULTS.conversation.

In a call's texts $MESSAGE and $SENDER stand for the id and the sender of the last message that the
relay brought into the conversation.
"""

import http.server
import json
import pathlib
import re
import sys

calls, noted, results = [], set(), None


def text(content):
    return content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content or [])


def note_results(request):
    """Every request repeats the conversation so far."""
    contents = [message.get("content") for message in request.get("messages") or []]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    for block in blocks:
        if block.get("type") != "tool_result" or block["tool_use_id"] in noted:
            continue
        noted.add(block["tool_use_id"])
        call = int(block["tool_use_id"].removeprefix("toolu_"))
        said = {"call": call, "error": bool(block.get("is_error")), "text": text(block.get("content"))}
        with results.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(said) + "\n")


def filled(call, conversation):
    """The call with what only the conversation tells."""
    brought = re.findall(r"(?<!> )\[rcc relay\] message (\S+) from (?:the person \S+|(session:\S+))", conversation)
    message, sender = brought[-1] if brought else ("", "")
    fill = lambda value: value.replace("$MESSAGE", message).replace("$SENDER", sender) if isinstance(value, str) else value
    return {**call, "input": {name: fill(value) for name, value in call["input"].items()}}


def next_block(request):
    if not request.get("tools"):  # a title, a summary: not the conversation
        return {"type": "text", "text": "{}"}
    note_results(request)
    results.with_name(results.name + ".system").write_text(text(request.get("system")), encoding="utf-8")
    conversation = json.dumps(request.get("messages"), ensure_ascii=False)
    results.with_name(results.name + ".conversation").write_text(conversation, encoding="utf-8")
    if not calls:
        return {"type": "text", "text": "done"}
    number, call = calls.pop(0)
    return {"type": "tool_use", "id": f"toolu_{number:024}", **filled(call, conversation)}


def events(request, block):
    """The stream of one message with one block."""
    reason = "tool_use" if block["type"] == "tool_use" else "end_turn"
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": request.get("model"), "content": []}
    yield "message_start", {"message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}}
    if reason == "tool_use":
        start, delta = {**block, "input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    else:
        start, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    yield "content_block_start", {"index": 0, "content_block": start}
    yield "content_block_delta", {"index": 0, "delta": delta}
    yield "content_block_stop", {"index": 0}
    yield "message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}
    yield "message_stop", {}


class Api(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, kind, body, status=200):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer("application/json", b'{"message": "hello"}')

    def do_HEAD(self):
        self.answer("application/json", b"")

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        if self.path.partition("?")[0] != "/v1/messages":
            return self.answer("application/json", b'{"input_tokens": 1}')
        stream = events(request, next_block(request))
        lines = (f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in stream)
        return self.answer("text/event-stream", "".join(lines).encode())


if __name__ == "__main__":
    port, script, results = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    calls.extend(enumerate(json.loads(script.read_text(encoding="utf-8")), start=1))
    results.touch()
    http.server.ThreadingHTTPServer(("", port), Api).serve_forever()
