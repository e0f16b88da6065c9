"""What service and worker share: rows, objects, jobs. No torch, no HTTP.

flow.py        what follows from what: the states of evaluations, and all that moves them
repositories/  all SQL
models/        the tables
db.py          the engine, short sessions, the database's clock
migrate.py     is the schema the newest? make it so
storage.py     objects: checkpoints, features, reports
wakeups.py     messages that wake workers
settings.py    settings, from the environment
logs.py        logs, for people or as JSON
"""
