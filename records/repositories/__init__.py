"""All SQL. Repositories query and write. Flow and services decide. The session's owner commits.

jobs.py         queued, claimed, renewed, ended
many_jobs.py    the jobs of a plan, queued in one statement
turns.py        which job is next
pauses.py       queues and kinds of which nothing is claimed
operating.py    every job, for operators: listed, queued again, cancelled, purged
quotas.py       what a team uses, and what it may use
remakes.py      jobs that are done again, because their object was damaged
queue.py        the queue as one evaluation sees it
attempts.py     what happened to jobs since an earlier look
workers.py      the workers that were seen lately
progress.py     how far an evaluation is, and when it ends
rates.py        how long the pieces of the last evaluations took
checkpoints.py  models' checkpoints, and their parts while they are uploaded
models.py       models, each with its newest checkpoint
names.py        current and former names of models, and tags
aliases.py      where aliases point, and where they pointed
datasets.py     datasets and protocols
evaluations.py  evaluations, their scores and predictions
shards.py       which clips are forwarded already, or will be
comparisons.py  two evaluations compared
media.py        previews: found, asked for, forgotten
maps.py         the test videos of an evaluation in two dimensions
live.py         jobs that readers asked for and that no worker has ended
many_comparisons.py  many evaluations compared with a baseline and in all pairs
leaderboard.py  results of one dataset, protocol and engine
leaderboard_choices.py  which leaderboards there are, and what one can be asked for
logs.py         training logs of models
notes.py        notes on evaluations
shares.py       links that read one page
views.py        saved views of pages
events.py       what happened, and notices to watchers
notices.py      listen to those notices
webhooks.py     webhooks, and the outbox of their deliveries
audit.py        who changed what
tokens.py       API tokens
visibility.py   what a reader may see: private models and all that belongs to them are hidden
sign_ins.py     browsers in which people signed in
copies.py       whole tables as text, and the objects that they name, for backups
objects.py      which objects of the store the rows name
retained.py     what can be made again: oldest use first, and its names taken off the rows
sizes.py        sizes by team, dataset and kind
deletions.py    what a deletion takes: counted, and deleted
tombstones.py   ids of what was deleted
locks.py        advisory locks: taken, and asserted
"""
