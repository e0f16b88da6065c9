"""Ordinary requests and files that could once stop everybody, against a running installation.

watch.py looks meanwhile at what another team sees, and at memory. requests.py and files.py have the attacks.
"""
