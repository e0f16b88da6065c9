"""A generated dataset of UCF101's shape, for measurements at real size.

scenes.py      pictures of a scene, and a file of them as UCF101's are encoded
"""
