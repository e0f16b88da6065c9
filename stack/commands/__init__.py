"""The commands that the root distribution adds to `vcpbench`."""
