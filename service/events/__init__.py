"""What happened: a list, a stream, and the verdicts of gates."""
