"""The board: routes, schemas, decisions, and tables for papers."""
