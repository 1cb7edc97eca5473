"""Gradewatch beside its peers: the same job on the same topics, measured from outside."""
