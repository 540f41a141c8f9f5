"""Tasks, entries and reports as frontends see them (填报任务、填报值、填报表)."""

from schema.reports import mutations
from schema.reports.entries import EntryContentInput, EntryRevision, content_of
from schema.reports.reports import Report, ReportState
from schema.reports.tasks import ReturnInfo, Task
from schema.reports.worklists import NEWEST_REPORTS, OWN_REPORTS, WORKLIST

__all__ = [
    "NEWEST_REPORTS",
    "OWN_REPORTS",
    "WORKLIST",
    "EntryContentInput",
    "EntryRevision",
    "Report",
    "ReportState",
    "ReturnInfo",
    "Task",
    "content_of",
    "mutations",
]
