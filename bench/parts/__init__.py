"""The parts of the benchmark; each adds what it measured to the session's details and to the results."""
