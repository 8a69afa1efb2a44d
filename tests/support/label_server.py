"""A local server that speaks the chat protocol; its "model" is a rule that reads the examples.

It labels a latent with the tokens that are marked in most of the texts it is shown, and answers
questions by looking whether those tokens are in the text, or under the marks. So the scores of its
labels are known. It misbehaves as told: refuses, is slow, breaks its JSON, drops the connection,
lies, echoes what it was sent.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Mischief = Callable[[int, dict[str, Any]], str]
"""What to do with a call, by its number (from 0) and content: "", or a name below."""


def rule_reply(request: dict[str, Any]) -> str:
    """What the rule says."""
    data = json.loads(request["messages"][1]["content"])
    if "active" in data:
        return json.dumps({"label": _label(data)})
    words = re.findall(r"'([^']*)'", data["label"])
    texts = [_read(each, data.get("marks")) for each in data["texts"]]
    return json.dumps({"answers": [_answer(words, bare, marked) for bare, marked in texts]})


def lying_reply(request: dict[str, Any]) -> str:
    """Answers that look at nothing but the texts' hash."""
    data = json.loads(request["messages"][1]["content"])
    if "active" in data:
        return json.dumps({"label": "something"})
    coin = [hashlib.sha256(each.encode()).digest()[0] % 2 == 0 for each in data["texts"]]
    return json.dumps({"answers": coin})


def _label(data: dict[str, Any]) -> str:
    left, right = map(re.escape, data["marks"])
    marked = Counter(
        word for each in data["active"]
        for word in set(re.findall(f"{left}(.*?){right}", each["text"], re.DOTALL))
    )  # fmt: skip
    return f"on '{marked.most_common(1)[0][0]}'"


def _read(text: str, marks: list[str] | None) -> tuple[list[str], list[str] | None]:
    if marks is None:
        return text.split(), None
    left, right = map(re.escape, marks)
    found = re.findall(f"{left}(.*?){right}", text, re.DOTALL)
    return re.sub(f"{left}|{right}", "", text).split(), found


def _answer(words: list[str], text: list[str], marked: list[str] | None) -> bool:
    if marked is None:
        return any(each in text for each in words)
    return bool(marked) and all(each in words for each in marked)


@dataclass
class LabelServer:
    """What it was asked, and what it does.

    Attributes:
        reply: the model.
        mischief: by call.
        slow_seconds: of a call that is "slow".
        usage: tokens that each call is said to take; None says nothing.
        calls: requests that came in; paid: those that were answered with status 200.
        keys: Authorization headers.
    """

    reply: Callable[[dict[str, Any]], str] = rule_reply
    mischief: Mischief = lambda number, request: ""
    slow_seconds: float = 2.0
    usage: tuple[int, int] | None = (100, 10)
    calls: list[dict[str, Any]] = field(default_factory=list)
    paid: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""
    lock: Any = field(default_factory=threading.Lock)

    @contextmanager
    def running(self) -> Iterator[LabelServer]:
        """Serve on a free port of this machine."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"told": self}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    told: LabelServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        request = json.loads(self.rfile.read(size))
        with self.told.lock:
            number = len(self.told.calls)
            self.told.calls.append(request)
            self.told.keys.append(self.headers.get("Authorization", ""))
            self.told.at_once += 1
            self.told.most_at_once = max(self.told.most_at_once, self.told.at_once)
        self._respond(request, self.told.mischief(number, request))

    def _done(self) -> None:
        """Counted before the first byte goes out: with the last one the client may call again."""
        with self.told.lock:
            self.told.at_once -= 1

    def _respond(self, request: dict[str, Any], how: str) -> None:
        if how == "drop":
            self._done()
            self.connection.close()
        elif how.startswith("refuse"):
            self._send(int(how.split()[1]), {"error": {"message": " ".join(how.split()[2:])}})
        elif how == "slow":
            time.sleep(self.told.slow_seconds)
            self._answer(request, self.told.reply(request))
        elif how == "broken body":
            self._paid(request, b'{"choices": [{"mess')
        elif how == "broken reply":
            self._answer(request, '{"answers": [true, fal')
        elif how == "echo":
            told = request["messages"][1]["content"]
            self._answer(request, f"The texts were {told} and so: {self.told.reply(request)}")
        else:
            self._answer(request, self.told.reply(request))

    def _answer(self, request: dict[str, Any], reply: str) -> None:
        data: dict[str, Any] = {
            "id": "x", "object": "chat.completion", "created": 0, "model": request["model"],
            "choices": [{"index": 0, "finish_reason": "stop",
                         "message": {"role": "assistant", "content": reply}}],
        }  # fmt: skip
        if self.told.usage is not None:
            inward, outward = self.told.usage
            data["usage"] = {"prompt_tokens": inward, "completion_tokens": outward,
                             "total_tokens": inward + outward}  # fmt: skip
        self._paid(request, json.dumps(data).encode())

    def _paid(self, request: dict[str, Any], body: bytes) -> None:
        with self.told.lock:
            self.told.paid.append(request)
        self._bytes(200, body)

    def _send(self, status: int, data: dict[str, Any]) -> None:
        headers = {"Retry-After": "0.05"} if status == 429 else {}
        self._bytes(status, json.dumps(data).encode(), headers)

    def _bytes(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._done()
        try:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError as error:  # the client was killed, or gave up waiting
            print(f"label server: the client is gone: {error}", file=sys.stderr)
