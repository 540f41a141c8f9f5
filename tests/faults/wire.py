"""HTTP as cheap as it can be had: connections that are kept, one request at a time on each, JSON in and out.

A test that sends a hundred requests a second shares two processors with what it tests.
"""

import asyncio
import contextlib
from collections import defaultdict
from typing import Any
from urllib.parse import urlsplit

import orjson

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Dropped(Exception):
    """A request that was sent and not answered."""


class Wire:
    """Connections to any number of servers."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, list[Connection]] = defaultdict(list)

    async def post(self, url: str, body: object, token: str) -> tuple[int, Any]:
        """Status and body of the answer. Raises Dropped, or OSError where nobody listens."""
        reader, writer = await self._connection(url)
        content = orjson.dumps(body)
        head = (
            f"POST /graphql HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {token}\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + content)
            told = await reader.readuntil(b"\r\n\r\n")
            status, *lines = told.decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines if line)
            answer = await reader.readexactly(int(headers["content-length"]))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            writer.close()
            raise Dropped(repr(error)) from error
        if headers.get("connection") == "close":
            writer.close()
        else:
            self._idle[url].append((reader, writer))
        return int(status.split(" ")[1]), orjson.loads(answer)

    async def _connection(self, url: str) -> Connection:
        while self._idle[url]:
            reader, writer = self._idle[url].pop()
            # One that the server has closed meanwhile is left alone, as every client does.
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        parts = urlsplit(url)
        return await asyncio.open_connection(parts.hostname, parts.port)

    async def close(self) -> None:
        """Close all that is idle."""
        for _, writer in (each for idle in self._idle.values() for each in idle):
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
