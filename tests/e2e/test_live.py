"""Subscriptions over a real socket: what is wrong with an argument is told as it is in a query (实时订阅)."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.e2e.client import Client, Installation


def messages(client: Client, query: str) -> Iterator[dict[str, Any]]:
    """The messages of a subscription, as they come."""
    address = client.url.replace("http://", "ws://") + "/graphql"
    with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {client.token}"}}))
        assert json.loads(socket.recv(timeout=10))["type"] == "connection_ack"
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": query}}))
        while True:
            yield json.loads(socket.recv(timeout=30))


def states_of(client: Client, job_id: str) -> list[str]:
    """Every state of a job that is told, until nothing more will come."""
    told = messages(client, f'subscription {{ jobChanged(id: "{job_id}") {{ job {{ state }} }} }}')
    return [
        message["payload"]["data"]["jobChanged"]["job"]["state"]
        for message in itertools.takewhile(lambda message: message["type"] != "complete", told)
    ]


@pytest.fixture(scope="module")
def organiser(installation: Installation) -> Client:
    """Of a district where nothing happens."""
    return installation.client(installation.district(), "ORGANISER")


@pytest.mark.parametrize("field", ["jobChanged", "rankingRunChanged", "cycleChanged"])
def test_an_argument_that_is_none_is_refused_with_its_code_and_path(organiser: Client, field: str) -> None:
    message = next(messages(organiser, f'subscription {{ {field}(id: "zzz") {{ cursor }} }}'))
    errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert errors[0]["extensions"]["code"] == "INVALID_ID"
    assert errors[0]["extensions"]["path"] == ["id"]
    assert errors[0]["extensions"]["hint"]


def test_what_was_given_is_not_repeated_by_a_refusal(installation: Installation) -> None:
    secret = "a password that nobody else should read"
    client = Client(installation.url)
    answer = client.post(
        "mutation ($input: SignInInput!) { signIn(input: $input) { __typename } }",
        {"input": {"tenantCode": "x", "name": "x", "password": [secret], "extra": 1}},
    )
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert secret not in answer.text
