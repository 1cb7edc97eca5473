"""What rules would have said about recorded events: replayed, counted and reported, without a worker.

The way of an event: `lines` or `topic` gives its bytes, `replay` reads, folds and judges it with the models,
tables and rules of the worker, `tally`, `comparison` and `truth` count what came of it, and `report` sums it
up for `screen` and `page`.
"""
