"""From video files to frames and clips; no torch."""
