"""Datasets: routes, schemas, decisions."""
