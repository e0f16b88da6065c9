"""What the root distribution adds to the `vcpbench` command."""
