"""Arithmetic that the rules and the snapshot share, and how figures read in a sentence.

Scores may be any finite numbers, so a sum may leave a float's range; what is not finite is unknown.
"""

import math
from collections.abc import Sequence
from operator import mul

from tables.scores import DAY_MS, Submission

_HOUR_MS = 3_600_000
_MINUTE_MS = 60_000


def difference(minuend: float, subtrahend: float) -> float:
    """Return the difference as the rules compare it: to 6 decimals, past the noise of binary fractions."""
    return round(minuend - subtrahend, 6)


def finite(number: float) -> float | None:
    """Return the number, or null when it is infinite or no number."""
    return number if math.isfinite(number) else None


def mean(numbers: Sequence[float]) -> float | None:
    """Return the arithmetic mean; null when there is none."""
    if not numbers:
        return None
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return None


def slope(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return the slope of the least squares line; null when the xs, which do not fall, are all the same.

    There are as many xs as ys.
    """
    if xs[0] == xs[-1]:
        return None
    try:
        mean_x = math.fsum(xs) / len(xs)
        mean_y = math.fsum(ys) / len(ys)
        from_mean = [x - mean_x for x in xs]
        rise = math.fsum(map(mul, from_mean, [y - mean_y for y in ys]))
        return finite(rise / math.fsum(map(mul, from_mean, from_mean)))
    except (OverflowError, ValueError):  # ValueError: infinities of both signs
        return None


def percent(score: float | None, points_possible: float | None) -> float | None:
    """Return the score as percent of the points to be had; null where there are none."""
    if score is None or points_possible is None or points_possible <= 0:
        return None
    percents = 100 * score / points_possible
    return percents if math.isfinite(percents) else None


def recent_percents(submissions: Sequence[Submission], count: int) -> dict[str, float]:
    """Return the percents, by submission, of the newest `count` graded ones worth points, newest first.

    Graded is a submission that is complete, has a score, and is posted.
    """
    percents: dict[str, float] = {}
    for submission in reversed(submissions):
        if submission.complete and not submission.muted:
            known = percent(submission.score, submission.points_possible)
            if known is not None:
                percents[submission.submission_id] = known
                if len(percents) == count:
                    break
    return percents


def as_text(number: float) -> str:
    """Return a number for a sentence: two decimals at most, such as 78.7."""
    return f"{round(number, 2) + 0.0:.12g}"  # adding 0.0 makes of -0.0 a 0.0


def points_text(number: float) -> str:
    """Return a number of points for a sentence, such as `1 point` or `12.5 points`."""
    text = as_text(number)
    return f"{text} point" if text == "1" else f"{text} points"


def duration_text(milliseconds: int) -> str:
    """Return a duration for a sentence, such as `7 days` or `90 minutes`, in the largest whole unit."""
    count, unit = milliseconds, "millisecond"
    for unit_ms, name in ((DAY_MS, "day"), (_HOUR_MS, "hour"), (_MINUTE_MS, "minute"), (1_000, "second")):
        if milliseconds >= unit_ms and milliseconds % unit_ms == 0:
            count, unit = milliseconds // unit_ms, name
            break
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
