"""The seconds that each phase of a round took."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class RoundTimes:
    """Seconds by phase; 0 for a phase that a round does not have.

    The fields are the columns `seconds_*` of the trace, in this order. The code that does the work of a phase sets its
    field, and a row of the trace copies the fields when it is read.

    Attributes:
        broadcast: until the center had sent the query.
        compute, encode: of the slowest rank, all its workers together. Gradients that an audit after the round has
            computed, and that the next answers need, count as compute and not as audit.
        gather: the wait of the center beyond those two.
        forge: the work of an omniscient attacker; no part of the algorithm.
        aggregate: the rule and the update.
        audit, checkpoint: the work of these observers; audit has that of replay as well, as far as it was not done
            while the center waited.
    """

    broadcast: float = 0.0
    compute: float = 0.0
    encode: float = 0.0
    gather: float = 0.0
    forge: float = 0.0
    aggregate: float = 0.0
    audit: float = 0.0
    checkpoint: float = 0.0
