"""What operators do by hand: see the queue, the workers and sessions, and change them.

service.py    jobs, evaluations and checkpoints: queued again, cancelled, purged
queues.py     queues and kinds paused, workers drained
sign_ins.py   sessions of people: listed, ended
"""
