"""One file a step; docs/operating.md says how a new one is made."""
