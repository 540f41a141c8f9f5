"""A refusal by role, at every mutation: where in the input, which role is needed, and who can help."""

from typing import Any

import pytest

from service.access import ROLE_NAMES, Role
from service.settings import Settings
from tenants.database import Database
from tests.schema.conftest import Caller
from tests.schema.driving import caller_of, mutate
from tests.schema.test_isolation import Side, filler, mutations, sides, state_of
from tests.small import expiry

pytestmark = pytest.mark.anyio

__all__ = ["sides"]

Json = dict[str, Any]

OPEN_TO_ALL = {"signIn"}
"""Mutations that ask for no role."""

BY_PERSON = {"withdrawEvent"}
"""Mutations that ask for who did something before, whatever the role."""


async def looking_on(here: Side, db: Database, settings: Settings) -> Caller:
    """A caller who sees everything of the district and may do nothing."""
    given = {
        "displayName": "旁观",
        "grants": [{"role": "OBSERVER", "unitId": here.ids["units"]["root"]}],
        "expiresAt": expiry(),
    }
    made = await mutate(here.caller, "createServiceToken", "secret", given)
    return await caller_of(db, settings, made["secret"])


async def test_whoever_lacks_a_role_is_told_where_which_and_whom_to_ask(
    sides: tuple[Side, Side], db: Database, settings: Settings
) -> None:
    here, _ = sides
    observer = await looking_on(here, db, settings)
    before = await state_of(here)
    fill = await filler(here)
    paths = {}
    for name, given in mutations().items():
        if name in OPEN_TO_ALL:
            continue
        document = f"""mutation ($input: {given.name}!) {{ {name}(input: $input) {{ __typename
            ... on Error {{ code message path hint }}
            ... on AccessError {{ requiredRoles contacts {{ role unit {{ code }} displayName }} }} }} }}"""
        refused = (await observer.ask(document, input=fill.fill(given, (), None)))[name]
        assert (refused["__typename"], refused["code"]) == ("AccessError", "FORBIDDEN"), (name, refused)
        paths[name] = refused["path"]
        assert refused["hint"], name
        assert refused["contacts"], name
        for contact in refused["contacts"]:
            assert contact["unit"] is not None, (name, contact)
            assert contact["displayName"] is None, "roles and units, never a person"
        if name not in BY_PERSON:
            roles = [Role(role) for role in refused["requiredRoles"]]
            assert roles, name
            for role in roles:
                assert ROLE_NAMES[role].en in refused["hint"], (name, refused["hint"])
                assert role in {contact["role"] for contact in refused["contacts"]}, name
    assert await state_of(here) == before
    for name, path in paths.items():
        place: Any = fill.fill(mutations()[name], (), None)
        assert path[:1] == ["input"], (name, path)
        for step in path[1:]:
            place = place[int(step) if isinstance(place, list) else step]
    assert paths["createCategory"] == ["input"]
    assert paths["openCycle"] == ["input", "cycleId"]
    assert paths["createOrgUnit"] == ["input", "parentId"]
    assert paths["saveEntries"] == ["input", "entries", "0", "taskId"]
