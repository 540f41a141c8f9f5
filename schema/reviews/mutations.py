"""Self scores and judgements (自评分、审核)."""

from strawberry import UNSET

from schema.mapping import ID, described, input_type, known, one_of, payload
from schema.mutations import KEY, Outcome, holding, mutation
from schema.reports import EntryContentInput, content_of
from schema.reviews.assessments import Assessment
from schema.scalars import DateText, DecimalText
from service import reviews
from service.access import Actor as Caller
from service.access import Role
from service.errors import ErrorCode as Code
from service.errors import Invalid, Issue, Path
from service.reviews import Decision, ReviewSpec, SelfScoreSpec
from service.scoring.text import Text
from tenants.database import Transaction


@input_type
class SelfScoreInput:
    """A self score."""

    assessment_id: ID = described("Which leaf.")
    version: int = described("Version read.")
    score: DecimalText | None = described("Its score; null takes it away.")
    note: str | None = described("What the unit says to it.")


@input_type
class SaveSelfScoresInput:
    """What saveSelfScores takes."""

    scores: list[SelfScoreInput] = described("The scores, at most 1,000, all or none.")
    idempotency_key: str = described(KEY)


@payload
class SaveSelfScoresSuccess:
    """saveSelfScores is done."""

    assessments: list[Assessment] = described("The leaves.")


@input_type
class AcceptInput:
    """An acceptance."""

    note: str | None = described("Remark.")


@one_of
class ReturnUntilInput:
    """Exactly one."""

    date: DateText | None = described("A day.", default=UNSET)
    working_days: int | None = described("So many working days after today.", default=UNSET)


@input_type
class ReturnInput:
    """A return."""

    reason: str = described("Why.")
    until: ReturnUntilInput = described("Until when it must be sent again; never earlier than the task's own last day.")
    data_item_ids: list[ID] | None = described("Only these items; all of the leaf if left out.")


@input_type
class AdjustedValueInput:
    """One settled value."""

    task_id: ID = described("Of which task.")
    content: EntryContentInput = described("The value.")


@input_type
class AdjustInput:
    """Other values."""

    values: list[AdjustedValueInput] = described("The settled values.")
    reason: str = described("Why.")


@input_type
class AwardInput:
    """Awarded marks."""

    marks: DecimalText = described("0 to full marks, in steps.")
    reason: str | None = described("Required below full marks (扣分原因).")


@input_type
class RejectInput:
    """A rejection."""

    reason: str = described("Why.")


@input_type
class ExemptInput:
    """That it does not apply."""

    reason: str = described("Why.")


@one_of
class ReviewDecisionInput:
    """Exactly one decision."""

    accept: AcceptInput | None = described("Accept (审核通过).", default=UNSET)
    return_: ReturnInput | None = described("Send back (退回).", default=UNSET)
    adjust: AdjustInput | None = described("Settle other values (核定).", default=UNSET)
    award: AwardInput | None = described("Award marks (赋分).", default=UNSET)
    reject: RejectInput | None = described("Not recognise (不予认定).", default=UNSET)
    not_applicable: ExemptInput | None = described(
        "Agree or decide that it does not apply (认定不适用).", default=UNSET
    )


@input_type
class ReviewInput:
    """One judgement."""

    assessment_id: ID = described("Which.")
    version: int = described("Version read.")
    decision: ReviewDecisionInput = described("What is decided.")


@input_type
class ReviewAssessmentsInput:
    """What reviewAssessments takes."""

    reviews: list[ReviewInput] = described("The judgements, at most 5,000, all or none.")
    idempotency_key: str = described(KEY)


@payload
class ReviewAssessmentsSuccess:
    """reviewAssessments is done."""

    assessments: list[Assessment] = described("The assessments, in order.")


def decision_of(given: ReviewDecisionInput, path: Path) -> Decision:
    """The decision as the use-case takes it; raises Invalid where there is none."""
    if accept := known(given.accept):
        return reviews.Accept(accept.note)
    if returned := known(given.return_):
        until = returned.until
        return reviews.Return(returned.reason, known(until.date), known(until.working_days), returned.data_item_ids)
    if adjust := known(given.adjust):
        values = [reviews.AdjustedValue(each.task_id, content_of(each.content)) for each in adjust.values]
        return reviews.Adjust(values, adjust.reason)
    if award := known(given.award):
        return reviews.Award(award.marks, award.reason)
    if reject := known(given.reject):
        return reviews.Reject(reject.reason)
    if exempt := known(given.not_applicable):
        return reviews.Exempt(exempt.reason)
    raise Invalid([Issue(Code.INVALID, path, Text(zh="请选择一种处理。", en="Give exactly one decision."))])


@mutation(SaveSelfScoresSuccess, replayed=holding(Role.SECRETARY))
async def save_self_scores(tx: Transaction, actor: Caller, given: SaveSelfScoresInput) -> Outcome:
    """Saves a unit's own scores beside leaves that are awarded (自评分)."""
    scores = [SelfScoreSpec(each.assessment_id, each.version, each.score, each.note) for each in given.scores]
    return {"assessments": await reviews.save_self_scores(tx, actor, scores=scores)}


@mutation(ReviewAssessmentsSuccess, replayed=holding(Role.REVIEWER, Role.ASSESSOR, Role.ORGANISER))
async def review_assessments(tx: Transaction, actor: Caller, given: ReviewAssessmentsInput) -> Outcome:
    """Judges assessments, one or up to 5,000, all or none (审核、评分)."""
    specs = [
        ReviewSpec(
            each.assessment_id, each.version, decision_of(each.decision, ("input", "reviews", str(place), "decision"))
        )
        for place, each in enumerate(given.reviews)
    ]
    return {"assessments": await reviews.review_assessments(tx, actor, reviews=specs)}
