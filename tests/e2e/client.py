"""A client of the API as any frontend would write one: HTTP and JSON, nothing of ours but the command line."""

import json
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from tests.asking import TRUSTED

ERRORS = """... on Error { __typename code message path hint
    ... on InputError { issueCount issues { code message path hint } }
    ... on StateError { state legalFrom }
    ... on VersionConflictError { conflicts { path currentVersion } } }"""

PAGE = 100


@dataclass(frozen=True)
class Client:
    """One caller: an address and a bearer token."""

    url: str
    token: str | None = None
    language: str = "en"

    def post(self, document: str, variables: dict[str, Any] | None = None) -> httpx.Response:
        """The raw answer to one request."""
        headers = {"accept": "application/graphql-response+json", "accept-language": self.language}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        return httpx.post(
            f"{self.url}/graphql",
            json={"query": document, "variables": variables or {}},
            headers=headers,
            timeout=60,
            verify=TRUSTED,
        )

    def query(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation that must not have errors."""
        answer = self.post(document, variables).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def result(self, field: str, selection: str, key: str | None = None, **given: Any) -> dict[str, Any]:
        """What a mutation answered, success or typed error."""
        name = field[0].upper() + field[1:]
        if field != "signIn":
            given["idempotencyKey"] = key or str(uuid.uuid4())
        data = self.query(
            f"mutation ($input: {name}Input!) {{ {field}(input: $input) {{ __typename "
            f"... on {name}Success {{ {selection} }} {ERRORS} }} }}",
            input=given,
        )
        answer: dict[str, Any] = data[field]
        return answer

    def mutate(self, field: str, selection: str, **given: Any) -> dict[str, Any]:
        """A mutation that must succeed."""
        answer = self.result(field, selection, **given)
        assert answer["__typename"].endswith("Success"), answer
        return answer

    def refused(self, field: str, **given: Any) -> dict[str, Any]:
        """A mutation that must be refused."""
        answer = self.result(field, "__typename", **given)
        assert answer["__typename"].endswith("Error"), answer
        return answer

    def nodes(self, document: str, *path: str, **variables: Any) -> list[dict[str, Any]]:
        """All nodes of a connection; the document takes $after and asks for pages of 100."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            connection: Any = self.query(document, after=after, **variables)
            for step in path:
                connection = connection[step]
            found += [edge["node"] for edge in connection["edges"]]
            if not connection["pageInfo"]["hasNextPage"]:
                return found
            after = connection["pageInfo"]["endCursor"]

    def wait_for_job(self, job_id: str, *, seconds: float = 60.0) -> str:
        """The state that a job ends in."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.query("query ($id: ID!) { job(id: $id) { state lastError } }", id=job_id)["job"]
            if job["state"] not in ("QUEUED", "RUNNING"):
                return str(job["state"])
            time.sleep(0.05)
        raise AssertionError(f"the job did not end within {seconds} s")


@dataclass(frozen=True)
class Installation:
    """A running Kaoping: its address, and the environment with which its commands are run."""

    url: str
    environment: dict[str, str]

    def kaoping(self, *arguments: str) -> Any:
        """The JSON that a command prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "service.main", *arguments, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def district(self) -> str:
        """The code of a new district."""
        code = f"e2e-{uuid.uuid4().hex[:12]}"
        self.kaoping("tenant", "create", code, "--name", "测试区")
        return code

    def client(self, tenant: str, role: str, unit: str | None = None, language: str = "en") -> Client:
        """A caller with one role, by a token from the command line."""
        where = ["--unit", unit] if unit else []
        made = self.kaoping("token", "create", "--tenant", tenant, "--role", role, *where)
        return Client(self.url, made["token"], language)
