"""Intervals and tests, all from the answers to single videos (PROTOCOL 5). NumPy and SciPy only.

    means.py      a metric as a weighted mean of a value a row, or as a function of weights
    units.py      what varies as a whole, and how alike the answers within it are
    shares.py     the interval of one score
    paired.py     gains and losses: the interval of a difference, and the test that it inverts
    contrasts.py  the differences of two evaluations, metric by metric
    several.py    p-values of several comparisons
    power.py      which difference the videos would find, and how many videos a question takes

Legend: N rows, U units, M metrics.
"""
