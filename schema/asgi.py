"""Join schema, endpoint and GraphiQL into the one ASGI application that the service's app is handed."""

import re

import strawberry
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.context import Context, open_context
from schema.endpoint import Enter, GraphQLEndpoint
from schema.execution import Engine
from schema.graphiql import GraphiQL
from schema.options import EndpointOptions
from schema.schema import build_schema
from schema.sockets import Sockets
from service import logs
from service.actors import Actors
from service.errors import unauthenticated
from service.language import choose_language
from service.scoring.text import Text
from service.settings import Settings
from tenants.database import Database

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]{1,4096}) *", re.IGNORECASE)


def create_graphql(settings: Settings, db: Database) -> ASGIApp:
    """The application for /graphql (HTTP and WebSocket) and /graphiql."""
    return join(build_schema(), entrance(settings, db), options_of(settings))


def join(schema: strawberry.Schema, enter: Enter, options: EndpointOptions) -> ASGIApp:
    """The same for any schema and any way in."""
    engine = Engine(schema, options)
    endpoint = GraphQLEndpoint(engine, enter, options, Sockets(engine, enter, options))
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
        trusted_documents=settings.trusted_documents,
        trusted_only=settings.trusted_only,
    )


def entrance(settings: Settings, db: Database) -> Enter:
    """Opens a context for each operation, for whoever the bearer token stands for."""
    assert settings.signing_key is not None, "The settings were checked at start."
    actors = Actors(db, settings.signing_key.get_secret_value())

    async def enter(*, authorization: str | None, accept_language: str | None, request_id: str) -> Context:
        actor = None
        if authorization is not None and authorization.strip():
            bearer = _BEARER.fullmatch(authorization.strip())
            if bearer is None:
                raise unauthenticated(
                    Text(zh="Authorization 的格式不对。", en="The Authorization header is not a bearer token.")
                )
            actor = await actors.of(bearer[1], request_id=request_id)
            logs.bind(tenant=actor.tenant_id)
        language = choose_language(accept_language, settings.language)
        return open_context(db, settings, actor=actor, language=language, request_id=request_id, held=True)

    return enter
