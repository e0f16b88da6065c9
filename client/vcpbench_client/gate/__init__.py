"""The CI gate: may this checkpoint pass?"""
