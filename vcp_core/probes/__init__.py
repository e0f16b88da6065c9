"""Two probes and a ranking, which read frozen features. NumPy and SciPy only (PROTOCOL 4).

logistic.py  multinomial logistic regression; its L2 strength is chosen on held-out training videos
knn.py       votes of the k nearest neighbours
ranking.py   nearest neighbours and retrieval by cosine similarity, in bounded memory
"""
