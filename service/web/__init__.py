"""The pages: what people read in a browser. Routes, view models, templates, and all static files.

routes.py       the addresses of the pages
session.py      log in and out, light and dark
parameters.py   what the leaderboard's address says
leaderboard.py  the leaderboard
models.py       a model's checkpoints over its training
evaluation.py   one evaluation: results, or how far it is
comparison.py   two evaluations in pairs
figures.py      small figures inside tables
names.py        what metrics are called
power.py        which difference the test videos can show
errors.py       problems as pages
pages.py        how a page leaves: templates, headers, theme
"""
