"""Words for people, always in both languages (双语文本)."""

from typing import NamedTuple


class Text(NamedTuple):
    """The same sentence in simplified Chinese and in English."""

    zh: str
    en: str
