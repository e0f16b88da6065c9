"""From video files to frames and clips.

examine.py     decode a whole file once, and count what comes out
decode.py      frames of a file, by PyAV
streams.py     which stream of a file is its video
display.py     how a frame is turned and mirrored to be shown
cut.py         whether a file ends before its container does
reasons.py     the sentences that say why a file cannot be used
frames.py      one frame: resized, cropped, converted to RGB
resize.py      the resize of a plane, in exact arithmetic
colour.py      the colour conversion of a frame's planes
_kernel.c      the compiled form of resize.py and colour.py
clips.py       where the clips of a video start
operations.py  the operations of cloze questions on clips; the only module here that loads torch
"""
