"""Notes on evaluations: routes, schemas, service."""
