"""The job as the documentation of Faust teaches."""
