"""What operators do by hand: see the queue and the workers, and change both. routes, schemas, services.

service.py    jobs, evaluations and checkpoints: queued again, cancelled, purged
queues.py     queues and kinds paused, workers drained
"""
