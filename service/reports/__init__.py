"""Tasks, entries and reports (填报任务、填报值、填报表): saving values, submitting them, and who may when.

`save_entries` keeps drafts, `submit_report` and `submit_entries` send them; `rights` says who may see and fill what, as
SQL that reads share; `settling` moves assessments on; `findings` are what cross checks say.
"""

from service.reports.entries import EntrySpec, save_entries
from service.reports.submission import submit_entries, submit_report
from service.reports.values import Content

__all__ = ["Content", "EntrySpec", "save_entries", "submit_entries", "submit_report"]
