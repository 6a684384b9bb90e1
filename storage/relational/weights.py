"""The number of records that one record stands for, as a column of rows and of the keys of rollups.

Strategy: a weight is stored in millionths above 1. So it is 0, like null, for every record that no
rule has thinned out. Rollups have whole numbers of stored records, separate by weight, and readers
multiply. A store that never had a weight other than 1 is read as if it had no weights
(`HAS_WEIGHTS`).
"""

from typing import Final

from storage.relational.sql import Dialect

COLUMN: Final = "weight"
HAS_WEIGHTS: Final = 1 << 40
"""The bit of a store's `capped_dimensions` for records with a weight other than 1."""
_MILLION: Final = 1_000_000


def weight_code(weight: float) -> int:
    """Return the stored form of a weight."""
    if weight == 1:
        return 0
    return round((weight - 1) * _MILLION)


def weight_of(code: int | None) -> float:
    """Return the weight of a stored form."""
    if code:
        return round(1 + code / _MILLION, 6)
    return 1.0


def first_code(least: float) -> int:
    """Return the stored form of the lowest weight that is not less than a number."""
    code = max(weight_code(least), 0)
    if weight_of(code) >= least:
        return code
    return code + 1


def last_code(most: float) -> int:
    """Return the stored form of the highest weight that is not more than a number; negative without
    one.
    """
    code = weight_code(most)
    if weight_of(code) <= most:
        return code
    return code - 1


def has_weights(capped_dimensions: int) -> bool:
    """True if a store may have records with a weight other than 1."""
    return bool(capped_dimensions & HAS_WEIGHTS)


def weighed(number: str, capped_dimensions: int, dialect: Dialect) -> str:
    """Write a number of a row, or of a row of rollups, multiplied by its weight if the store has
    weights.
    """
    if has_weights(capped_dimensions):
        return f"({number}) * {_weight(dialect)}"
    return number


def count_rows(capped_dimensions: int, dialect: Dialect) -> str:
    """Write how many records some rows stand for."""
    if has_weights(capped_dimensions):
        return f"sum({_weight(dialect)})"
    return "count(*)"


def _weight(dialect: Dialect) -> str:
    return f"(1 + {dialect.real.format(f'coalesce({COLUMN}, 0)')} / {_MILLION})"
