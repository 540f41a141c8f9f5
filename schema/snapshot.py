"""The printed schema, schema/schema.graphql: the public surface as a file under review (`make schema`) (接口快照)."""

from pathlib import Path

from graphql import DirectiveDefinitionNode, TypeDefinitionNode, parse, print_ast

from schema.schema import build_schema

SNAPSHOT = Path(__file__).with_name("schema.graphql")


def snapshot() -> str:
    """Types by name, fields as declared.

    The declaration of @oneOf is left out: it is built into GraphQL, and has no description. Strawberry's own sorting is
    not used: it makes enumerations plain ones, which no longer know their Python members.
    """
    printed = parse(build_schema().as_str())
    definitions = [each for each in printed.definitions if not isinstance(each, DirectiveDefinitionNode)]
    definitions.sort(key=lambda each: each.name.value if isinstance(each, TypeDefinitionNode) else "")
    return "\n\n".join(print_ast(each) for each in definitions) + "\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(snapshot(), encoding="utf-8")
