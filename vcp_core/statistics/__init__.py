"""Intervals and tests, all from the answers to single videos (PROTOCOL 5). NumPy and SciPy only.

    means.py      a metric: a weighted mean of one value per row, or a function of the rows' weights
    units.py      the units that are resampled whole, and the correlation of answers within one
    shares.py     the interval of one score
    paired.py     gains and losses: the interval of a difference, and the test that it inverts
    smooth.py     a check that a function of weights is one for which leaving out units gives an interval
    contrasts.py  the differences of two evaluations, metric by metric
    several.py    p-values of several comparisons
    power.py      the smallest detectable difference, and the number of videos that a question needs

Legend: N rows, U units, M metrics.
"""
