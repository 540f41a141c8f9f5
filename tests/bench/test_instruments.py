"""What measures is right: the generator counts what was answered, and what can't be measured is said (测量工具)."""

import base64
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.bench import running
from tests.bench.load_generator import run
from tests.bench.questions import BOARD, same
from tests.bench.test_side_by_side import get


class Answering(BaseHTTPRequestHandler):
    """Answers in pieces, in one piece, with nothing new, or with a refusal; counts."""

    protocol_version = "HTTP/1.1"
    counted = 0

    def do_GET(self) -> None:
        """One answer."""
        type(self).counted += 1
        kind = self.path.strip("/")
        self.send_response({"known": 304, "refused": 500}.get(kind, 200))
        if kind == "pieces":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (b"one", b"two" * 10_000, b""):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        elif kind == "known":
            self.end_headers()
        else:
            body = b"x" * 200_000
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """A server."""
    Answering.counted = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("kind", "failed"), [("whole", False), ("pieces", False), ("known", False), ("refused", True)])
def test_each_answer_is_counted_once(port: int, kind: str, failed: bool) -> None:
    request = base64.b64encode(get(port, "t", f"/{kind}")).decode()
    found = run({"port": port, "connections": [[request] * 7] * 4, "seconds": None})
    assert found["count"] == Answering.counted == 28
    assert found["failed"] == (28 if failed else 0)


def test_a_machine_without_npm_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(LookupError, match="npm"):
        running.postgraphile({})


def test_answers_that_differ_have_no_ratio() -> None:
    def answers(total: str) -> tuple[dict[str, Any], dict[str, Any]]:
        page = {"hasNextPage": False, "endCursor": None}
        unit = {"code": "u1", "name": "一社区"}
        ours = {"rank": 1, "total": "90.50", "unit": unit, "dimensions": []}
        theirs = {
            "rank": 1,
            "total": total,
            "cycleUnitByTenantIdAndCycleUnitId": unit,
            "standingDimensionsByTenantIdAndStandingId": {"nodes": []},
        }
        kaoping = {"publication": {"standings": {"edges": [{"node": ours}], "pageInfo": page}}}
        return {"data": kaoping}, {"data": {"allStandings": {"nodes": [theirs], "pageInfo": page}}}

    assert same(BOARD, *answers("90.5"))
    assert not same(BOARD, *answers("90.51"))


def test_the_lock_names_no_registry() -> None:
    lock = (running.HERE / "postgraphile" / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert "://" not in lock
