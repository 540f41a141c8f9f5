"""Documents as frontends write them for a board."""

BOARD = """
query Board($id: ID!, $first: Int = 100, $after: String) {
  publication(id: $id) {
    title kind number current digest publishedAt
    disclosure { totals ranks grades dimensions }
    dimensions { code name }
    categories { name unitCount highest median quotas { places used grade { name } } }
    standings(first: $first, after: $after) {
      totalCount
      pageInfo { hasNextPage endCursor }
      edges { node { id rank sharedBy total status coverage unit { code name pathNames category { name } }
                     proposedGrade { name } decidedGrade { name }
                     dimensions { indicator { code } marks score } } }
    }
  }
}"""

OWN_BOARD = "query Own($id: ID!) { publication(id: $id) { title ownStandings { rank total unit { code } } } }"

RANKS = """
query Ranks($id: ID!) { publication(id: $id) { title standings(first: 100) { edges { node { rank total } } } } }"""

MANIFEST_TEXTS = (BOARD, OWN_BOARD, RANKS)
