"""What the root distribution runs: commands today, the embedded engines with the service."""
