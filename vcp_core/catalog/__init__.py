"""Facts without torch: names and specs, and what many packages need that computes nothing.

Facts, each with its registry:
    backbones.py   networks, and the pixel baseline
    inputs.py      what a network takes in
    keys.py        how people's checkpoints name weights
    networks.py    which network of a file was used
    options.py     the options of a cloze question
    benchmarks.py  benchmarks and their metrics
    datasets.py    named datasets
    protocols.py   every number that fixes how benchmarks run
    training.py    every number that decides what training gives
    defaults.py    what is used where nothing is named
    reported.py    published numbers
    leaks.py       whether training data holds the test videos
    scores.py      the one definition of a score
    units.py       units, directions, and how numbers are written
    versions.py    versions of what decides numbers
    registry.py    a named collection: two of one name raise

Tools:
    errors.py      the tree of errors
    validation.py  what a value should have been, in words
    names.py       names of files, printable
    locations.py   where a dataset's videos lie, as it is written
    paths.py       the user's folders
    files.py       files that are whole or not there
"""
