"""Training logs of models: routes, schemas, service."""
