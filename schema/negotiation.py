"""Choose the media type of a response from an Accept header (内容协商)."""

from functools import lru_cache
from typing import Final

from service.language import MOST_KEPT, quality

GRAPHQL_RESPONSE: Final = "application/graphql-response+json"
JSON: Final = "application/json"

LONGEST_KEPT: Final = 512
"""Characters of a header in memory that chose already."""


def choose_media_type(accept: str | None) -> str | None:
    """GRAPHQL_RESPONSE, JSON, or None when neither is acceptable.

    A wildcard means JSON, which every client reads; the newer type is for those who name it. A range that names the
    type overrules a wildcard, so `application/json;q=0, */*` gets the newer type.
    """
    accept = accept or ""
    return _kept(accept) if len(accept) <= LONGEST_KEPT else _chosen(accept)


def _chosen(accept: str) -> str | None:
    if not accept.strip():
        return JSON
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        media, _, parameters = part.strip().lower().partition(";")
        ranges[media.strip()] = max(ranges.get(media.strip(), 0.0), quality(parameters))
    best: tuple[float, bool, bool] | None = None
    chosen: str | None = None
    for offer in (GRAPHQL_RESPONSE, JSON):
        named = next((name for name in (offer, "application/*", "*/*") if name in ranges), None)
        if named is None or ranges[named] == 0.0:
            continue
        exact = named == offer
        rank = (ranges[named], exact, (offer == GRAPHQL_RESPONSE) == exact)
        if best is None or rank > best:
            best, chosen = rank, offer
    return chosen


_kept = lru_cache(maxsize=MOST_KEPT)(_chosen)
