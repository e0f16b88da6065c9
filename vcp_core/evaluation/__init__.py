"""Evaluation: from a checkpoint, a dataset and a protocol to results.

    plan.py         which benchmarks can run, which clips they need, results from their features; no torch
    running.py      the steps of a plan: network, features, predictions, results
    evaluate.py     all steps in one process
    size.py         how many clips an evaluation comes to, and whether these are too many; no torch
    estimate.py     what an evaluation will take, from counts and rates; no torch
    rates.py        the seconds of each piece of work, as ranges; no torch
    measuring.py    the rates of this machine, and the estimate of an evaluation on it
    controls.py     the random-weights control
    calibration.py  which training clips calibrate its batch-norm; no torch
    gallery.py      strips of frames of the videos behind a result; no torch
    machine.py      device, threads, versions, which decide the last digits

`vcpbench local` and `vcp_core.evaluate` call evaluate.py. Workers make a plan and run each step as a job.
"""
