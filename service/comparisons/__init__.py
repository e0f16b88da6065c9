"""Two evaluations in pairs."""
