"""From video files to frames and clips.

examine.py     decode a whole file once, and say what it holds
decode.py      frames of a file, by PyAV
streams.py     which stream of a file is its video
display.py     how a frame is turned and mirrored to be shown
cut.py         whether a file ends before its container does
reasons.py     why a file cannot be used, in words for its owner
frames.py      one frame: resized, cropped, converted to RGB
clips.py       where clips start
operations.py  what a cloze question does to a clip; the only module here that loads torch
"""
