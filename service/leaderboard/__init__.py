"""The board: routes, schemas, decisions."""
