"""What an evaluation answered, video by video.

stored.py      stored answers in a compact form, which is kept in memory
wanted.py      the parameters of a request: which answers, in which order
choosing.py    find the wanted answers among the stored ones
schemas.py     answers as clients see them
service.py     a page of answers
routes.py      /v1/evaluations/ID/answers
"""
