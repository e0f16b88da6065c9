"""Models: routes, schemas, service (names and tags)."""
