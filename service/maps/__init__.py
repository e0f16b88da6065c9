"""The test videos of an evaluation in two dimensions."""
