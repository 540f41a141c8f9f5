"""signIn refuses by a typed error, that tells in both languages how long to wait (登录限速)."""

import pytest

from service import throttle
from service.settings import Settings
from tenants.database import Database
from tenants.provisioning import District
from tests.schema.conftest import Caller

pytestmark = pytest.mark.anyio

SIGN_IN = """mutation ($input: SignInInput!) { signIn(input: $input) {
    __typename ... on Error { code message path hint } } }"""


@pytest.mark.parametrize(("language", "wait"), [("en", "Try again in 60 seconds"), ("zh-CN", "请在60秒后重试")])
async def test_too_many_tries_are_told_when_to_come_again(
    db: Database, settings: Settings, tenant: District, language: str, wait: str
) -> None:
    assert settings.signing_key is not None
    key = settings.signing_key.get_secret_value()
    for _ in range(throttle.PER_NAME.tries):
        await throttle.begin_try(db, key, tenant_id=tenant.id, code=tenant.code, name="zhang")
    async with db.transaction(tenant.id) as tx:
        # The clock of the buckets stands still for the test.
        await tx.execute("UPDATE sign_in_tries SET at = now() + interval '1 hour' WHERE tenant_id = $1", tenant.id)
    stranger = Caller(db, settings, None, language)  # type: ignore[arg-type]  # parametrize knows only text
    given = {"tenantCode": tenant.code, "name": "zhang", "password": "whatever it is"}
    refusal = (await stranger.ask(SIGN_IN, input=given))["signIn"]
    assert (refusal["__typename"], refusal["code"]) == ("AccessError", "THROTTLED")
    assert refusal["hint"].startswith(wait)
    assert refusal["message"]
