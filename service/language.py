"""Choose the language of messages (语言): simplified Chinese unless the caller prefers English."""

from functools import lru_cache
from typing import Final, Literal

from service.scoring.text import Text

Language = Literal["zh-CN", "en"]
DEFAULT_LANGUAGE: Language = "zh-CN"

MOST_KEPT: Final = 256
"""Headers in memory that chose already: browsers send the same few each time."""


def choose_language(accept_language: str | None, default: Language = DEFAULT_LANGUAGE) -> Language:
    """The language for an Accept-Language header: whichever of Chinese and English it prefers.

    Any English (en, en-GB) and any Chinese (zh, zh-Hans, zh-TW) counts; other languages and faulty parts are passed
    over. Where it wants both alike, or neither, the default holds.
    """
    return _chosen((accept_language or "")[:1000], default)


@lru_cache(maxsize=MOST_KEPT)
def _chosen(accept_language: str, default: Language) -> Language:
    best: dict[Language, float] = {}
    for part in accept_language.split(","):
        tag, _, parameters = part.partition(";")
        primary = tag.strip().lower().partition("-")[0]
        language: Language | None = "en" if primary == "en" else "zh-CN" if primary == "zh" else None
        if language is not None:
            best[language] = max(best.get(language, 0.0), quality(parameters))
    english, chinese = best.get("en", 0.0), best.get("zh-CN", 0.0)
    return default if english == chinese else "en" if english > chinese else "zh-CN"


def quality(parameters: str) -> float:
    """The `q` among an accept header's parameters, 0 to 1; 1 where there is none, 0 where it is not a number."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.strip().lower() == "q":
            try:
                number = float(value)
            except ValueError:
                return 0.0
            return number if 0.0 <= number <= 1.0 else 0.0
    return 1.0


def say(text: Text, language: Language) -> str:
    """The sentence in one language."""
    return text.en if language == "en" else text.zh
