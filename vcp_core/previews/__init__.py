"""Previews: what a network sees of a video, and of a cloze question, as pictures and short videos for people.

making.py    previews of a dataset's videos and questions, from the frames that features come from
encoding.py  frames -> WebP and WebM
"""
