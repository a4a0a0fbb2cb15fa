"""Contenders of bench_asking.py that run in vitkit's own environment.

    python bench/asking/clients.py NAME BODIES CONCURRENCY

Sends every line of BODIES, a request body, to OPENAI_BASE_URL, keeps the replies in memory, and
prints how many it holds.

- create: what one would write first: AsyncOpenAI, create(), gather, a semaphore.
- raw: openai-python without its models: post() of bytes over aiohttp, the raw text kept.
- aiohttp: no client library at all; the reply's message and usage decoded.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgspec
import openai

Reply = TypeVar("Reply")
_JSON = {"Content-Type": "application/json"}


async def create(bodies: Path, concurrency: int) -> int:
    client = openai.AsyncOpenAI()
    slots = asyncio.Semaphore(concurrency)

    async def ask(line: bytes) -> str | None:
        async with slots:
            completion = await client.chat.completions.create(**json.loads(line))
            content: str | None = completion.choices[0].message.content
            return content

    replies = await asyncio.gather(*[ask(line) for line in bodies.read_bytes().splitlines()])
    return len([reply for reply in replies if reply])


async def raw(bodies: Path, concurrency: int) -> int:
    limits = openai.DEFAULT_CONNECTION_LIMITS
    client = openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient(limits=limits))

    async def post(body: bytes) -> str:
        return await client.post("/chat/completions", cast_to=str, content=body, options={"headers": _JSON})

    async with client:
        return len(await all_replies(post, bodies, concurrency))


class _Reply(msgspec.Struct):
    choices: list[dict[str, object]]
    usage: dict[str, object]


async def bare_aiohttp(bodies: Path, concurrency: int) -> int:
    url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
    headers = _JSON | {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    decode = msgspec.json.Decoder(_Reply).decode
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def post(body: bytes) -> _Reply:
            async with session.post(url, data=body) as response:
                return decode(await response.read())

        return len(await all_replies(post, bodies, concurrency))


async def all_replies(
    post: Callable[[bytes], Awaitable[Reply]], bodies: Path, concurrency: int
) -> list[Reply]:
    """What `post` returns for every line, in whichever order; the file is read as it is sent."""
    replies: list[Reply] = []
    with bodies.open("rb") as lines:

        async def work() -> None:
            for line in lines:
                replies.append(await post(line.rstrip(b"\n")))

        await asyncio.gather(*[work() for _ in range(concurrency)])
    return replies


def main() -> None:
    name, bodies, concurrency = sys.argv[1:]
    contender = {"create": create, "raw": raw, "aiohttp": bare_aiohttp}[name]
    print(asyncio.run(contender(Path(bodies), int(concurrency))))


if __name__ == "__main__":
    main()
