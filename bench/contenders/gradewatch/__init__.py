"""Gradewatch itself, as it is deployed."""
