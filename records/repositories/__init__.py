"""All SQL that reads: repositories query, services decide, neither commits."""
