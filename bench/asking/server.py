"""A chat completions endpoint for bench_asking.py: canned replies after a delay, and books of who asked what.

    python bench/asking/server.py [--latency SECONDS] [--record FILE]

Prints its port. `GET /books` returns the books since the last time and opens new ones. With
--record every request body is written to FILE, one a line. A minimal HTTP/1.1, so that the clients
and not the server are measured: no chunked bodies, no pipelining.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

MODEL = "bench-model"
# What clients send to see whether somebody is there is answered, but is not in the books.
SMALLEST_REQUEST = 1000
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

_DESCRIPTION = (
    "The picture shows a broad square on a bright afternoon, with a row of low buildings along its far side. "
    "In the middle a person in a dark coat pushes a bicycle towards the left, and a small dog walks close "
    "behind on a loose leash. Near the right edge two benches face each other, and on the nearer one lies an "
    "open umbrella beside a backpack. A parked car can be made out between the buildings, partly hidden by a "
    "tree whose branches reach into the upper corner. The ground is paved with pale stones, and long shadows "
    "fall across it from the left. Painted on the wall of the last building is the number "
)
_NUMBER = "0123456789"  # stands where each reply gets a number of its own


def _canned_reply() -> tuple[bytes, bytes]:
    """An HTTP response with a chat completion, cut where the number goes."""
    message = {"role": "assistant", "content": f"{_DESCRIPTION}{_NUMBER}.", "refusal": None}
    usage = {
        "prompt_tokens": 1810,
        "completion_tokens": 147,
        "total_tokens": 1957,
        "prompt_tokens_details": {"cached_tokens": 1664, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    completion = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1700000000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage,
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    }
    before, _, after = _response(json.dumps(completion).encode()).partition(_NUMBER.encode())
    return before, after


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_BEFORE_NUMBER, _AFTER_NUMBER = _canned_reply()
_MODELS = _response(json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode())


@dataclass
class Books:
    """What one contender asked."""

    arrived: int = 0
    answered: int = 0
    distinct: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    most_in_flight: int = 0
    first_arrival: float = 0.0
    last_answer: float = 0.0
    middle_seconds: float = 0.0
    """From a quarter of the answers to three quarters: without starting and ending."""
    busy_seconds: float = 0.0
    """Processor time of this server from the first arrival to the last answer."""
    busy_before: float = 0.0
    bodies: set[int] = field(default_factory=set)
    answers: list[float] = field(default_factory=list)
    """When each was sent."""

    def arrive(self, body: bytes) -> None:
        if not self.arrived:
            self.first_arrival, self.busy_before = time.monotonic(), time.process_time()
        self.arrived += 1
        self.bytes_up += len(body)
        self.bodies.add(hash(body))
        self.most_in_flight = max(self.most_in_flight, self.arrived - self.answered)

    def answer(self, size: int) -> None:
        self.answered += 1
        self.bytes_down += size
        self.answers.append(time.monotonic())

    def close(self) -> bytes:
        """As JSON, without the long lists."""
        self.distinct = len(self.bodies)
        if self.answers:
            self.last_answer = self.answers[-1]
            self.middle_seconds = self.answers[self.answered * 3 // 4] - self.answers[self.answered // 4]
            self.busy_seconds = time.process_time() - self.busy_before
        values = asdict(self)
        del values["bodies"], values["answers"]
        return json.dumps(values).encode()


class Endpoint:
    """What all connections share."""

    def __init__(self, latency: float, record: BinaryIO | None) -> None:
        self.latency = latency
        self.record = record
        self.replies = 0
        self.books = Books()

    def reply(self) -> bytes:
        self.replies += 1
        return b"%b%010d%b" % (_BEFORE_NUMBER, self.replies, _AFTER_NUMBER)

    def close_books(self) -> bytes:
        if self.record:
            self.record.flush()
        closed, self.books = self.books, Books()
        return closed.close()


class Connection(asyncio.Protocol):
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _CONTENT_LENGTH.search(received, 0, head_end)
        body_from = head_end + 4
        body_to = body_from + (int(length[1]) if length else 0)
        if len(received) < body_to:
            return
        self._received = received[body_to:]
        self._respond(received, received[body_from:body_to])

    def _respond(self, request: bytes, body: bytes) -> None:
        if request.startswith(b"GET /books"):
            self._transport.write(_response(self._endpoint.close_books()))
        elif request.startswith(b"GET "):
            self._transport.write(_MODELS)
        elif len(body) < SMALLEST_REQUEST:
            self._transport.write(self._endpoint.reply())
        else:
            books = self._endpoint.books
            books.arrive(body)
            if self._endpoint.record:
                self._endpoint.record.write(body + b"\n")
            self._loop.call_later(self._endpoint.latency, self._answer, books)

    def _answer(self, books: Books) -> None:
        reply = self._endpoint.reply()
        self._transport.write(reply)
        books.answer(len(reply))


async def serve(latency: float, record: BinaryIO | None) -> None:
    endpoint = Endpoint(latency, record)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(endpoint), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    record = options.record.open("wb") if options.record else None
    asyncio.run(serve(options.latency, record))


if __name__ == "__main__":
    main()
