"""Workers: a Celery process that is woken, claims jobs, and has a child process do the heavy part.

app.py         the process: starts everything, ends it in order
passwords.py   keep passwords out of the environment that /proc shows
job_loop.py    claim a job, do it, claim the next
background.py  beside the jobs: say that we are here, take back lost jobs, look for work
deliveries.py  send the deliveries of webhooks
payloads.py    what a webhook sends, and its signature
sending.py     one request to an address that was checked
tasks/         what each kind of job does
work.py        what a task may use: rows, objects, the child, one transaction at its end
leases.py      keep a claimed job, notice that it is lost
runner.py      start the child process, talk to it, kill it
child.py       what runs in the child: torch is here
walling.py     walls around a child that reads what is foreign
planning.py    what the child does to plan an evaluation; no torch
scratch.py     the worker's folder of temporary files
memory.py      how much memory a child may take
disk.py        recognise a full disk
health.py      was a worker of this machine seen lately?
"""
