"""Models: routes, schemas, service (names, tags, who sees them)."""
