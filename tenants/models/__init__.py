"""All tables, noun by noun. Constraints, policies and grants stand in SQL beside the migrations."""

from tenants.models.audit import AuditEvent, AuditHead, IdempotencyKey
from tenants.models.cycles import Cycle, CycleCategory, CycleTarget, CycleUnit, CycleUnitAncestor
from tenants.models.directory import Category, Directory, OrgUnit, OrgUnitAncestor, OrgUnitName, Tenant
from tenants.models.events import Event
from tenants.models.items import DataItem, DataItemResponsible
from tenants.models.jobs import Job
from tenants.models.members import Actor, Grant, Member, ServiceToken
from tenants.models.outbox import OutboxEvent, OutboxHead, OutboxReader
from tenants.models.progress import ProgressCounter
from tenants.models.publications import Publication
from tenants.models.rankings import (
    DecidedGrade,
    GradeRecord,
    RankingRun,
    RunSnapshot,
    Standing,
    StandingDetail,
    StandingDimension,
    StandingGrade,
    TieGroup,
    TieGroupMember,
)
from tenants.models.reports import Entry, EntryRevision, Report, Task
from tenants.models.reviews import Assessment, Review
from tenants.models.robustness import RunRobustness, StandingRobustness
from tenants.models.schemes import (
    Indicator,
    IndicatorItem,
    IndicatorResponsible,
    Scheme,
    SchemeVersion,
    SchemeVersionCategory,
    SchemeVersionItem,
)
from tenants.models.throttle import SignInTries
from tenants.models.what_ifs import WhatIf, WhatIfChange

__all__ = [
    "Actor",
    "Assessment",
    "AuditEvent",
    "AuditHead",
    "Category",
    "Cycle",
    "CycleCategory",
    "CycleTarget",
    "CycleUnit",
    "CycleUnitAncestor",
    "DataItem",
    "DataItemResponsible",
    "DecidedGrade",
    "Directory",
    "Entry",
    "EntryRevision",
    "Event",
    "GradeRecord",
    "Grant",
    "IdempotencyKey",
    "Indicator",
    "IndicatorItem",
    "IndicatorResponsible",
    "Job",
    "Member",
    "OrgUnit",
    "OrgUnitAncestor",
    "OrgUnitName",
    "OutboxEvent",
    "OutboxHead",
    "OutboxReader",
    "ProgressCounter",
    "Publication",
    "RankingRun",
    "Report",
    "Review",
    "RunRobustness",
    "RunSnapshot",
    "Scheme",
    "SchemeVersion",
    "SchemeVersionCategory",
    "SchemeVersionItem",
    "ServiceToken",
    "SignInTries",
    "Standing",
    "StandingDetail",
    "StandingDimension",
    "StandingGrade",
    "StandingRobustness",
    "Task",
    "Tenant",
    "TieGroup",
    "TieGroupMember",
    "WhatIf",
    "WhatIfChange",
]
