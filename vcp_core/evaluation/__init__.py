"""Checkpoint, dataset and protocol -> results.

    plan.py         what can run, which clips that takes, and results from their features; no torch
    running.py      the steps of a plan: network, features, predictions, results
    evaluate.py     all steps in one process
    controls.py     the random-weights control
    calibration.py  which training clips calibrate its batch-norm; no torch
    machine.py      device, threads, versions: what decides last digits

`vcpbench local` and `vcp_core.evaluate` call evaluate.py. Workers make a plan, and take the steps as jobs.
"""
