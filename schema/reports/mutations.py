"""Saving and submitting (保存、报送)."""

from schema.mapping import ID, described, input_type, payload
from schema.mutations import KEY, Outcome, holding, mutation
from schema.reports.entries import Entry, EntryContentInput, content_of
from schema.reports.reports import Report
from service import reports
from service.access import Actor as Caller
from service.access import Role
from service.idempotency import Claim
from service.reports import EntrySpec
from tenants.database import Transaction


@input_type
class EntryInput:
    """A value for a task."""

    task_id: ID = described("Which task.")
    version: int | None = described("Version of the entry that was read; left out for the first value.")
    content: EntryContentInput = described("The value.")
    note: str | None = described("Remark.")
    reason: str | None = described("Why, where it replaces a submitted value.")


@input_type
class SaveEntriesInput:
    """What saveEntries takes."""

    entries: list[EntryInput] = described("The values, at most 5,000, all or none.")
    idempotency_key: str = described(KEY)


@payload
class SaveEntriesSuccess:
    """saveEntries is done."""

    entries: list[Entry] = described("The entries, in order, with warnings.")


@input_type
class SubmitReportInput:
    """What submitReport takes."""

    report_id: ID = described("Which.")
    version: int = described("Version read.")
    task_ids: list[ID] | None = described("Only these tasks; all that are filled if left out.")
    confirmed_warnings: list[str] | None = described("Keys of warnings that were looked at.")
    idempotency_key: str = described(KEY)


@payload
class SubmitReportSuccess:
    """submitReport is done."""

    report: Report = described("The report.")


@input_type
class VersionedIdInput:
    """An object with the version that was read."""

    id: ID = described("Which.")
    version: int = described("Version read.")


@input_type
class SubmitEntriesInput:
    """What submitEntries takes."""

    entries: list[VersionedIdInput] = described("Which entries, at most 20,000.")
    confirmed_warnings: list[str] | None = described("Keys of warnings that were looked at.")
    idempotency_key: str = described(KEY)


@payload
class SubmitEntriesSuccess:
    """submitEntries is done."""

    entries: list[Entry] = described("The entries.")


@mutation(SaveEntriesSuccess, replayed=holding(Role.SECRETARY, Role.ASSESSOR), at_once=True, claims=True)
async def save_entries(tx: Transaction, actor: Caller, given: SaveEntriesInput, claim: Claim) -> Outcome:
    """Keeps values as drafts, one or thousands, all or none; warnings come back, nothing is submitted (保存)."""
    specs = [
        EntrySpec(entry.task_id, content_of(entry.content), entry.version, entry.note, entry.reason)
        for entry in given.entries
    ]
    return {"entries": await reports.save_entries(tx, actor, entries=specs, claim=claim)}


@mutation(SubmitReportSuccess, replayed=holding(Role.SECRETARY))
async def submit_report(tx: Transaction, actor: Caller, given: SubmitReportInput) -> Outcome:
    """Sends a unit's report, or part of it (报送)."""
    report_id = await reports.submit_report(
        tx,
        actor,
        report_id=given.report_id,
        version=given.version,
        task_ids=given.task_ids,
        confirmed_warnings=given.confirmed_warnings or (),
    )
    return {"report": report_id}


@mutation(SubmitEntriesSuccess, replayed=holding(Role.SECRETARY, Role.ASSESSOR), at_once=True)
async def submit_entries(tx: Transaction, actor: Caller, given: SubmitEntriesInput) -> Outcome:
    """Sends values by entry, at most 20,000: how a responsible department sends its table (责任单位报送)."""
    entries = [(entry.id, entry.version) for entry in given.entries]
    ids = await reports.submit_entries(tx, actor, entries=entries, confirmed_warnings=given.confirmed_warnings or ())
    return {"entries": ids}
