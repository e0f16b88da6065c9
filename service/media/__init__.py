"""Previews of videos and of cloze questions: their addresses, and what a worker has made of them."""
