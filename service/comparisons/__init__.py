"""Evaluations in pairs: two of them, or many with a baseline.

routes.py        the addresses
schemas.py       two evaluations, as clients see them
service.py       find the comparison of two, or have it made
many_schemas.py  many evaluations, as clients see them
many.py          find the comparison of many, or have it made
"""
