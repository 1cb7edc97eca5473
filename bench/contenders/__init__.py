"""The contenders, each in a folder of its own; `job` is what the Python peers share."""
