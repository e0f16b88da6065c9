"""The CI gate: judge a checkpoint by rules about its scores."""
