"""What runs: the Faust agents, their topics and tables, and what they count."""
