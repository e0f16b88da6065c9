"""A generated dataset of UCF101's shape, for measurements at real size.

manifest.py    names, classes, groups, sides and lengths, without files
scenes.py      pictures of a scene, and a file of them as UCF101's are encoded
videos.py      files of a dataset, or of a part of it
features.py    made-up features of a network
scoring.py     measures the scoring of a network
twin.py        compares the solver of linear probes with its slow twin
service.py     runs an evaluation through the whole service
account.py     what that evaluation cost, from rows, files and reports
"""
