"""GraphiQL in the browser, out of files that this program serves itself (在线调试页).

The built files come with the Python package graphene-django-graphiql-static (the extra `graphiql`), which carries
GraphiQL 2.4.7, React 17.0.2 and graphql-ws 5.12.1 (all MIT) and is not imported, only read. They are served only while
their SHA-256 is the one written here: the page handles tokens. Without the package the page says what to do.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schema.options import EndpointOptions
from service.language import Language, choose_language
from service.scoring.text import Text

PACKAGE = "graphene_django_graphiql_static"
DIGESTS = {
    "graphiql.min.js": "c564de05b95d184e2c5ba5ceaf2635821f6bf92f2d5777b74d91004ff6b591d1",
    "graphiql.min.css": "c6cd4b83f01c5e1ff4975d77bc957184dce6dec0155fbf9cc4d9190eba8a7b9d",
    "react.production.min.js": "229bbf4d0e7488209564152c6723497f1ac3934136ca1684233d2fa88fa4146f",
    "react-dom.production.min.js": "9db33292007ab6c38527b39d5663e976a305564e19b2a5a8713ea2b2c00f505d",
    "graphql-ws.min.js": "11986f83a00d26b06c80bbcb01ad2eb8734b7a92c95421584bec656f953f6eac",
}
OWN = ("page.js", "page.css")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src data:; img-src 'self' data:; "
    "connect-src 'self' {sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}

_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")

_OFF = Text(
    zh="GraphiQL 没有启用。如需启用，请设置 KAOPING_GRAPHIQL=true 后重新启动；接口地址是 /graphql。",
    en="GraphiQL is off. To have it, set KAOPING_GRAPHIQL=true and start again; the API is at /graphql.",
)
_MISSING = Text(
    zh="这台机器上没有 GraphiQL 的文件。请运行 pip install 'kaoping[graphiql]' 后重新启动；"
    "接口地址 /graphql 不受影响。",
    en="The files of GraphiQL are not on this machine. Run pip install 'kaoping[graphiql]' and start again; the API at "
    "/graphql works without them.",
)
_ALTERED = Text(
    zh="GraphiQL 的文件与发布时不一致，为保护令牌已停止提供。请重新安装 kaoping[graphiql]。",
    en="The files of GraphiQL are not those that were released; to protect tokens they are not served. Install "
    "kaoping[graphiql] again.",
)


@dataclass(frozen=True, slots=True)
class Files:
    """All files of the page by name; or, in `fault`, why there are none."""

    content: dict[str, bytes]
    fault: Text | None = None


@cache
def find_files() -> Files:
    """The files that are installed, checked."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return Files({}, _MISSING)
    folder = Path(spec.origin).parent / "static" / PACKAGE
    try:
        content = {name: (folder / name).read_bytes() for name in DIGESTS}
    except OSError:
        return Files({}, _MISSING)
    if any(hashlib.sha256(content[name]).hexdigest() != digest for name, digest in DIGESTS.items()):
        return Files({}, _ALTERED)
    own = Path(__file__).with_name("assets")
    content |= {name: (own / name).read_bytes() for name in OWN}
    content[""] = (own / "graphiql.html").read_bytes()
    return Files(content)


class GraphiQL:
    """The ASGI application at /graphiql."""

    def __init__(self, options: EndpointOptions) -> None:
        self.options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the page or one of its files."""
        await self._answer(Request(scope))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        language = choose_language(request.headers.get("accept-language"), self.options.language)
        if request.method not in ("GET", "HEAD"):
            return _sentence(Text(zh="请用 GET。", en="Use GET."), 405, language, allow="GET, HEAD")
        if not self.options.graphiql:
            return _sentence(_OFF, 404, language)
        files = find_files()
        if files.fault is not None:
            return _sentence(files.fault, 503, language)
        name = request.url.path.removeprefix("/graphiql").strip("/")
        content = files.content.get(name)
        if content is None:
            return _sentence(Text(zh="没有这个文件。", en="There is no such file."), 404, language)
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if not name:
            # Connections by the name that the browser knows this server by; older ones do not take 'self' for sockets.
            host = request.headers.get("host", "")
            sockets = f"ws://{host} wss://{host}" if _HOST.fullmatch(host) else ""
            headers["content-security-policy"] = POLICY.format(sockets=sockets)
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=_TYPES[Path(name or "page.html").suffix])


def _sentence(text: Text, status: int, language: Language, **headers: str) -> Response:
    # Both languages: whoever reads this in a browser may not have set one.
    words = (text.zh, text.en) if language == "zh-CN" else (text.en, text.zh)
    return Response(
        "\n".join(words) + "\n",
        status,
        {"content-language": language, "vary": "Accept-Language", **headers},
        media_type="text/plain; charset=utf-8",
    )
