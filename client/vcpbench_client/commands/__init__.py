"""The client's own commands. They import what they need when they run, so that `--help` is quick."""
