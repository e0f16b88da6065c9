"""What an evaluation gives, and what can be read in it. No torch.

    types.py         predictions, scores, provenance: the JSON of a result
    diagnosis.py     the scores in words
    reproduction.py  two results of the same checkpoint, dataset and protocol: do they agree?

A single score is `vcp_core.catalog.scores.Score`, which the API, the tables and the pages share.
"""
