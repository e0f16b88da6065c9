"""Measurements that README and docs quote; each module prints what it measured."""
