"""Links that read one page without a token: routes, schemas, service."""
