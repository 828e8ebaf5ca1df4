"""A real HTTP server on loopback that plays a CI provider, and goes wrong on request.

A test gives it a function from request to answer, and faults: answers that come in the place of right ones. It takes
note of every request, with its headers.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """A request as the server got it; `headers` have names in small letters."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    address: str
    method: str = "GET"
    body: str = ""

    @property
    def target(self) -> str:
        return self.path + ("?" + "&".join(f"{key}={value}" for key, value in self.query.items()) if self.query else "")


@dataclass(frozen=True)
class Answer:
    """An answer; `cut_after` breaks the connection after that many bytes of the body.

    Where it has a strong `etag`, the server sends the rest of the body to who asks for that (`Range`, `If-Range`),
    unless `ranges` is False.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    ranges: bool = True


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    """Return an answer with JSON; `link="..."` and the like become headers, `_` in their names a hyphen."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"content-type": "application/json", **named})


NOT_FOUND = json_answer({"message": "Not Found"}, 404)


@dataclass
class Fault:
    """An answer for the next `times` requests whose path matches `pattern`, after `after` that are answered right."""

    pattern: str
    answer: Answer | Callable[[Request, Answer], Answer]
    times: int = 1
    after: int = 0


class ProviderServer:
    """The server; `respond` answers what no fault does. Use `serving` to start it."""

    def __init__(self, respond: Callable[[Request], Answer]) -> None:
        self.respond = respond
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.open_connections = 0
        self.most_connections = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                with server._lock:
                    server.open_connections += 1
                    server.most_connections = max(server.most_connections, server.open_connections)

            def finish(self) -> None:
                with server._lock:
                    server.open_connections -= 1
                super().finish()

            def do_GET(self) -> None:
                split = urlsplit(self.path)
                headers = {name.lower(): text for name, text in self.headers.items()}
                # a body that stays unread would be taken for the next request
                body = self.rfile.read(int(headers.get("content-length", 0))).decode(errors="replace")
                request = Request(
                    split.path, dict(parse_qsl(split.query)), headers, server.url, self.command or "", body
                )
                answer = _ranged(request, server.answer(request))
                self.send_response(answer.status)
                for name, text in answer.headers.items():
                    self.send_header(name, text)
                if "content-length" not in {name.lower() for name in answer.headers}:
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                if answer.cut_after is None:
                    self.wfile.write(answer.body)
                    return
                self.wfile.write(answer.body[: answer.cut_after])
                self.wfile.flush()
                self.close_connection = True

            do_POST = do_GET  # noqa: N815 - the name that the base class calls

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: Request) -> Answer:
        """Return the right answer, or the fault's; a fault may look at the right one first."""
        with self._lock:
            self.requests.append(request)
            fault = self._due(request)
        if fault is None:
            return self.respond(request)
        return fault.answer if isinstance(fault.answer, Answer) else fault.answer(request, self.respond(request))

    def _due(self, request: Request) -> Fault | None:
        for fault in self.faults:
            if fault.times and re.search(fault.pattern, request.target):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    def asked(self, pattern: str) -> list[Request]:
        """Return the requests whose path and query match."""
        return [request for request in self.requests if re.search(pattern, request.target)]

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _ranged(request: Request, answer: Answer) -> Answer:
    """Return the part of an answer that `Range` wants, if `If-Range` names its ETag; else the answer."""
    etag = next((text for name, text in answer.headers.items() if name.lower() == "etag"), "")
    wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    fits = etag.startswith('"') and request.headers.get("if-range") == etag
    if not (answer.ranges and answer.status == 200 and wanted and fits):
        return answer
    begin, size = int(wanted[1]), len(answer.body)
    if begin >= size:
        return Answer(416, b"", {"content-range": f"bytes */{size}"})
    headers = {**answer.headers, "content-range": f"bytes {begin}-{size - 1}/{size}"}
    return replace(answer, status=206, body=answer.body[begin:], headers=headers)


def cut(after: int) -> Callable[[Request, Answer], Answer]:
    """Return a fault that breaks the connection after so many bytes of what is sent of the right answer."""
    return lambda _, right: replace(right, cut_after=after)


@contextmanager
def serving(respond: Callable[[Request], Answer]) -> Iterator[ProviderServer]:
    """Yield a running server on a free port of the loopback interface."""
    server = ProviderServer(respond)
    server.start()
    try:
        yield server
    finally:
        server.stop()
