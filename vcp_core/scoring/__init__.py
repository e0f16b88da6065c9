"""From predictions to numbers: scores, differences, means, each with its interval (PROTOCOL 5). No torch.

    scores.py             the scores of one evaluation
    comparison.py         two or more evaluations of the same videos
    stored_comparison.py  the comparison of two evaluations, as a worker stores it
    maps.py               the test videos in two dimensions, near where features are alike
    stored_many.py        the comparison of many evaluations, as a worker stores it
    splits.py             the mean over the splits of a dataset

Intervals and tests are in `vcp_core.statistics`. Metrics are defined in `vcp_core.benchmarks.metrics`.
"""
