"""The application: routes of every domain, and one handler for errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI

from records import kept, migrate, tracing
from records.db import Database
from records.settings import Settings
from records.storage import Storage
from records.wakeups import WakeUps
from service import health, metrics, problems, whoami
from service.admin.routes import router as operators
from service.aliases.routes import router as aliases
from service.answers.routes import router as answers
from service.audit.routes import router as audit
from service.auth import reader
from service.checkpoints.open_uploads import OpenUploads
from service.checkpoints.routes import router as checkpoints
from service.comparisons.routes import router as comparisons
from service.datasets.routes import router as datasets
from service.deletions.routes import router as deletions
from service.estimates.routes import router as estimates
from service.evaluations.routes import router as evaluations
from service.events.hub import Hub
from service.events.routes import router as events
from service.leaderboard.routes import router as leaderboard
from service.limits import BodyLimit
from service.logs.routes import router as logs
from service.maps.routes import router as maps
from service.media.routes import router as media
from service.models.routes import router as models
from service.notes.routes import router as notes
from service.oidc import Provider
from service.parameters import describe, known_words
from service.protocols.routes import router as protocols
from service.quotas.routes import router as quotas
from service.request_context import RequestContext
from service.request_rates import RequestRates
from service.shares.routes import router as shares
from service.sizes.routes import router as sizes
from service.timing import ServerTiming
from service.tokens.routes import router as tokens
from service.views.routes import router as views
from service.web import routes as web
from service.webhooks.routes import router as webhooks

# One for each of the 40 threads that run requests (anyio), and two for /v1/health and /readyz. The connection
# that listens for watchers (service/events/hub.py) is beside these. PostgreSQL takes 100.
MAX_CONNECTIONS = 42
LOCK_TIMEOUT_S = 10.0  # a request that waits longer gets 503; workers have no such limit
STATEMENT_TIMEOUT_S = 20.0  # waiting for locks included; no request costs the database more at once
DESCRIPTION = """
What can the representation of a video network do? Send a checkpoint, name a dataset and a protocol, read
scores with intervals.

```
curl -T model.pt "$URL/v1/checkpoints/upload?model=my-model" -H "Authorization: Bearer $TOKEN"
curl "$URL/v1/evaluations" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
     -d '{"checkpoint": "my-model@latest", "dataset": "playground-136", "protocol": "quick-v1"}'
curl "$URL/v1/evaluations/ID" -H "Authorization: Bearer $TOKEN"
```

A score's `unit` says what its numbers are: percent, points, or plain numbers. Every error is a problem
(RFC 9457). Its `detail` says what happened, to which thing, and what to do next.
"""
TAGS = [
    {"name": "checkpoints", "description": "Weights: declared, uploaded (in parts if need be), recognised."},
    {"name": "models", "description": "Named series of a team's checkpoints."},
    {
        "name": "logs",
        "description": "Curves over training steps, which a model's page shows beside its scores.",
    },
    {"name": "aliases", "description": "A team's words for checkpoints, such as `@champion`."},
    {"name": "evaluations", "description": "One checkpoint on one dataset under one protocol."},
    {"name": "notes", "description": "Plain text on evaluations, for everybody who reads them."},
    {"name": "shares", "description": "Links that read one page without a token, until they expire."},
    {"name": "views", "description": "A team's names for addresses of pages with their filters."},
    {"name": "events", "description": "What happened: a list, and a stream of server-sent events."},
    {"name": "webhooks", "description": "Addresses that are told of a team's events."},
    {"name": "leaderboard", "description": "Finished evaluations of one dataset and protocol, side by side."},
    {"name": "datasets", "description": "Videos that the workers can read."},
    {"name": "media", "description": "Previews of videos and of cloze questions, as a network sees them."},
    {"name": "protocols", "description": "The numbers that determine how the benchmarks run."},
    {"name": "tokens", "description": "Who may use this server, and what each token may do."},
    {"name": "operation", "description": "The state of the service, its queues and its workers."},
]


def create_app(settings: Settings) -> FastAPI:
    """Make the service, with the database, broker and store that these settings name.

    Raises:
        StorageError: If there is no such store.
    """
    app = without_engines()
    connect(app, settings)
    return app


def without_engines() -> FastAPI:
    """Make an application of routes, handlers and pages. It can answer only after `connect`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.hub.close()
        app.state.request_rates.close()
        app.state.database.dispose()
        tracing.shut_down()

    app = FastAPI(
        title="vcpbench",
        version=version("vcpbench"),
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        license_info={"name": "Apache-2.0"},
        openapi_url=None,  # service.web serves it by a route of ours, which refuses unknown parameters
        docs_url=None,  # FastAPI's page loads scripts from another host; service.web has a page that does not
        redoc_url=None,
        dependencies=[Depends(known_words)],
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(ServerTiming)
    app.add_middleware(RequestContext)  # the last one is the outermost
    problems.install(app)
    describe(app)
    v1 = APIRouter(
        prefix="/v1", responses=problems.responses(*problems.EVERYWHERE), dependencies=[Depends(reader)]
    )
    for router in (
        checkpoints,
        models,
        logs,
        aliases,
        evaluations,
        answers,
        estimates,
        comparisons,
        maps,
        notes,
        shares,
        views,
        events,
        webhooks,
        audit,
        leaderboard,
        datasets,
        deletions,
        media,
        protocols,
        quotas,
        operators,
        sizes,
        health.router,
        metrics.router,
        whoami.router,
        tokens,
    ):
        v1.include_router(router)
    app.include_router(v1)
    app.include_router(health.open_router)
    web.install(app)
    return app


def connect(app: FastAPI, settings: Settings) -> None:
    """Connect the application to the database, broker and store of these settings, replacing earlier ones.

    Raises:
        SettingsError: If the sign-in provider is not named completely.
        StorageError: If there is no such store.
    """
    kept.forget_all()  # of another database
    app.state.settings = settings
    app.state.provider = Provider.of(settings)
    app.state.open_uploads = OpenUploads()
    app.state.request_rates = RequestRates(settings)
    app.state.readiness = None
    app.state.metrics = metrics.Metrics()
    app.state.storage = Storage(settings.store_url)
    app.state.database = Database(
        settings.database_url.get_secret_value(),
        on_new_jobs=WakeUps(settings).send,
        lock_timeout_s=LOCK_TIMEOUT_S,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
        max_connections=MAX_CONNECTIONS,
    )
    app.state.hub = Hub(settings, app.state.database)


def checked_app(settings: Settings) -> FastAPI:
    """Make the service, and check its database's schema.

    Raises:
        SchemaError: If the schema is not the one that this version needs, or the database is away.
    """
    app = create_app(settings)
    migrate.check(app.state.database)
    return app
