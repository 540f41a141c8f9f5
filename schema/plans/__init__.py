"""Reading plans (读取计划): a query is compiled into one SQL statement that gives the JSON of its answer.

The declarations of `schema.declarations` say where each field lives; the stock resolvers answer them row by row, a plan
answers all of them at once, and both give the same JSON. The door is `run.Plans`. Inside, in the order of work:

    collect     which fields an operation chooses, by type, with fragments, @skip and @include settled
    arguments   what the fields' arguments say for these variables: values, and what of them shapes the SQL
    compile     the SQL of objects, relations and lists; `paging` that of connections, `scalars` that of values,
                `texts` joins it all; `rows` is what stands in FROM, `plan` what comes out
    blanks      what Python reckons, filled into what a statement gave
    cache       selections and plans that are kept, bounded
    run         one statement in the tenant's snapshot, or back to the stock executor, counted by reason
    checks      at start: every declaration is held against the database's catalogue

Whatever a plan can't prove to be the same runs in the stock executor (`reasons`): a fault in an argument, a null where
there must be none, a Python resolver.
"""
