"""The REST API and the pages; never torch.

Each subject has a folder: routes.py speaks HTTP, schemas.py says how JSON looks, service.py decides.

    checkpoints/   upload and find checkpoints
    comparisons/   two evaluations in pairs
    datasets/      register and retire datasets
    evaluations/   ask for evaluations, follow and cancel them
    leaderboard/   results that stand together
    models/        models, each with its newest checkpoint
    protocols/     register protocols
    web/           the pages for people
    app.py         the application, and its metrics
    deps.py        what routes are given: session, store, settings
    auth.py        tokens and teams
    whoami.py      whose token is it?
    parameters.py  which words an address may hold
    forms.py       text that requests name things by, as types
    references.py  what a request may call a checkpoint or an evaluation
    limits.py      how long a body may be
    problems.py    errors as responses (RFC 9457)
    wording.py     what is wrong with a request, in sentences
    reasons.py     the text of an error, for one reader
    health.py      health, queues, workers
"""
