"""An issuer of tokens as a process of its own: discovery and keys over HTTP, as told by PUT /state; counts who asks."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.asking import TRUSTED

AUDIENCE = "kaoping"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()


@dataclass(frozen=True)
class SigningKey:
    """A private key and the name that it is published under."""

    id: str
    algorithm: str
    private: PrivateKey

    @classmethod
    def make(cls, id_: str, algorithm: str = "RS256") -> "SigningKey":
        """A new one."""
        made: dict[str, Any] = {
            "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }
        return cls(id_, algorithm, made[algorithm]())

    @property
    def public_pem(self) -> bytes:
        """The public key as text."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def published(self) -> dict[str, str]:
        """As the issuer publishes it."""
        common = {"kid": self.id, "use": "sig", "alg": self.algorithm}
        key = self.private.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            numbers = key.public_numbers()
            return {**common, "kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        if isinstance(key, ec.EllipticCurvePublicKey):
            point = key.public_numbers()
            x, y = (base64.urlsafe_b64encode(v.to_bytes(32, "big")).rstrip(b"=").decode() for v in (point.x, point.y))
            return {**common, "kty": "EC", "crv": "P-256", "x": x, "y": y}
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {**common, "kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).rstrip(b"=").decode()}


@dataclass
class RunningIssuer:
    """The issuer that runs: what it publishes is set by the test."""

    url: str
    keys: list[SigningKey] = field(default_factory=list)

    def publish(self, *keys: SigningKey, **more: object) -> None:
        """Publish these keys from now on. `more`: `status`, `issuer`, `jwks_uri`, `padding` and `slow`."""
        self.keys = list(keys)
        state = {"keys": [key.published() for key in keys], **more}
        httpx.put(f"{self.url}/state", json=state, trust_env=False, verify=TRUSTED).raise_for_status()

    def asked(self) -> int:
        """How often its keys were fetched."""
        found: int = httpx.get(f"{self.url}/state", trust_env=False, verify=TRUSTED).json()["asked"]
        return found

    def token(self, subject: str, *, key: SigningKey | None = None, headers: Any = None, **claims: Any) -> str:
        """A token for an account, with other claims where given; None leaves one out."""
        key = key or self.keys[0]
        now = int(time.time())
        given = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 300, **claims}
        named = {"typ": "at+jwt", "kid": key.id, **(headers or {})}
        # One layer below what refuses claims of a wrong type.
        return jwt.PyJWS().encode(
            json.dumps({name: value for name, value in given.items() if value is not None}).encode(),
            key.private,
            algorithm=key.algorithm,
            headers={name: value for name, value in named.items() if value is not None or name == "typ"},
        )


@contextmanager
def issuing() -> Iterator[RunningIssuer]:
    """A new issuer, without keys."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield RunningIssuer(process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class _Handler(BaseHTTPRequestHandler):
    state: dict[str, Any] = {"keys": []}  # noqa: RUF012  # the one state of the process
    asked = 0

    def do_GET(self) -> None:  # as the library names it
        """Discovery, keys, or what the test asks."""
        url = f"http://{self.headers['host']}"
        state = _Handler.state
        if self.path == "/state":
            self.reply({"asked": _Handler.asked})
            return
        time.sleep(state.get("slow", 0))
        if self.path == "/.well-known/openid-configuration":
            _Handler.asked += 1
            jwks = state.get("jwks_uri", f"{url}/keys")
            self.reply({"issuer": state.get("issuer", url), "jwks_uri": jwks}, state.get("status", 200))
        elif self.path == "/keys":
            self.reply({"keys": state["keys"], "padding": "x" * state.get("padding", 0)})
        else:
            self.reply({}, 404)

    def do_PUT(self) -> None:  # as the library names it
        """Take what is published from now on."""
        _Handler.state = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.reply({})

    def reply(self, body: object, status: int = 200) -> None:
        """JSON."""
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as the library names it
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
