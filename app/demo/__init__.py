"""The demo: an embedded broker, a synthetic semester, a real worker, its alerts, and figures that add up.

`stage` runs it, `folder` is all that it leaves behind, `figures` counts and checks, `screen` shows it.
"""
