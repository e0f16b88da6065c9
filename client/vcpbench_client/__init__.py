"""The vcpbench command line and, with the service, its HTTP client; no torch, no server code."""
