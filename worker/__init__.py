"""Workers: a Celery process that is woken, claims jobs, and has a child process do the heavy part."""
