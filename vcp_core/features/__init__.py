"""From clips to features: which clips, in which shards, forwarded once, and kept in files.

shards.py      the clips of a run, cut into shards; no torch
reading.py     the frames of videos, decoded beside the network; no torch
extraction.py  cut each clip once, forward it once; torch
bank.py        features of shards as files, of which benchmarks read rows; no torch
"""
