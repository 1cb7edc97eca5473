"""The limit: fetch and parse, nothing else."""
