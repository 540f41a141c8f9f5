"""Data items as frontends see them (数据项)."""

from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING

from schema.mapping import (
    ID,
    Connection,
    Key,
    Node,
    Order,
    Sort,
    by_id,
    column,
    condition,
    connection,
    described,
    document,
    enumeration,
    filter_type,
    identifier,
    input_type,
    listing,
    order_type,
    payload,
    query,
    table,
    value,
)
from schema.mutations import KEY, Outcome, at_root, mutation
from schema.scalars import DecimalText
from service import items
from service.access import Actor as Caller
from service.access import Role
from service.items import DataItemSpec, OptionSpec
from tenants.database import Transaction

if TYPE_CHECKING:
    from schema.directory import OrgUnit
    from schema.schemes import Indicator


@enumeration("Shapes of values.")
class DataItemType(Enum):
    """Types of data items."""

    NUMBER = "A decimal number."
    INTEGER = "A whole number."
    YES_NO = "Yes or no."
    CHOICE = "One of the options."
    COUNTS = "Named counts: ballots per grade, breaches per kind."
    SCORES = "A list of scores."


@enumeration("Where values come from (数据来源).")
class DataSource(Enum):
    """Sources of data items."""

    REPORTED = "The unit fills it (单位填报)."
    REVIEWED = "The responsible unit fills it for all units (责任单位填报)."
    ASSIGNED = "A target set per unit before opening (下达)."


@enumeration("What data items can be sorted by.")
class DataItemOrderField(Enum):
    """Orders of data items."""

    CODE = Sort("By code.", (Key("{r}.code"),))
    NAME = Sort("By name.", (Key("{r}.name"),))


@order_type
class DataItemOrder(Order):
    """An order of data items."""

    field: DataItemOrderField = described("What to sort by.")


@filter_type
class DataItemFilter:
    """Which data items."""

    search: str | None = condition(
        "Code, name or definition contains this.",
        "{r}.code ILIKE {value} OR {r}.name ILIKE {value} OR {r}.definition ILIKE {value}",
        contains=True,
    )
    sources: list[DataSource] | None = condition("From these sources.", "{r}.source = ANY({value})")
    responsible_unit_ids: list[ID] | None = condition(
        "Supplied by these units.",
        """EXISTS (SELECT 1 FROM data_item_responsibles fr WHERE fr.tenant_id = {tenant}
           AND fr.data_item_id = {r}.id AND fr.unit_id = ANY({value}))""",
        of="OrgUnit",
    )
    types: list[DataItemType] | None = condition("Of these shapes.", "{r}.type = ANY({value})")
    active: bool | None = condition("Only active or only retired ones.", "{r}.active = {value}")


@value
class ItemOption:
    """A choice or a named count of a data item."""

    code: str = column("Code.")
    name: str = column("Such as 好, 很满意, 口头警告.")
    dont_know: bool = column('Whether it stands for "don\'t know" (不了解).', "dontKnow")


@table("data_items", plural="data items")
class DataItem(Node):
    """One thing collected once per unit and cycle (数据项)."""

    id: ID = identifier()
    code: str = column("Code, unique in the tenant.")
    name: str = column("Name, such as 党员总数.")
    definition: str = column("What exactly is counted (统计口径).")
    type: DataItemType = column("Shape of its values.")
    unit_of_measure: str | None = column("Such as 人, 次, %.")
    scale: int = column("Decimal places kept, 0 to 30; 0 for all but numbers and scores.")
    minimum: Decimal | None = column("Least value allowed.")
    maximum: Decimal | None = column("Greatest value allowed.")
    options: list[ItemOption] = document("Choices, or names of the counts; empty for other types.")
    source: DataSource = column("How it comes in (数据来源).")
    responsible_units: "list[OrgUnit]" = listing(
        "Departments that supply it (责任单位).",
        where="""{r}.id IN (SELECT ir.unit_id FROM data_item_responsibles ir
                 WHERE ir.tenant_id = {tenant} AND ir.data_item_id = {t}.id)""",
        order="""(SELECT ip.position FROM data_item_responsibles ip
                  WHERE ip.tenant_id = {tenant} AND ip.data_item_id = {t}.id AND ip.unit_id = {r}.id)""",
    )
    personal: bool = column("True where counts or scores come from people: parts are for those who entered them only.")
    active: bool = column("False once retired.")
    used_by: "list[Indicator]" = listing(
        "Leaves of draft and current versions that use it.",
        where="""{r}.id IN (SELECT iu.indicator_id FROM indicator_items iu
                            WHERE iu.tenant_id = {tenant} AND iu.data_item_id = {t}.id)
                 AND {r}.scheme_version_id IN (
                     SELECT DISTINCT ON (iv.scheme_id, iv.state) iv.id FROM scheme_versions iv
                     WHERE iv.tenant_id = {tenant} ORDER BY iv.scheme_id, iv.state, iv.number DESC)""",
        order="{r}.scheme_version_id, {r}.print_order",
        limit=2000,
    )
    duplicates: "list[DataItem]" = listing(
        "Active items that seem to ask the same: names differ in blanks, punctuation and case at most (重复采集提示).",
        on={"name_key": "name_key"},
        where="{r}.active AND {r}.id <> {t}.id AND {r}.name_key <> ''",
        order="{r}.code",
        limit=100,
    )
    version: int = column("Rises with each change.")


@query
class ItemsQuery:
    """Data items."""

    data_item: DataItem | None = by_id("One data item.", "DataItem")
    data_items: Connection[DataItem] | None = connection(
        "Data items.", filter=DataItemFilter, order=DataItemOrder, default=[Key("{r}.code")]
    )


# ---- mutations


@input_type
class ItemOptionInput:
    """A choice or a named count."""

    code: str = described("Code.")
    name: str = described("Name.")
    dont_know: bool = described('Whether it stands for "don\'t know".', default=False)


@input_type
class DataItemInput:
    """A data item."""

    code: str = described("Code.")
    name: str = described("Name.")
    definition: str = described("What exactly is counted.")
    type: DataItemType = described("Shape of its values.")
    unit_of_measure: str | None = described("Such as 人.")
    scale: int = described("Decimal places, 0 to 30.", default=4)
    minimum: DecimalText | None = described("Least value.")
    maximum: DecimalText | None = described("Greatest value.")
    options: list[ItemOptionInput] | None = described("Choices or names of counts.")
    source: DataSource = described("How it comes in.", default=DataSource.REPORTED)
    responsible_unit_ids: list[ID] | None = described("Departments that supply it.")
    personal: bool = described("Whether its parts come from people.", default=False)

    def spec(self) -> DataItemSpec:
        """As the use-cases take it."""
        return DataItemSpec(
            code=self.code,
            name=self.name,
            definition=self.definition,
            type=self.type.name,
            unit_of_measure=self.unit_of_measure,
            scale=self.scale,
            minimum=self.minimum,
            maximum=self.maximum,
            options=[OptionSpec(each.code, each.name, each.dont_know) for each in self.options or ()],
            source=self.source.name,
            responsible_unit_ids=self.responsible_unit_ids or (),
            personal=self.personal,
        )


@input_type
class CreateDataItemsInput:
    """What createDataItems takes."""

    data_items: list[DataItemInput] = described("At most 500.")
    idempotency_key: str = described(KEY)


@payload
class CreateDataItemsSuccess:
    """createDataItems is done."""

    data_items: list[DataItem] = described("The items, in order, with their duplicates.")


@input_type
class EditDataItemInput:
    """What editDataItem takes."""

    data_item_id: ID = described("Which.")
    version: int = described("Version read.")
    data_item: DataItemInput = described("All of it, as it shall be.")
    idempotency_key: str = described(KEY)


@payload
class EditDataItemSuccess:
    """editDataItem is done."""

    data_item: DataItem = described("The item.")


@input_type
class RetireDataItemInput:
    """What retireDataItem takes."""

    data_item_id: ID = described("Which.")
    version: int = described("Version read.")
    idempotency_key: str = described(KEY)


@payload
class RetireDataItemSuccess:
    """retireDataItem is done."""

    data_item: DataItem = described("The item.")


@mutation(CreateDataItemsSuccess, access=at_root(Role.ORGANISER))
async def create_data_items(tx: Transaction, actor: Caller, given: CreateDataItemsInput) -> Outcome:
    """Adds data items, all or none; warns of those that repeat one."""
    return {
        "data_items": await items.create_data_items(tx, actor, data_items=[each.spec() for each in given.data_items])
    }


@mutation(EditDataItemSuccess, access=at_root(Role.ORGANISER))
async def edit_data_item(tx: Transaction, actor: Caller, given: EditDataItemInput) -> Outcome:
    """Changes a data item; what a frozen version relies on stays as it is."""
    return {
        "data_item": await items.edit_data_item(
            tx, actor, data_item_id=given.data_item_id, version=given.version, data_item=given.data_item.spec()
        )
    }


@mutation(RetireDataItemSuccess, access=at_root(Role.ORGANISER))
async def retire_data_item(tx: Transaction, actor: Caller, given: RetireDataItemInput) -> Outcome:
    """Takes a data item out of use."""
    return {
        "data_item": await items.retire_data_item(tx, actor, data_item_id=given.data_item_id, version=given.version)
    }
