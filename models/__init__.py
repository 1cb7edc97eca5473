"""What flows: raw events as Canvas sends them, and the records, alerts and snapshots made of them."""
