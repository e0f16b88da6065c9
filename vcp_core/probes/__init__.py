"""What reads frozen features: two probes, and a ranking. NumPy and SciPy only (PROTOCOL 4).

logistic.py  multinomial logistic regression, its strength chosen on training videos that are held out
knn.py       votes of the k nearest neighbours
ranking.py   nearest neighbours and retrieval by cosine similarity, in bounded memory
"""
