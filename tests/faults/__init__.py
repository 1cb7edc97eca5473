"""What must not happen, tried: workers killed and suspended, brokers lost, and what comes out compared.

`python -m tests.faults` runs all of it. The scenarios are in `scenarios`, what they stand on is in `stage`,
what they find is an `Outcome`.
"""
