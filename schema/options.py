"""Every limit of the GraphQL endpoint, with its unit and default (接口限额)."""

from dataclasses import dataclass, field
from pathlib import Path

from service.language import Language

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """What one document may ask for; more is refused with QUERY_TOO_COMPLEX before anything runs."""

    bytes: int = 100_000
    """Length of the query text. Rows travel in variables, which only the body limit counts."""
    tokens: int = 5_000
    """Lexical tokens, comments included."""
    depth: int = 20
    """Levels of fields; introspection has a limit of its own."""
    fields: int = 2_000
    """Fields with all fragments written out."""
    aliases: int = 100
    """Aliases with all fragments written out."""
    repeats: int = 60
    """How often one response name with a selection may be asked for at one place; validation compares them in pairs."""
    directives: int = 100
    """Directives with all fragments written out."""
    roots: int = 30
    """Fields of the root."""
    cost: int = 50_000
    """Values at most: each field counts once per row of the pages (`first`, `last`) that it stands in."""
    page: int = 100
    """Rows that a page has at most."""
    default_page: int = 20
    """Rows of a page without `first` and `last`."""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """How the endpoint behaves."""

    body_bytes: int = 16 * MEBIBYTE
    """A request body or a WebSocket message; a mutation of 20,000 rows fits."""
    url_bytes: int = 16 * 1024
    """The query string of a GET."""
    operation_seconds: float = 60.0
    """A query or mutation is given up after this; it answers TIMEOUT."""
    document_cache_bytes: int = 64 * MEBIBYTE
    """Memory for parsed documents, estimated."""
    trusted_documents: Path | None = None
    """The manifest of documents that are known beforehand."""
    trusted_only: bool = False
    """Whether every other document is refused."""
    board_cache_bytes: int = 64 * MEBIBYTE
    """Memory for published boards; 0 keeps none."""
    plans: bool = True
    """Whether queries are answered by one SQL statement where they can be."""
    limits: DocumentLimits = field(default_factory=DocumentLimits)
    language: Language = "zh-CN"
    """The language of messages where a caller names none."""
    graphiql: bool = False
    """Whether GraphiQL is served, and introspection needs no token."""
    allowed_origins: tuple[str, ...] = ()
    """Pages of other origins that may open a WebSocket (`https://host`)."""
    init_seconds: float = 10.0
    """A WebSocket that has not said connection_init by then is closed with 4408."""
    ping_seconds: float = 15.0
    """Between two pings of the server."""
    recheck_seconds: float = 15.0
    """How often the token of an open WebSocket is checked again."""
    socket_operations: int = 50
    """Operations at once on one WebSocket."""
