"""Torch-free facts: names and specs of backbones, options, benchmarks, protocols; and the errors."""
