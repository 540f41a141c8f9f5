"""A district as large as a real one, in the middle of a year: cycles with runs, a board, values, people."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from service import jobs, progress, publications
from service.access import Actor, HeldGrant, Role, system_actor
from service.ids import encode_id
from service.rankings import start_ranking_run
from tenants.database import Database, Transaction
from tenants.ids import uuid7
from tenants.provisioning import District
from tests.bench.assessing import dimensions, run_job, settle
from tests.bench.loading import Loaded, add_cycle, load
from tests.small import today


@dataclass
class Measured:
    """Keys of what is asked for."""

    tenant: District
    loaded: Loaded
    cycles: list[UUID] = field(default_factory=list)
    """Oldest first; each has a finished run."""
    runs: list[UUID] = field(default_factory=list)
    publication: UUID | None = None
    """A board of the newest cycle."""
    organiser: UUID | None = None
    """A member with the role at the root."""
    secretary: UUID | None = None
    """A member with the role at the first unit."""
    tasks: list[UUID] = field(default_factory=list)
    """Of the first unit in the newest cycle, with nothing entered."""


async def build(db: Database, tenant: District, *, units: int, items: int, cycles: int) -> Measured:
    """Fill an empty district: older cycles are judged and ranked, the newest is half reported, and published."""
    actor = system_actor(tenant.id)
    async with db.transaction(tenant.id) as tx:
        loaded = await load(tx, units=units, items=items, due_on=today() + timedelta(days=20))
        await dimensions(tx, loaded.version_id, loaded.item_ids)
        measured = Measured(tenant, loaded, [loaded.cycle_id])
        for number in range(1, cycles):
            due_on = today() + timedelta(days=20 + number)
            key = await add_cycle(tx, loaded.version_id, loaded.category_ids, code=f"bench{number}", due_on=due_on)
            measured.cycles.append(key)
        measured.organiser = await _member(tx, "ORGANISER", None)
        measured.secretary = await _member(tx, "SECRETARY", loaded.unit_ids[0])
    for cycle_id in measured.cycles:
        async with db.transaction(tenant.id) as tx:
            opening = await jobs.request(
                tx,
                actor,
                jobs.OPEN_CYCLE,
                subject=("Cycle", cycle_id),
                dedupe_key=f"open {cycle_id}",
                arguments=jobs.CycleArguments(cycle_id),
            )
        await run_job(db, tenant, opening)
        async with db.transaction(tenant.id) as tx:
            if cycle_id == measured.cycles[-1]:
                await _report(tx, cycle_id)
            await settle(tx, cycle_id)
            await progress.recount(tx, cycle_id)
            run_id = await start_ranking_run(tx, actor, cycle_id=encode_id("Cycle", cycle_id))
            job_id = await tx.fetchval(
                "SELECT job_id FROM ranking_runs WHERE tenant_id = $1 AND id = $2", tenant.id, run_id
            )
        await run_job(db, tenant, job_id)
        measured.runs.append(run_id)
    async with db.transaction(tenant.id) as tx:
        version = await tx.fetchval(
            "SELECT version FROM cycles WHERE tenant_id = $1 AND id = $2", tenant.id, measured.cycles[-1]
        )
        run = encode_id("RankingRun", measured.runs[-1])
        measured.publication, _ = await publications.publish_run(
            tx, _acting(measured), run_id=run, version=version, kind="INTERIM", title="第三季度通报"
        )
        await tx.execute(
            "UPDATE cycles SET state = 'ARCHIVED' WHERE tenant_id = $1 AND id = ANY ($2::uuid[])",
            tenant.id,
            measured.cycles[:-1],
        )
        measured.tasks = [
            row["id"]
            for row in await tx.fetch(
                """SELECT t.id FROM tasks t JOIN cycle_units u ON u.tenant_id = t.tenant_id AND u.id = t.cycle_unit_id
                   WHERE t.tenant_id = $1 AND t.cycle_id = $2 AND u.unit_id = $3 AND t.state = 'OPEN'
                   ORDER BY t.position""",
                tenant.id,
                measured.cycles[-1],
                loaded.unit_ids[0],
            )
        ]
    return measured


def _acting(measured: Measured) -> Actor:
    """The organiser."""
    key = measured.organiser
    assert key is not None
    grant = HeldGrant(uuid7(), Role.ORGANISER, key, True, (), (), ())
    return Actor(measured.tenant.id, key, key, "MEMBER", "organiser", "ZH_CN", "Asia/Shanghai", (grant,))


async def _member(tx: Transaction, role: str, unit_id: UUID | None) -> UUID:
    key = uuid7()
    await tx.execute(
        "INSERT INTO actors (tenant_id, id, kind, display_name) VALUES ($1, $2, 'MEMBER', $3)",
        tx.tenant_id,
        key,
        role.lower(),
    )
    await tx.execute(
        "INSERT INTO members (tenant_id, id, sign_in_name, active, language) VALUES ($1, $2, $3, true, 'ZH_CN')",
        tx.tenant_id,
        key,
        role.lower(),
    )
    await tx.execute(
        """INSERT INTO grants (tenant_id, id, holder_id, role, unit_id)
           SELECT $1, $2, $3, $4,
                  coalesce($5, (SELECT id FROM org_units WHERE tenant_id = $1 AND parent_id IS NULL))""",
        tx.tenant_id,
        uuid7(),
        key,
        role,
        unit_id,
    )
    return key


async def _report(tx: Transaction, cycle_id: UUID) -> None:
    """Six tasks in ten are submitted, with entry and revision; one in ten is drafted."""
    await tx.execute("SET LOCAL statement_timeout = 0")
    await tx.execute(
        """WITH chosen AS (
               SELECT t.id AS task_id, gen_random_uuid() AS entry_id, gen_random_uuid() AS revision_id,
                      (abs(hashtext(t.id::text)) % 10001)::numeric / 100 AS number,
                      abs(hashtext('s' || t.id::text)) % 10 AS tenth
               FROM tasks t WHERE t.tenant_id = $1 AND t.cycle_id = $2
           ), entered AS (
               INSERT INTO entries (tenant_id, id, task_id, cycle_id, state, revision, revision_id, number, source, at,
                                    submitted_at, submitted_revision_id, days_late, version)
               SELECT $1, entry_id, task_id, $2, CASE WHEN tenth < 6 THEN 'SUBMITTED' ELSE 'DRAFT' END, 1, revision_id,
                      number, 'REPORTED', now(), CASE WHEN tenth < 6 THEN now() END,
                      CASE WHEN tenth < 6 THEN revision_id END, 0, 1
               FROM chosen WHERE tenth < 7
           ), revised AS (
               INSERT INTO entry_revisions (tenant_id, id, entry_id, revision, number, source, at)
               SELECT $1, revision_id, entry_id, 1, number, 'REPORTED', now() FROM chosen WHERE tenth < 7
           )
           UPDATE tasks x SET state = CASE WHEN c.tenth < 6 THEN 'SUBMITTED' ELSE 'DRAFTED' END
           FROM chosen c WHERE x.tenant_id = $1 AND x.id = c.task_id AND c.tenth < 7""",
        tx.tenant_id,
        cycle_id,
    )
