"""The pages for people: routes, view models, templates, and static files.

routes.py       the addresses of the pages
session.py      log in and out, light and dark
signing_in.py   sign in at the OpenID Connect provider
tokens.py       tokens of a team
parameters.py   the parameters of the leaderboard's address
leaderboard.py  the leaderboard
lead.py         which row of a leaderboard is the best, in words
columns.py      the columns that it can show, in groups
models.py       a model's checkpoints over its training
courses.py      the charts of this page
evaluation.py   one evaluation: results, or how far it is
gallery.py      the videos behind a number
submitting.py   what an evaluation would take, on the page that says how to submit
uploading.py    what that page's script sends: a file, and a request for an evaluation
comparison.py   two evaluations in pairs
map.py          a map of the test videos, and a list of them
map_routes.py   the addresses of maps
scatter.py      how a map is drawn
many.py         many evaluations: against a baseline, and in all pairs
multiples.py    profiles that are drawn side by side
writing.py      forms that change something: notes, tags, names, aliases, links, views, tokens, webhooks
operating.py    the page of administrators, and its forms
hooks.py        the webhooks of a team, with their last deliveries
deleting.py     the page that deletes: what would go, and the name to type
naming.py       notes, aliases and links of an evaluation
sizes.py        what is in the store
shared.py       one page for whoever has its link
pictures.py     charts at addresses of their own, and badges
svg.py          how these are drawn
figures.py      small figures inside tables
names.py        names of metrics
power.py        the smallest difference that the test videos can show
errors.py       problems as pages
pages.py        templates, headers and theme of every page
"""
