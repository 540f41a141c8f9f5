"""Join schema, endpoint and GraphiQL into the one ASGI application that the service's app is handed."""

import re
from collections.abc import Callable

import strawberry
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.context import Context, open_context
from schema.endpoint import Enter, GraphQLEndpoint
from schema.execution import Engine
from schema.graphiql import GraphiQL
from schema.options import EndpointOptions
from schema.plans.checks import hold_against_catalogue
from schema.published import PublishedBoards
from schema.schema import build_schema
from schema.sockets import Sockets
from service import logs
from service.access import Actor
from service.actors import Actors
from service.errors import unauthenticated
from service.issuers import Issuers
from service.language import Language, choose_language
from service.scoring.text import Text
from service.settings import Settings
from tenants.database import Database

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]{1,8192}) *", re.IGNORECASE)


def create_graphql(settings: Settings, db: Database) -> ASGIApp:
    """The application for /graphql (HTTP and WebSocket) and /graphiql."""
    enter = Entrance(settings, db)
    options = options_of(settings)
    return join(build_schema(), enter, options, lambda app, engine: PublishedBoards(app, engine, enter, db, options))


async def open_graphql(settings: Settings, db: Database) -> ASGIApp:
    """The same, once the database is known to be as the types declare; raises CatalogueMismatch."""
    if settings.plans:
        await hold_against_catalogue(build_schema(), db)
    return create_graphql(settings, db)


def join(
    schema: strawberry.Schema,
    enter: Enter,
    options: EndpointOptions,
    door: Callable[[ASGIApp, Engine], ASGIApp] | None = None,
) -> ASGIApp:
    """The same for any schema and any way in; `door` stands before the endpoint."""
    engine = Engine(schema, options)
    endpoint: ASGIApp = GraphQLEndpoint(engine, enter, options, Sockets(engine, enter, options))
    if door is not None:
        endpoint = door(endpoint, engine)
    graphiql = GraphiQL(options)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        at_graphiql = scope["type"] == "http" and scope["path"].split("/")[1] == "graphiql"
        await (graphiql if at_graphiql else endpoint)(scope, receive, send)

    return application


def options_of(settings: Settings) -> EndpointOptions:
    """What the settings say about the endpoint."""
    return EndpointOptions(
        body_bytes=settings.body_bytes,
        language=settings.language,
        graphiql=settings.graphiql_enabled,
        allowed_origins=settings.origins,
        plans=settings.plans,
        trusted_documents=settings.trusted_documents,
        trusted_only=settings.trusted_only,
        board_cache_bytes=settings.board_cache_bytes,
    )


def check_trusted(settings: Settings) -> None:
    """Read the manifest of trusted documents as at a start; raises SettingsError with all that is wrong with it."""
    Engine(build_schema(), options_of(settings))


class Entrance:
    """Opens a context for each operation, for whoever the bearer token stands for."""

    def __init__(self, settings: Settings, db: Database) -> None:
        assert settings.signing_key is not None, "The settings were checked at start."
        self._settings = settings
        self._db = db
        issuers = Issuers(db, http=settings.issuer_http)
        self._actors = Actors(db, settings.signing_key.get_secret_value(), issuers=issuers)

    async def __call__(self, *, authorization: str | None, accept_language: str | None, request_id: str) -> Context:
        """The context of an operation; raises AccessDenied for a token that does not hold."""
        actor = await self.actor(authorization)
        if actor is not None:
            actor = actor.in_request(request_id)
            logs.bind(tenant=actor.tenant_id)
        return self.context(actor, choose_language(accept_language, self._settings.language), request_id)

    async def actor(self, authorization: str | None) -> Actor | None:
        """Who asks, known for less than a second; None without a token; raises AccessDenied for one that is none."""
        if authorization is None or not authorization.strip():
            return None
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() == "bearer" and (actor := self._actors.held(token)) is not None:
            return actor
        bearer = _BEARER.fullmatch(authorization.strip())
        if bearer is None:
            raise unauthenticated(
                Text(zh="Authorization 的格式不对。", en="The Authorization header is not a bearer token.")
            )
        return await self._actors.known(bearer[1])

    def context(self, actor: Actor | None, language: Language, request_id: str) -> Context:
        """A context for someone who is known; touches no database."""
        return open_context(self._db, self._settings, actor=actor, language=language, request_id=request_id, held=True)
