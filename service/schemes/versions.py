"""Schemes and their versions (考核方案、版本): begun as a draft, copied, set, thrown away."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from service.access import Actor, Role
from service.audit import Change, append
from service.checks import Check
from service.directory import KEEP, Keep
from service.errors import Conflict, IllegalState, NotFound, Path, VersionConflict
from service.items import exact
from service.schemes.nodes import MOST_CATEGORIES, ROOT_CODE, ROOT_NAME, Node, read_nodes, write_nodes
from service.schemes.rules import References, read_typed
from service.schemes.settings import default_settings, read_settings
from service.scoring.numbers import format_decimal
from service.scoring.text import Text
from tenants.database import Transaction
from tenants.ids import uuid7, uuid7s

WEIGHTING_NAMES: Final = {"POINTS": "分值制", "RELATIVE": "权重制"}


async def create_scheme(
    tx: Transaction,
    actor: Actor,
    *,
    code: str,
    name: str,
    weighting: str,
    full_marks: str = "100",
    category_ids: Sequence[str],
) -> tuple[UUID, UUID]:
    """Begin a scheme; its id and that of its draft, which holds the root alone.

    Raises AccessDenied, Invalid, NotFound.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    references = References()
    clean_code = check.code(("input", "code"), code)
    clean_name = check.line(("input", "name"), name)
    marks = _check_full_marks(check, full_marks)
    categories = _check_categories(check, category_ids, references)
    await check_code_is_free(tx, check, ("input", "code"), clean_code)
    check.done()
    assert clean_code is not None
    assert clean_name is not None
    assert marks is not None
    await references.require(tx)
    scheme_id = await insert_scheme(tx, clean_code, clean_name)
    version_id = await insert_version(
        tx,
        scheme_id,
        weighting=weighting,
        full_marks=marks,
        categories=categories,
        settings=default_settings(weighting),
    )
    root = Node(code=ROOT_CODE, name=ROOT_NAME, points=marks if weighting == "POINTS" else None, id=uuid7())
    await write_nodes(tx, version_id, [root])
    await append(
        tx,
        actor,
        "createScheme",
        subject=("Scheme", scheme_id),
        summary=Text(zh=f"新建考核方案“{clean_name}”", en=f'Began the scheme "{clean_name}"'),
        changes=[
            Change("code", None, clean_code),
            Change("weighting", None, weighting),
            Change("fullMarks", None, format_decimal(marks)),
        ],
    )
    return scheme_id, version_id


async def create_scheme_version(tx: Transaction, actor: Actor, *, based_on_id: str, label: str | None = None) -> UUID:
    """Copy a version into a new draft of its scheme; the draft's id.

    Raises AccessDenied, Invalid, NotFound, and IllegalState where the scheme has a draft already.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    key = check.id(("input", "basedOnId"), based_on_id, "SchemeVersion")
    clean_label = None if label is None else check.line(("input", "label"), label)
    check.done()
    base = await tx.fetchrow("SELECT * FROM scheme_versions WHERE tenant_id = $1 AND id = $2", tx.tenant_id, key)
    if base is None:
        raise NotFound(("input", "basedOnId"))
    await require_no_draft(tx, base["scheme_id"], ("input", "basedOnId"))
    categories = await tx.fetch(
        """SELECT category_id FROM scheme_version_categories
           WHERE tenant_id = $1 AND scheme_version_id = $2 ORDER BY position""",
        tx.tenant_id,
        base["id"],
    )
    version_id = await insert_version(
        tx,
        base["scheme_id"],
        weighting=base["weighting"],
        full_marks=base["full_marks"],
        categories=[row["category_id"] for row in categories],
        settings=orjson.loads(base["settings"]),
        label=clean_label,
        based_on=base["id"],
    )
    nodes = await read_nodes(tx, base["id"])
    new = dict(zip((node.key for node in nodes), uuid7s(len(nodes)), strict=True))
    for node in nodes:
        node.id, node.parent_id = new[node.key], None if node.parent_id is None else new[node.parent_id]
    await write_nodes(tx, version_id, nodes)
    await append(
        tx,
        actor,
        "createSchemeVersion",
        subject=("SchemeVersion", version_id),
        summary=Text(
            zh=f"以第{base['number']}版为底稿新建方案草案",
            en=f"Began a draft from version {base['number']} of the scheme",
        ),
    )
    return version_id


async def edit_scheme_version(
    tx: Transaction,
    actor: Actor,
    *,
    scheme_version_id: str,
    version: int,
    label: str | Keep | None = KEEP,
    weighting: str | None = None,
    full_marks: str | None = None,
    category_ids: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> UUID:
    """Change label, weighting, full marks, categories or settings of a draft; what is left out stays.

    settings: by the names of the API; what is not in it stays. Raises AccessDenied, Invalid, NotFound, VersionConflict,
    and IllegalState where it is frozen.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    references = References()
    key = check.id(("input", "schemeVersionId"), scheme_version_id, "SchemeVersion")
    clean_label = label
    if isinstance(label, str):
        clean_label = check.line(("input", "label"), label) if label.strip() else None
    marks = None if full_marks is None else _check_full_marks(check, full_marks)
    categories = None if category_ids is None else _check_categories(check, category_ids, references)
    # What is wrong in the settings themselves is told with the rest, before it is known whether there is such a draft.
    settings = dict(settings or {})
    judged = dict(settings)
    if settings.get("grades") is not None:
        faults = len(check.found)
        typed = read_typed(check, ("input", "settings"), {"grades": settings["grades"]}, references)
        settings["grades"] = judged["grades"] = typed["grades"]
        if len(check.found) > faults:
            # Grades that can't be read are not judged further.
            del judged["grades"]
    read_settings(check, ("input", "settings"), judged, default_settings("POINTS"))
    check.done()
    row = await lock_draft(tx, key, ("input", "schemeVersionId"), version=version)
    before = orjson.loads(row["settings"])
    after = read_settings(Check(), ("input", "settings"), settings, before)
    await references.require(tx)
    new_weighting = weighting or row["weighting"]
    new_marks = row["full_marks"] if marks is None else marks
    new_label = row["label"] if isinstance(clean_label, Keep) else clean_label
    await tx.execute(
        """UPDATE scheme_versions SET version = version + 1, label = $3, weighting = $4, full_marks = $5,
                  settings = $6::jsonb
           WHERE tenant_id = $1 AND id = $2""",
        tx.tenant_id,
        row["id"],
        new_label,
        new_weighting,
        new_marks,
        orjson.dumps(after).decode(),
    )
    if (new_weighting, new_marks) != (row["weighting"], row["full_marks"]):
        await tx.execute(
            """UPDATE indicators SET points = $3, version = version + 1
               WHERE tenant_id = $1 AND scheme_version_id = $2 AND parent_id IS NULL""",
            tx.tenant_id,
            row["id"],
            new_marks if new_weighting == "POINTS" else None,
        )
    changes = [Change(name, _shown(before[name]), _shown(after[name])) for name in after if before[name] != after[name]]
    for name, old, new in (
        ("label", row["label"], new_label),
        ("weighting", row["weighting"], new_weighting),
        ("fullMarks", format_decimal(row["full_marks"]), format_decimal(new_marks)),
    ):
        if old != new:
            changes.append(Change(name, old, new))
    if categories is not None:
        await tx.execute(
            "DELETE FROM scheme_version_categories WHERE tenant_id = $1 AND scheme_version_id = $2",
            tx.tenant_id,
            row["id"],
        )
        await _insert_categories(tx, row["id"], categories)
        changes.append(Change("categories", None, str(len(categories))))
    await append(
        tx,
        actor,
        "editSchemeVersion",
        subject=("SchemeVersion", row["id"]),
        summary=Text(zh="修改方案草案的设置", en="Changed settings of the draft"),
        changes=changes,
    )
    return UUID(str(row["id"]))


async def discard_scheme_version(
    tx: Transaction, actor: Actor, *, scheme_version_id: str, version: int
) -> tuple[UUID, UUID]:
    """Throw a draft away; its id and its scheme's.

    Raises AccessDenied, Invalid, NotFound, VersionConflict, and IllegalState where it is frozen or a cycle uses it.
    """
    actor.require_at_root(Role.ORGANISER)
    check = Check()
    key = check.id(("input", "schemeVersionId"), scheme_version_id, "SchemeVersion")
    check.done()
    row = await lock_draft(tx, key, ("input", "schemeVersionId"), version=version)
    cycle = await tx.fetchrow(
        "SELECT id, name, state FROM cycles WHERE tenant_id = $1 AND scheme_version_id = $2 LIMIT 1",
        tx.tenant_id,
        row["id"],
    )
    if cycle is not None:
        raise IllegalState(
            Text(zh=f"考核周期“{cycle['name']}”使用该草案。", en=f'The cycle "{cycle["name"]}" stands on this draft.'),
            state=cycle["state"],
            subject=("Cycle", cycle["id"]),
            path=("input", "schemeVersionId"),
            hint=Text(zh="先让该周期改用其他方案版本。", en="Let the cycle stand on another version first."),
        )
    parameters = (tx.tenant_id, row["id"])
    for table in ("indicator_items", "indicator_responsibles"):
        await tx.execute(
            f"""DELETE FROM {table} u USING indicators i WHERE u.tenant_id = $1 AND i.tenant_id = $1
                AND i.id = u.indicator_id AND i.scheme_version_id = $2""",
            *parameters,
        )
    for table in ("indicators", "scheme_version_categories"):
        await tx.execute(f"DELETE FROM {table} WHERE tenant_id = $1 AND scheme_version_id = $2", *parameters)
    await tx.execute("DELETE FROM scheme_versions WHERE tenant_id = $1 AND id = $2", *parameters)
    await append(
        tx,
        actor,
        "discardSchemeVersion",
        subject=("SchemeVersion", row["id"]),
        summary=Text(zh=f"放弃第{row['number']}版方案草案", en=f"Threw the draft of version {row['number']} away"),
    )
    return row["id"], row["scheme_id"]


async def lock_draft(tx: Transaction, key: UUID | None, path: Path, *, version: int | None = None) -> asyncpg.Record:
    """The row of a draft, held against other changes. Raises NotFound, IllegalState (FROZEN), VersionConflict."""
    row = await tx.fetchrow(
        "SELECT * FROM scheme_versions WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tx.tenant_id, key
    )
    if row is None:
        raise NotFound(path)
    if row["state"] != "DRAFT":
        raise IllegalState(
            Text(
                zh=f"第{row['number']}版方案已定稿，不能再修改。",
                en=f"Version {row['number']} is frozen and never changes.",
            ),
            state="FROZEN",
            legal_from=["DRAFT"],
            since=row["frozen_at"],
            subject=("SchemeVersion", row["id"]),
            path=path,
            hint=Text(zh="以该版本为底稿新建草案后修改。", en="Make a new draft from it and change that."),
        )
    if version is not None and row["version"] != version:
        raise VersionConflict([Conflict(("input", "version"), row["version"], "SchemeVersion", row["id"])])
    return row


async def require_no_draft(tx: Transaction, scheme_id: UUID, path: Path) -> None:
    """Hold the scheme and refuse where it has a draft already. Raises NotFound, IllegalState."""
    if not await tx.fetchval(
        "SELECT true FROM schemes WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tx.tenant_id, scheme_id
    ):
        raise NotFound(path)
    draft = await tx.fetchrow(
        "SELECT id, number FROM scheme_versions WHERE tenant_id = $1 AND scheme_id = $2 AND state = 'DRAFT'",
        tx.tenant_id,
        scheme_id,
    )
    if draft is not None:
        raise IllegalState(
            Text(
                zh=f"该方案已有草案（第{draft['number']}版）。",
                en=f"The scheme has a draft already (version {draft['number']}).",
            ),
            state="DRAFT",
            legal_from=["FROZEN"],
            subject=("SchemeVersion", draft["id"]),
            path=path,
            hint=Text(zh="先将该草案定稿或放弃。", en="Freeze that draft or throw it away first."),
        )


async def check_code_is_free(tx: Transaction, check: Check, path: Path, code: str | None) -> None:
    """Note a code that another scheme has; holds the tenant's row, so that it stays free till the end."""
    await tx.hold_tenant()
    if code is not None and await tx.fetchval(
        "SELECT true FROM schemes WHERE tenant_id = $1 AND code = $2", tx.tenant_id, code
    ):
        check.duplicate(path, f"编码“{code}”已被使用。", f'The code "{code}" is taken.')


async def insert_scheme(tx: Transaction, code: str, name: str) -> UUID:
    """Store a scheme; its id."""
    scheme_id = uuid7()
    await tx.execute(
        "INSERT INTO schemes (tenant_id, id, code, name) VALUES ($1, $2, $3, $4)", tx.tenant_id, scheme_id, code, name
    )
    return scheme_id


async def insert_version(
    tx: Transaction,
    scheme_id: UUID,
    *,
    weighting: str,
    full_marks: Any,
    categories: Sequence[UUID],
    settings: Mapping[str, Any],
    label: str | None = None,
    based_on: UUID | None = None,
) -> UUID:
    """Store a draft with the next number, without nodes; its id."""
    version_id = uuid7()
    await tx.execute(
        """INSERT INTO scheme_versions (tenant_id, id, scheme_id, number, label, state, based_on_id, weighting,
                                        full_marks, settings)
           SELECT $1, $2, $3, 1 + coalesce(max(number), 0), $4, 'DRAFT', $5, $6, $7, $8::jsonb
           FROM scheme_versions WHERE tenant_id = $1 AND scheme_id = $3""",
        tx.tenant_id,
        version_id,
        scheme_id,
        label,
        based_on,
        weighting,
        full_marks,
        orjson.dumps(settings).decode(),
    )
    await _insert_categories(tx, version_id, categories)
    return version_id


async def _insert_categories(tx: Transaction, version_id: UUID, categories: Sequence[UUID]) -> None:
    await tx.execute(
        """INSERT INTO scheme_version_categories (tenant_id, scheme_version_id, category_id, position)
           SELECT $1, $2, c.id, c.position FROM unnest($3::uuid[]) WITH ORDINALITY AS c(id, position)""",
        tx.tenant_id,
        version_id,
        list(categories),
    )


def _check_full_marks(check: Check, raw: str) -> Any:
    marks = check.decimal(("input", "fullMarks"), raw)
    if marks is not None and marks <= 0:
        check.invalid(("input", "fullMarks"), "满分必须大于0。", "Full marks must be above 0.")
    return None if marks is None else exact(marks)


def _check_categories(check: Check, ids: Sequence[str], references: References) -> list[UUID]:
    path: Path = ("input", "categoryIds")
    if not ids:
        check.invalid(path, "至少要有一个考核类别。", "There must be at least one category.")
    if not check.at_most(path, ids, MOST_CATEGORIES):
        return []
    found = check.ids(path, ids, "Category")
    for place, key in enumerate(found):
        references.add("Category", (*path, str(place)), key)
    return found


def _shown(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
