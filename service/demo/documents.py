"""GraphQL documents of the demo, one for each thing it reads or watches; mutations are made by `client.Api.mutate`."""

PAGE_INFO = "pageInfo { hasNextPage endCursor }"

TODAY = "query { tenant { today } }"

CATEGORIES = "query { categories { id code } }"

UNITS = f"""query($first: Int!, $after: String) {{
  orgUnits(first: $first, after: $after) {{ {PAGE_INFO} edges {{ node {{ id code }} }} }}
}}"""

MEMBERS = f"""query($first: Int!, $after: String) {{
  members(first: $first, after: $after) {{ {PAGE_INFO} edges {{ node {{ id signInName }} }} }}
}}"""

ITEMS = f"""query($first: Int!, $after: String) {{
  dataItems(first: $first, after: $after) {{ {PAGE_INFO} edges {{ node {{ id code }} }} }}
}}"""

SCHEMES = f"""query($first: Int!, $after: String) {{
  schemes(first: $first, after: $after) {{
    {PAGE_INFO} edges {{ node {{ id code versions {{ id number state version }} }} }}
  }}
}}"""

VERSION_CHECK = """query($id: ID!) {
  schemeVersion(id: $id) {
    id version
    faults { code message path hint severity }
    sums { indicator { code } category { code } expected actual balanced }
  }
}"""

INDICATORS = "query($id: ID!) { schemeVersion(id: $id) { indicators { id code } } }"

CYCLES = f"""query($first: Int!, $after: String) {{
  cycles(first: $first, after: $after) {{
    {PAGE_INFO}
    edges {{ node {{
      id code state version openingJob {{ id state }} latestRun {{ id state adopted }} publications {{ id kind number }}
    }} }}
  }}
}}"""

CYCLE = """query($id: ID!) {
  cycle(id: $id) {
    id code state version
    openingJob { id state }
    latestRun { id state adopted }
    publications { id kind number }
    stats { asked submitted submittedLate overdue ready returned accepted rejected notApplicable }
  }
}"""

CYCLE_UNITS = f"""query($first: Int!, $after: String, $id: ID!, $filter: CycleUnitFilter) {{
  cycle(id: $id) {{
    units(first: $first, after: $after, filter: $filter) {{
      {PAGE_INFO} edges {{ node {{ id code report {{ id version state }} }} }}
    }}
  }}
}}"""

TASKS = f"""query($first: Int!, $after: String, $id: ID!, $filter: TaskFilter) {{
  cycle(id: $id) {{
    tasks(first: $first, after: $after, filter: $filter) {{
      {PAGE_INFO}
      edges {{ node {{ id state unit {{ code }} dataItem {{ code }} entry {{ id version state }} }} }}
    }}
  }}
}}"""

ASSESSMENTS = f"""query($first: Int!, $after: String, $id: ID!, $filter: AssessmentFilter) {{
  cycle(id: $id) {{
    assessments(first: $first, after: $after, filter: $filter) {{
      {PAGE_INFO}
      edges {{ node {{
        id version state reviewable selfScore
        unit {{ code }}
        indicator {{ code }}
        inputs {{ task {{ id dataItem {{ code }} }} }}
        reviews(first: 1) {{ edges {{ node {{ decision }} }} }}
      }} }}
    }}
  }}
}}"""

JOB = "query($id: ID!) { job(id: $id) { id state percent message lastError } }"

JOB_CHANGED = """subscription($id: ID!) {
  jobChanged(id: $id) { cursor job { id state percent message lastError } }
}"""

RUN = """query($id: ID!) {
  rankingRun(id: $id) {
    id state unreviewedCount missingCount
    progress { stage percent unitsDone unitsTotal message } job { lastError }
  }
}"""

RUN_CHANGED = """subscription($id: ID!) {
  rankingRunChanged(id: $id) {
    cursor
    run {
      id state unreviewedCount missingCount
      progress { stage percent unitsDone unitsTotal message } job { lastError }
    }
  }
}"""

PUBLICATION = """query($id: ID!) {
  publication(id: $id) {
    id kind number title publishedAt digest objectionUntil
    dimensions { code name points }
    categories { name category { id } unitCount rankedCount highest median lowest }
  }
}"""

STANDINGS = f"""query($first: Int!, $after: String, $id: ID!) {{
  publication(id: $id) {{
    standings(first: $first, after: $after, orderBy: [{{field: RANK, direction: ASC}}]) {{
      {PAGE_INFO}
      edges {{ node {{
        total rank overallRank sharedBy status coverage latePenalty daysLate
        unit {{ code name pathNames }}
        category {{ id }}
        dimensions {{ indicator {{ code }} marks }}
        change {{ total rank }}
      }} }}
    }}
  }}
}}"""
