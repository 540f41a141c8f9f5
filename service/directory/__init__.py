"""The organisation tree and the categories (单位、考核类别): who may change them, and how.

Every change here first locks the tenant's row, so that changes of the tree come one after the other: two moves at once
cannot make a ring, and codes are compared with what is really there.
"""

from service.directory.categories import create_category, edit_category
from service.directory.importing import ImportedUnits, UnitRow, import_org_units
from service.directory.tree import KEEP, KINDS, Keep, require_administrator
from service.directory.units import (
    close_org_unit,
    create_org_unit,
    edit_org_unit,
    move_org_unit,
    rename_org_unit,
)

__all__ = [
    "KEEP",
    "KINDS",
    "ImportedUnits",
    "Keep",
    "UnitRow",
    "close_org_unit",
    "create_category",
    "create_org_unit",
    "edit_category",
    "edit_org_unit",
    "import_org_units",
    "move_org_unit",
    "rename_org_unit",
    "require_administrator",
]
