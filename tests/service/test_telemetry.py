"""Traces, as a collector receives them: one trace from a caller's header to the worker's statements; no values."""

import asyncio
import contextlib
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.types import Scope

from service import telemetry
from service.access import Role, system_actor
from service.ids import encode_id, parse_id
from service.members import GrantSpec, create_service_token
from service.settings import Settings, SettingsError
from tenants.database import Database
from tenants.provisioning import District
from tests.bench.loading import load
from tests.service.test_health import Start, served
from tests.service.test_health import start as start_fixture
from tests.small import today

start = start_fixture

pytestmark = pytest.mark.anyio


class Collector:
    """Receives traces by OTLP over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[tuple[str, Span]] = []
        self.bytes = b""
        self._news = threading.Condition()

    def take(self, body: bytes) -> None:
        """One request of an exporter."""
        with self._news:
            self.bytes += body
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                (service,) = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
                self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
            self._news.notify_all()

    def wait_for(self, service: str, name: str, trace: str) -> Span:
        """The span of this name, once it has come."""

        def found() -> Span | None:
            return next((s for by, s in self.spans if (by, s.name, s.trace_id.hex()) == (service, name, trace)), None)

        with self._news:
            assert self._news.wait_for(lambda: found() is not None, timeout=60), [(a, s.name) for a, s in self.spans]
        span = found()
        assert span is not None
        return span

    def below(self, span: Span) -> list[Span]:
        """The spans whose parent it is."""
        return [s for _, s in self.spans if s.parent_span_id == span.span_id and s.trace_id == span.trace_id]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that listens."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as the library names it
            found.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the library names it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def attributes(span: Span) -> dict[str, str]:
    """What a span carries besides its name."""
    return {a.key: a.value.string_value or str(a.value.int_value) for a in span.attributes}


async def test_one_trace_from_the_request_to_the_statements_of_its_job(
    collector: Collector, start: Start, db: Database, tenant: District, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAOPING_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    async with db.transaction(tenant.id) as tx:
        made = await load(tx, units=3, items=1, due_on=today() + timedelta(days=30))
        root = await tx.fetchval("SELECT id FROM org_units WHERE tenant_id = $1 AND parent_id IS NULL", tx.tenant_id)
        token = await create_service_token(
            tx,
            system_actor(tenant.id),
            display_name="organiser",
            grants=[GrantSpec(role=Role.ORGANISER, unit_id=encode_id("OrgUnit", root))],
            expires_at="2199-01-01T00:00:00Z",
        )
    api, worker = start("serve", "--port", "0"), start("worker")
    address = await asyncio.to_thread(served, api)
    await asyncio.to_thread(worker.says, "The worker is ready")
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    key = f"typed-by-somebody-{secrets.token_hex(4)}"
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as http:
        headers = {"authorization": f"Bearer {token.secret}", "traceparent": f"00-{trace}-{parent}-01"}
        document = """mutation Open($input: OpenCycleInput!) { openCycle(input: $input) {
            ... on OpenCycleSuccess { job { id } } ... on Error { code message } } }"""
        given = {"cycleId": encode_id("Cycle", made.cycle_id), "version": 1, "idempotencyKey": key}
        answer = await http.post("/graphql", json={"query": document, "variables": {"input": given}}, headers=headers)
        job = parse_id(answer.json()["data"]["openCycle"]["job"]["id"])
        assert job is not None
    request = await asyncio.to_thread(collector.wait_for, "kaoping-serve", "POST /graphql", trace)
    done = await asyncio.to_thread(collector.wait_for, "kaoping-worker", "job OPEN_CYCLE", trace)
    # Each line of the job names it, and its district, without being told to.
    await asyncio.to_thread(worker.says, rf"A job ends\. job={job[1]} .*tenant={tenant.id}")
    assert request.parent_span_id.hex() == parent
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/graphql",
        "http.response.status_code": "200",
    }
    operation = await asyncio.to_thread(collector.wait_for, "kaoping-serve", "mutation Open", trace)
    assert operation.parent_span_id == request.span_id
    asked = [
        span for span in collector.below(operation) if "INSERT INTO jobs" in attributes(span).get("db.query.text", "")
    ]
    assert [span.name for span in asked] == ["INSERT jobs"]
    assert attributes(asked[0])["db.system.name"] == "postgresql"
    # The job goes on below the operation that asked for it, in another process.
    assert done.parent_span_id == operation.span_id
    assert attributes(done) == {"kaoping.job.id": str(job[1])}
    statements = {span.name for span in collector.below(done)}
    assert "COMMIT" in statements
    assert any(name.startswith("UPDATE cycles") for name in statements), statements
    async with db.transaction(tenant.id) as tx:
        row = await tx.fetchrow("SELECT traceparent FROM jobs WHERE tenant_id = $1 AND id = $2", tx.tenant_id, job[1])
    assert row is not None
    assert row["traceparent"] == f"00-{trace}-{operation.span_id.hex()}-01"
    # Nothing that somebody typed, no token, no tenant.
    for value in (key, token.secret, str(tenant.id), tenant.code):
        assert value.encode() not in collector.bytes
    assert all(
        span.status.code == Status.STATUS_CODE_UNSET for _, span in collector.spans if span.trace_id.hex() == trace
    )


async def test_a_collector_that_is_away_holds_nobody_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOPING_OTLP_ENDPOINT", "http://127.0.0.1:1")
    program = start("serve", "--port", "0")
    address = await asyncio.to_thread(served, program)
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
        for _ in range(5):
            assert (await http.post("/graphql", json={"query": "{ __typename }"})).is_success
    began = time.monotonic()
    program.process.terminate()
    assert await asyncio.to_thread(program.ends) == 0
    assert time.monotonic() - began < 30


async def test_without_the_setting_nothing_is_traced_or_even_loaded(db: Database) -> None:
    scope: Scope = {"type": "http", "method": "POST", "path": "/graphql", "headers": []}
    nothing = telemetry.request_span(scope)
    assert isinstance(nothing, contextlib.nullcontext)
    assert telemetry.operation_span("query", "Board") is nothing
    assert telemetry.traceparent() is None
    async with db.pool.acquire() as connection:
        assert not connection._con._query_loggers
    code = "import sys, service.app, service.worker; print('opentelemetry' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert said.strip() == b"False"


def test_the_setting_without_the_extra_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.settings.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="Install kaoping\\[telemetry\\]"):
        Settings.read(otlp_endpoint="http://collector:4318")
    with pytest.raises(SettingsError, match="KAOPING_OTLP_ENDPOINT: an address that begins with http://"):
        Settings.read(otlp_endpoint="collector:4318")
