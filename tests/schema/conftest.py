"""Asking the schema itself, without HTTP: a caller with the grants that a test gives it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from strawberry.types.execution import ExecutionResult

from schema.context import open_context
from schema.schema import build_schema
from service.access import Actor, HeldGrant, Role
from service.language import Language
from service.settings import Settings
from tenants.database import Database
from tenants.ids import uuid7
from tenants.provisioning import District


@dataclass
class Caller:
    """Somebody who sends operations; each is a context of its own."""

    db: Database
    settings: Settings
    actor: Actor | None
    language: Language = "en"

    async def send(self, query: str, **variables: Any) -> ExecutionResult:
        """The whole result."""
        context = open_context(self.db, self.settings, actor=self.actor, language=self.language, request_id="test")
        try:
            result = await build_schema().execute(query, variable_values=variables, context_value=context)
        finally:
            await context.close()
        assert isinstance(result, ExecutionResult)
        return result

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an operation that has no errors."""
        result = await self.send(query, **variables)
        assert not result.errors, result.errors
        assert result.data is not None
        return result.data

    async def refused(self, query: str, **variables: Any) -> list[dict[str, Any]]:
        """The extensions of the errors of an operation."""
        result = await self.send(query, **variables)
        assert result.errors
        return [dict(error.extensions or {}) for error in result.errors]


MakeCaller = Callable[..., Caller]


def held(role: Role, unit_id: UUID, *, at_root: bool = False) -> HeldGrant:
    """A grant in force that narrows nothing."""
    return HeldGrant(uuid7(), role, unit_id, at_root, (), (), ())


def actor_of(tenant_id: UUID, grants: Sequence[HeldGrant]) -> Actor:
    """An actor that no table knows."""
    key = uuid7()
    return Actor(tenant_id, key, key, "MEMBER", "测试员", "ZH_CN", "Asia/Shanghai", tuple(grants), "test", None)


@pytest.fixture
def make_caller(db: Database, settings: Settings) -> MakeCaller:
    """Makes callers: `make_caller(tenant, grants)`."""

    def make(tenant: District, grants: Sequence[HeldGrant] = (), language: Language = "en") -> Caller:
        return Caller(db, settings, actor_of(tenant.id, grants), language)

    return make


@pytest.fixture
async def root_id(db: Database, tenant: District) -> UUID:
    """Key of the tenant's root unit."""
    async with db.transaction(tenant.id) as tx:
        found: UUID = await tx.fetchval(
            "SELECT id FROM org_units WHERE tenant_id = $1 AND parent_id IS NULL", tenant.id
        )
    return found


@pytest.fixture
def administrator(make_caller: MakeCaller, tenant: District, root_id: UUID) -> Caller:
    """The tenant's administrator."""
    return make_caller(tenant, [held(Role.ADMINISTRATOR, root_id, at_root=True)])
