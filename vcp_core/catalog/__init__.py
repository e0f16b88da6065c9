"""Facts, and small tools that many packages share. Importing them is cheap: nothing here loads torch.

Facts, each with its registry:
    specs.py       what a network's facts are, and the pixel baseline's
    backbones.py   every network's facts
    hara.py        the facts of Hara's networks, which are many
    inputs.py      the declared input of a network: frames, size, normalisation
    keys.py        how published checkpoints name the weights of a network, and what else their projects fix
    variants.py    facts about a network that no tensor shows, by the word that a user gives
    normalisation.py  how pixel values are normalised
    readings.py    the facts of one checkpoint's network, and which of them are assumed
    graphs.py      the facts that a graph (.pt2) brings with it
    networks.py    which network of a checkpoint file was used
    options.py     the options of a cloze question
    benchmarks.py  benchmarks and their metrics
    datasets.py    named datasets
    protocols.py   every number that fixes how benchmarks run
    ceilings.py    how large these numbers, and a plan, may be
    training.py    every number that fixes how training runs
    defaults.py    the default dataset and protocol
    reported.py    published numbers
    logs.py        training logs: curves over training steps, as CSV
    leaks.py       whether training data holds the test videos
    previews.py    previews of videos: their addresses, and their bounds
    scores.py      the one definition of a score
    units.py       units, directions, and how numbers are written
    versions.py    versions of the code that decides scores
    registry.py    a collection by name: two of one name raise

Tools:
    errors.py      the tree of errors
    validation.py  pydantic's errors in plain words
    names.py       names of files, made printable
    locations.py   a dataset's location, checked before any disk is read
    paths.py       the user's folders
    reach.py       the files that reading a dataset may open
    files.py       writing a file whole or not at all
"""
