"""Looks a deployment over (体检): each check says whether all is well, else what is wrong and what mends it.

It reads only, and goes as far as it can: what one fault keeps it from seeing is said to be unseen. Addresses are told
without users and passwords.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from service.doctor.around import check_issuers, check_redis, check_signing_key, check_time_zones
from service.doctor.database import check_database
from service.doctor.findings import Finding, Findings
from service.settings import Settings, SettingsError
from service.variables import unknown_variables

__all__ = ["CHECKS", "RENAME", "Finding", "examine"]

CHECKS: Final = {
    "settings": "the settings are usable",
    "signing key": "the key of sign-in tokens cannot be guessed",
    "documents": "the manifest of trusted documents can be read",
    "time zones": "this machine and the database know time zones, and alike",
    "redis": "Redis answers and is of a version that is known",
    "database": "PostgreSQL answers and is of a version that is known",
    "migrations": "the database has the migrations of this program",
    "role": "the program's role is bound by row-level security, and does not own the tables",
    "policies": "row-level security is on and forced for every table, by the one policy",
    "append-only": "what must never change can't be changed by the program",
    "timeouts": "statements of the program end by themselves",
    "connections": "there are connections for all processes",
    "clock": "the clocks of this machine and of the database agree",
    "issuers": "issuers of sign-in tokens answer",
    "jobs": "jobs are done, and none has been given up",
}
"""What is looked at, in order."""

RENAME: Final = "Correct its name, or take it away, in the environment of every process."


async def examine(settings: Settings, *, processes: int, check_documents: Callable[[Settings], None]) -> list[Finding]:
    """All findings, in the order of CHECKS. `check_documents` raises SettingsError where the manifest is no good."""
    findings = Findings()
    findings.ok("settings", "usable")
    for said in unknown_variables():
        findings.warning("settings", said, RENAME)
    check_signing_key(findings, settings)
    check_time_zones(findings)
    if settings.trusted_documents is None:
        findings.ok("documents", "no manifest is set")
    else:
        try:
            await asyncio.to_thread(check_documents, settings)
        except SettingsError as error:
            findings.wrong("documents", " ".join(error.faults), "Write the manifest anew with the frontend's build.")
        else:
            findings.ok("documents", f"{settings.trusted_documents} can be read")
    await check_redis(findings, settings)
    await check_database(findings, settings, processes=processes)
    await check_issuers(findings, settings)
    for name in CHECKS:
        if not findings.has(name):
            findings.unseen(name, "not looked at, because of what is wrong above")
    order = list(CHECKS)
    return sorted(findings, key=lambda finding: order.index(finding.check))
