"""The client's own commands; what they need is loaded when they run, so that `--help` is quick."""
