"""Workers: a Celery process that is rung, claims jobs, and has a child process do the heavy part."""
