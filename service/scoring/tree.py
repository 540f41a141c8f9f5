"""The indicator tree of one category (类别指标树): the nodes that apply to it, with whole-number weights.

Weights of a node's children are brought to whole numbers without a common factor; `share` is a node's part of the whole
(weights multiplied down the tree), by which coverage is reckoned.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from service.scoring.document import Indicator, Scheme
from service.scoring.rules.base import ScoredRule


@dataclass(frozen=True, slots=True)
class TreeNode:
    """A node as it stands for one category; `children` are places in the tree's list."""

    code: str
    children: tuple[int, ...]
    weights: tuple[int, ...]
    aggregation: str
    share: Fraction
    printed: Fraction
    """Points or weight as printed."""
    points: Fraction
    """Marks in which its score is shown: printed points, or 100 under RELATIVE; the root's full marks."""
    rule: ScoredRule | None
    full_marks: Fraction
    """F of a leaf; 0 means that it is only shown."""
    missing_policy: str
    not_applicable_policy: str

    @property
    def leaf(self) -> bool:
        """Whether it carries a rule."""
        return self.rule is not None


@dataclass(frozen=True)
class Tree:
    """Nodes in print order, the root first; children come after their parents."""

    category: str
    nodes: tuple[TreeNode, ...]
    places: dict[str, int]
    coverage_weights: tuple[int, ...]
    """Whole-number share of each leaf (0 for inner nodes)."""

    @property
    def leaves(self) -> list[int]:
        """Places of the leaves."""
        return [place for place, node in enumerate(self.nodes) if node.leaf]

    def below(self, place: int) -> list[int]:
        """Places of the leaves below a node, or of the leaf itself."""
        node = self.nodes[place]
        if node.leaf:
            return [place]
        return [leaf for child in node.children for leaf in self.below(child)]


def tree_of(scheme: Scheme, category: str) -> Tree:
    """The tree of a category."""
    listed: list[Indicator] = [node for node in scheme.scored if scheme.applies(node.code, category)]
    places = {node.code: place for place, node in enumerate(listed)}
    shares: dict[str, Fraction] = {scheme.root.code: Fraction(1)}
    nodes: list[TreeNode] = []
    for node in listed:
        children = [child for child in scheme.children(node.code) if child.code in places]
        weights = [scheme.weight_of(child.code, category) for child in children]
        total = sum(weights, Fraction(0))
        for child, weight in zip(children, weights, strict=True):
            shares[child.code] = shares[node.code] * weight / total if total else Fraction(0)
        nodes.append(
            TreeNode(
                node.code,
                tuple(places[child.code] for child in children),
                _whole(weights),
                node.aggregation,
                shares[node.code],
                scheme.full_marks if node.parent_code is None else scheme.weight_of(node.code, category),
                scheme.points_of(node.code, category),
                node.rule if isinstance(node.rule, ScoredRule) else None,
                scheme.full_marks_of(node.code, category) if node.rule else Fraction(0),
                scheme.missing_policy_of(node.code),
                scheme.not_applicable_policy_of(node.code),
            )
        )
    leaf_shares = [node.share if node.leaf else Fraction(0) for node in nodes]
    return Tree(category, tuple(nodes), places, _whole(leaf_shares))


def _whole(weights: list[Fraction]) -> tuple[int, ...]:
    common = lcm(*(weight.denominator for weight in weights))
    whole = [int(weight * common) for weight in weights]
    shared = gcd(*whole)
    return tuple(weight // shared for weight in whole) if shared else tuple(whole)
