"""What the command line changes of a district (租户): that it is there, whether it is suspended, its issuer. All of it
is on record.

These are changes of the directory, which is the owner's: one transaction of the owner holds the change and its event.
"""

from dataclasses import astuple

from service import audit
from service.access import system_actor
from service.audit import Change
from service.scoring.text import Text
from tenants import provisioning
from tenants.provisioning import District, Issuer, owner_transaction

_FIELDS = ("issuer", "audience", "subjectClaim", "tenantClaim")
"""What an issuer consists of, in the order of `Issuer`, as the record calls it."""


async def create_district(
    owner_url: str, *, code: str, name: str, time_zone: str, root_code: str, root_name: str
) -> District:
    """Make a district with the root of its tree; the first event of its audit. Raises ProvisioningError."""
    async with provisioning.new_tenant(
        owner_url, code=code, name=name, time_zone=time_zone, root_code=root_code, root_name=root_name
    ) as tx:
        await audit.append(
            tx,
            system_actor(tx.tenant_id),
            "createTenant",
            subject=("Tenant", tx.tenant_id),
            summary=Text(f"开通租户{name}", f"The district {name} was made"),
            changes=[Change("code", None, code), Change("name", None, name), Change("timeZone", None, time_zone)],
        )
        return District(tx.tenant_id, code, "ACTIVE")


async def set_status(owner_url: str, *, code: str, status: str) -> District:
    """Suspend (SUSPENDED: nobody signs in, no token works) or resume (ACTIVE) a district; nothing is deleted.

    Raises ProvisioningError where there is no such district. What it was already is no change and leaves no event.
    """
    async with owner_transaction(owner_url, code=code) as tx:
        before, after = await provisioning.set_status(tx, status)
        if before != after:
            suspended = status == "SUSPENDED"
            await audit.append(
                tx,
                system_actor(tx.tenant_id),
                "suspendTenant" if suspended else "resumeTenant",
                subject=("Tenant", tx.tenant_id),
                summary=Text("停用租户", "The district was suspended")
                if suspended
                else Text("恢复租户", "The district was resumed"),
                changes=[Change("status", before.status, after.status)],
            )
    return after


async def set_issuer(owner_url: str, *, code: str, issuer: Issuer | None) -> None:
    """Give a district its issuer (统一身份认证), or take it away (None).

    Raises ProvisioningError where there is no such district, or where it would share an issuer with another one and not
    both have a claim that names them. What it had already is no change and leaves no event.
    """
    async with owner_transaction(owner_url, code=code) as tx:
        before = await provisioning.set_issuer(tx, issuer)
        if before == issuer:
            return
        old, new = ((None,) * len(_FIELDS) if each is None else astuple(each) for each in (before, issuer))
        await audit.append(
            tx,
            system_actor(tx.tenant_id),
            "removeTenantIssuer" if issuer is None else "setTenantIssuer",
            subject=("Tenant", tx.tenant_id),
            summary=Text("取消统一身份认证", "The issuer of sign-in tokens was removed")
            if issuer is None
            else Text(f"统一身份认证设为{issuer.url}", f"Sign-in tokens come from {issuer.url}"),
            changes=[Change(*change) for change in zip(_FIELDS, old, new, strict=True) if change[1] != change[2]],
        )
