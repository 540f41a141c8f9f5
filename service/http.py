"""HTTP/1.1 as uvicorn speaks it, but that the head of an answer leaves together with its body (HTTP 协议).

uvicorn writes the two one after the other: two packets, for each of which the client is woken and the kernel takes as
long as a tenth of a small answer.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Protocol(HttpToolsProtocol):
    """One connection."""

    transport: "_Joining"  # type: ignore[assignment]  # a transport in all that uvicorn asks of one

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take the connection."""
        super().connection_made(_Joining(transport))  # type: ignore[arg-type]  # as above

    def on_response_complete(self) -> None:
        """An answer has ended; one to HEAD without a body."""
        self.transport.flush()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on."""
        self.transport = self.transport.plain  # type: ignore[assignment]  # WebSockets have neither head nor body
        super().handle_websocket_upgrade()


class _Joining:
    """A transport that keeps the head of an answer until something follows it."""

    def __init__(self, plain: asyncio.Transport) -> None:
        self.plain = plain
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def write(self, data: bytes) -> None:
        """Send, or keep a head that is to be joined with what follows."""
        if not data:
            # Nothing follows yet; asyncio's own transport would not come to rest over it.
            return
        if self._head:
            self.plain.writelines([self._head, data])
            self._head = b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self._head = data
        else:
            self.plain.write(data)

    def flush(self) -> None:
        """Send what is kept."""
        if self._head:
            self.plain.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Close once everything is sent."""
        self.flush()
        self.plain.close()
