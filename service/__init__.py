"""The REST API and the pages. This package never loads torch.

Each subject has a folder: routes.py speaks HTTP, schemas.py defines the JSON, service.py decides.

    admin/         what operators do by hand: queues, workers, jobs
    aliases/       a team's words for checkpoints
    answers/       what an evaluation answered, video by video
    audit/         who changed what
    checkpoints/   upload and find checkpoints
    comparisons/   evaluations in pairs: two, or many with a baseline
    datasets/      register and retire datasets
    deletions/     delete evaluations, checkpoints, models and retired datasets
    estimates/     what an evaluation would take
    evaluations/   ask for evaluations, follow and cancel them
    events/        what happened: a list, a stream, and verdicts of gates
    leaderboard/   results of one dataset, protocol and engine
    logs/          training logs of models
    maps/          the test videos of an evaluation in two dimensions
    media/         previews of videos and questions
    models/        models, each with its newest checkpoint; their names and tags, and who sees them
    notes/         plain text on evaluations
    protocols/     register protocols
    quotas/        what a team uses and may use
    shares/        links that read one page without a token
    sizes/         what is in the store, by team, dataset and kind
    tokens/        API tokens of a team
    views/         names for addresses of pages
    webhooks/      addresses that are told of events, and their deliveries
    web/           the pages for people
    app.py         the application
    deps.py        the arguments that routes get: session, store, settings
    visible.py     what the sender of a request may see
    auth.py        who sends a request, and with which role
    oidc.py        sign-in at an OpenID Connect provider
    auditing.py    note who changed what, with the change
    whoami.py      whose token is it?
    parameters.py  the parameters that a query may hold
    body.py        the base of every body of a request
    forms.py       the types of names in requests
    references.py  how a request names a checkpoint or an evaluation
    connections.py how many connections there may be, and how slow each
    gone.py        what was deleted, and when
    room.py        what a team may have under way at a time
    limits.py      the ceilings of requests, each with its reason
    request_rates.py how many requests a token may send
    request_context.py the id of a request, in logs, answers and traces
    timing.py      how long a response took
    problems.py    errors as responses (RFC 9457)
    wording.py     what is wrong with a request, in sentences
    reasons.py     the text of an error, for one reader
    health.py      health, readiness, queues, workers
    metrics.py     what Prometheus collects
    job_metrics.py what Prometheus collects about jobs
"""
