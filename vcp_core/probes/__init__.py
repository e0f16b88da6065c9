"""Two probes and a ranking, which read frozen features. NumPy and SciPy only (PROTOCOL 4).

logistic.py  multinomial logistic regression; its L2 strength is chosen on held-out training videos
holdout.py   which training rows are held out
solver.py    the optimum of a penalised logistic regression
rows.py      the standardised rows of a fit, in bounded memory
knn.py       votes of the k nearest neighbours
ranking.py   nearest neighbours and retrieval by cosine similarity, in bounded memory
"""
