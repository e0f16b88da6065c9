"""A package of networks as a user might have it. Tests copy it into a folder, and export from there."""
