"""What is done to schemes, versions and indicators (方案变更)."""

from strawberry import UNSET

from schema.mapping import ID, described, input_type, payload
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.scalars import DecimalText
from schema.schemes.indicators import Indicator, IndicatorInput, IndicatorRowInput
from schema.schemes.settings import SchemeSettingsInput, as_document
from schema.schemes.versions import Scheme, SchemeVersion
from schema.schemes.words import Weighting
from service import schemes
from service.access import Actor as Caller
from service.access import Role
from service.directory import KEEP
from service.ids import encode_id
from service.schemes import IndicatorRow
from tenants.database import Transaction


@input_type
class CreateSchemeInput:
    """What createScheme takes."""

    code: str = described("Code.")
    name: str = described("Name.")
    weighting: Weighting = described("Points or relative weights.")
    full_marks: DecimalText = described("Full marks of the root.", default="100")
    category_ids: list[ID] = described("Categories it applies to.")
    idempotency_key: str = described(KEY)


@payload
class CreateSchemeSuccess:
    """createScheme is done."""

    scheme: Scheme = described("The scheme.")
    scheme_version: SchemeVersion = described("Its draft.")


@mutation(CreateSchemeSuccess, access=at_root(Role.ORGANISER))
async def create_scheme(tx: Transaction, actor: Caller, given: CreateSchemeInput) -> Outcome:
    """Starts a scheme with an empty draft."""
    scheme, version = await schemes.create_scheme(
        tx,
        actor,
        code=given.code,
        name=given.name,
        weighting=given.weighting.name,
        full_marks=given.full_marks,
        category_ids=given.category_ids,
    )
    return {"scheme": scheme, "scheme_version": version}


@input_type
class CreateSchemeVersionInput:
    """What createSchemeVersion takes."""

    based_on_id: ID = described("Version to copy.")
    label: str | None = described("Name for people.")
    idempotency_key: str = described(KEY)


@payload
class CreateSchemeVersionSuccess:
    """createSchemeVersion is done."""

    scheme_version: SchemeVersion = described("The draft.")


@mutation(CreateSchemeVersionSuccess, access=at_root(Role.ORGANISER))
async def create_scheme_version(tx: Transaction, actor: Caller, given: CreateSchemeVersionInput) -> Outcome:
    """Starts a new draft from an earlier version."""
    return {
        "scheme_version": await schemes.create_scheme_version(
            tx, actor, based_on_id=given.based_on_id, label=given.label
        )
    }


@input_type
class EditSchemeVersionInput:
    """What editSchemeVersion takes."""

    scheme_version_id: ID = described("Which.")
    version: int = described("Version read.")
    label: str | None = described("Name for people; left out to keep, null for none.", clearable=True)
    weighting: Weighting | None = described("Points or relative weights; left out to keep.")
    full_marks: DecimalText | None = described("Full marks of the root; left out to keep.")
    category_ids: list[ID] | None = described("Categories it applies to; left out to keep.")
    settings: SchemeSettingsInput | None = described("Settings; what is left out stays.")
    idempotency_key: str = described(KEY)


@payload
class EditSchemeVersionSuccess:
    """editSchemeVersion is done."""

    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(EditSchemeVersionSuccess, access=at_root(Role.ORGANISER))
async def edit_scheme_version(tx: Transaction, actor: Caller, given: EditSchemeVersionInput) -> Outcome:
    """Changes settings of a draft."""
    return {
        "scheme_version": await schemes.edit_scheme_version(
            tx,
            actor,
            scheme_version_id=given.scheme_version_id,
            version=given.version,
            label=KEEP if given.label is UNSET else given.label,
            weighting=given.weighting and given.weighting.name,
            full_marks=given.full_marks,
            category_ids=given.category_ids,
            settings=None if given.settings is None else as_document(given.settings),
        )
    }


@input_type
class AddIndicatorInput:
    """What addIndicator takes."""

    scheme_version_id: ID = described("Which draft.")
    parent_id: ID = described("Node above.")
    position: int | None = described("Place among its siblings, from 0; last if left out.")
    indicator: IndicatorInput = described("The node.")
    idempotency_key: str = described(KEY)


@payload
class AddIndicatorSuccess:
    """addIndicator is done."""

    indicator: Indicator = described("The node.")
    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(AddIndicatorSuccess, access=at_root(Role.ORGANISER))
async def add_indicator(tx: Transaction, actor: Caller, given: AddIndicatorInput) -> Outcome:
    """Adds a node to a draft."""
    indicator, version = await schemes.add_indicator(
        tx,
        actor,
        scheme_version_id=given.scheme_version_id,
        parent_id=given.parent_id,
        position=given.position,
        indicator=given.indicator.spec(),
    )
    return {"indicator": indicator, "scheme_version": version}


@input_type
class EditIndicatorInput:
    """What editIndicator takes."""

    indicator_id: ID = described("Which.")
    version: int = described("Version read.")
    indicator: IndicatorInput = described("All of it, as it shall be.")
    idempotency_key: str = described(KEY)


@payload
class EditIndicatorSuccess:
    """editIndicator is done."""

    indicator: Indicator = described("The node.")
    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(EditIndicatorSuccess, access=at_root(Role.ORGANISER))
async def edit_indicator(tx: Transaction, actor: Caller, given: EditIndicatorInput) -> Outcome:
    """Changes a node of a draft."""
    indicator, version = await schemes.edit_indicator(
        tx, actor, indicator_id=given.indicator_id, version=given.version, indicator=given.indicator.spec()
    )
    return {"indicator": indicator, "scheme_version": version}


@input_type
class MoveIndicatorInput:
    """What moveIndicator takes."""

    indicator_id: ID = described("Which.")
    version: int = described("Version read.")
    parent_id: ID = described("Node above.")
    position: int = described("Place among its siblings, from 0.")
    idempotency_key: str = described(KEY)


@payload
class MoveIndicatorSuccess:
    """moveIndicator is done."""

    indicator: Indicator = described("The node.")
    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(MoveIndicatorSuccess, access=at_root(Role.ORGANISER))
async def move_indicator(tx: Transaction, actor: Caller, given: MoveIndicatorInput) -> Outcome:
    """Puts a node with all below it elsewhere in its draft."""
    indicator, version = await schemes.move_indicator(
        tx,
        actor,
        indicator_id=given.indicator_id,
        version=given.version,
        parent_id=given.parent_id,
        position=given.position,
    )
    return {"indicator": indicator, "scheme_version": version}


@input_type
class RemoveIndicatorInput:
    """What removeIndicator takes."""

    indicator_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class RemoveIndicatorSuccess:
    """removeIndicator is done."""

    removed_ids: list[ID] = described("Ids of the node and all below it.")
    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(RemoveIndicatorSuccess, access=at_root(Role.ORGANISER))
async def remove_indicator(tx: Transaction, actor: Caller, given: RemoveIndicatorInput) -> Outcome:
    """Takes a node with all below it out of its draft."""
    removed, version = await schemes.remove_indicator(tx, actor, indicator_id=given.indicator_id, version=given.version)
    return {"removed_ids": [encode_id("Indicator", key) for key in removed], "scheme_version": version}


@input_type
class ReplaceIndicatorsInput:
    """What replaceIndicators takes."""

    scheme_version_id: ID = described("Which draft.")
    version: int = described("Version read.")
    indicators: list[IndicatorRowInput] = described("The tree, flat, parents before children; at most 2,000.")
    idempotency_key: str = described(KEY)


@payload
class ReplaceIndicatorsSuccess:
    """replaceIndicators is done."""

    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(ReplaceIndicatorsSuccess, access=at_root(Role.ORGANISER))
async def replace_indicators(tx: Transaction, actor: Caller, given: ReplaceIndicatorsInput) -> Outcome:
    """Replaces the whole tree of a draft; nodes with the same code keep their id."""
    return {
        "scheme_version": await schemes.replace_indicators(
            tx,
            actor,
            scheme_version_id=given.scheme_version_id,
            version=given.version,
            indicators=[IndicatorRow(each.indicator.spec(), each.parent_code) for each in given.indicators],
        )
    }


@input_type
class ImportSchemeInput:
    """What importScheme takes."""

    scheme_id: ID | None = described("Into this scheme; a new one if left out.")
    document: str = described("The JSON text, at most 4 MiB.")
    create_missing_data_items: bool = described("Whether unknown data items are added.", default=True)
    idempotency_key: str = described(KEY)


@payload
class ImportSchemeSuccess:
    """importScheme is done."""

    scheme_version: SchemeVersion = described("The draft, with its check.")


@mutation(ImportSchemeSuccess, access=at_root(Role.ORGANISER))
async def import_scheme(tx: Transaction, actor: Caller, given: ImportSchemeInput) -> Outcome:
    """Makes a draft from the JSON text that SchemeVersion.file gives."""
    return {
        "scheme_version": await schemes.import_scheme(
            tx,
            actor,
            document=given.document,
            scheme_id=given.scheme_id,
            create_missing_data_items=given.create_missing_data_items,
        )
    }


@input_type
class FreezeSchemeVersionInput:
    """What freezeSchemeVersion takes."""

    scheme_version_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class FreezeSchemeVersionSuccess:
    """freezeSchemeVersion is done."""

    scheme_version: SchemeVersion = described("The frozen version.")


@mutation(FreezeSchemeVersionSuccess, access=at_root(Role.ORGANISER))
async def freeze_scheme_version(tx: Transaction, actor: Caller, given: FreezeSchemeVersionInput) -> Outcome:
    """Freezes a draft; refused with all faults at once (方案定稿)."""
    return {
        "scheme_version": await schemes.freeze_scheme_version(
            tx, actor, scheme_version_id=given.scheme_version_id, version=given.version
        )
    }


@input_type
class DiscardSchemeVersionInput:
    """What discardSchemeVersion takes."""

    scheme_version_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class DiscardSchemeVersionSuccess:
    """discardSchemeVersion is done."""

    discarded_id: ID = described("Its id.")
    scheme: Scheme = described("The scheme.")


@mutation(DiscardSchemeVersionSuccess, access=at_root(Role.ORGANISER))
async def discard_scheme_version(tx: Transaction, actor: Caller, given: DiscardSchemeVersionInput) -> Outcome:
    """Throws a draft away."""
    gone, scheme = await schemes.discard_scheme_version(
        tx, actor, scheme_version_id=given.scheme_version_id, version=given.version
    )
    return {"discarded_id": encode_id("SchemeVersion", gone), "scheme": scheme}
