"""Which engine reckoned (引擎版本)."""

from typing import Final

ENGINE_VERSION: Final = "1"
"""Rises whenever the same scheme and snapshot could give other bytes."""
