"""The results of an evaluation, and tools to read and compare them. No torch.

    types.py         predictions, scores, provenance: the JSON of a result
    answers.py       what was answered for each test video, and whether it was right
    diagnosis.py     sentences about the scores
    reproduction.py  whether two results of the same checkpoint, dataset and protocol agree
    notebook.py      data frames, and the table that a notebook shows
    plots.py         pictures: profile, confusion, course

The class of a single score is `vcp_core.catalog.scores.Score`. The API, the tables and the pages use it, too.
"""
