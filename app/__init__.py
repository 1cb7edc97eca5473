"""What runs: settings, command line, logs, topics, HTTP, and the worker that wires it all."""
