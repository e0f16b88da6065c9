"""The code that service and worker share: rows, objects, jobs. It loads no torch and speaks no HTTP.

flow.py        the states of evaluations, and every change of them
events.py      events of what happened, and their JSON
destinations.py where webhooks may lead
deletion.py    delete evaluations, checkpoints, models and datasets
sweep.py       one sweep of an installation: unfinished uploads, retention, orphans
retention.py   what can be made again goes when it was not used for long, or there is no room
orphans.py     objects that no row names are deleted
damage.py      what happens when features are damaged in the store
repositories/  all SQL
models/        the tables
db.py          the engine, short sessions, the database's clock
backup.py      back up into a folder, and restore from there
migrate.py     check the schema, and bring it up to date
storage.py     objects: checkpoints, features, reports
kept.py        values that never change, kept in memory
wakeups.py     messages that wake workers
settings.py    settings, from the environment
logs.py        logs, for people or as JSON
tracing.py     traces by OpenTelemetry, if a collector is named
"""
