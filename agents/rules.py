"""Which rules are active: replaced as a whole while the agents run."""

from agents.metrics import Metrics
from tables.rulebook import Rulebook


class ActiveRules:
    """The rules that agents judge by; each takes `book` once per chunk, so a chunk has one set of rules."""

    def __init__(self, book: Rulebook, metrics: Metrics) -> None:
        self._metrics = metrics
        self.book = book
        metrics.use_rules(book.digest)

    def replace(self, book: Rulebook) -> None:
        """Judge by other rules from the next chunk on."""
        self.book = book
        self._metrics.use_rules(book.digest)
