"""A seeded, realistic Canvas semester as raw Live Events.

`Semester(Options(...)).events()` yields `RawEvent`s; `.labels()` says which students truly decline.
"""

from app.semester.envelope import RawEvent
from app.semester.options import Options
from app.semester.semester import Label, Semester

__all__ = ["Label", "Options", "RawEvent", "Semester"]
