"""The columns of records, and the differences in SQL between databases."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from storage.grpc import SWITCHING_PROTOCOLS
from storage.query import Order
from storage.record import DIRECTIONS, LEVELS

DIMENSIONS: Final = (
    "instance", "scheme", "http_version", "upstream", "outcome", "stage", "key_name", "key_last4", "error_type", "host",
    "user_agent", "user_id", "project", "container", "client", "service", "route_id", "key_id", "source", "method",
    "name", "auth_code", "provider", "model", "resolved_model", "usage_state", "price_source", "endpoint",
    "message",
)  # fmt: skip
"""Columns stored as dictionary ids. The position of a name is its `kind` in the dictionary: append,
never reorder.
"""

TOOL_KINDS: Final = {"tool_name": 200, "server_label": 201}
"""Dictionary kinds of the columns of tool calls, far above those of records, as these grow at their
end.
"""
PART_KINDS: Final = {
    "finish_reason": 210, "called_tools": 211, "grpc_status": 212, "redactions": 213, "failed_tools": 214,
}  # fmt: skip
"""The same of columns with a part of a record's `stream`, `grpc` and `redactions`."""
DICTIONARY_KINDS: Final = (
    {column: kind for kind, column in enumerate(DIMENSIONS)}
    | TOOL_KINDS
    | PART_KINDS
    # Fields packed into one text, after the columns that are appended.
    | {"origin": 300}
)
"""Column of repeated text → its kind in the dictionary."""
COMBINATIONS: Final = {
    "called_tool": "called_tools",
    "redacted": "redactions",
    "tool_error": "failed_tools",
}
"""Field that may have several names → the column with these as one text
(`storage.relational.combinations`).
"""
KINDS: Final = ("exchange", "event")
EVENT: Final = KINDS.index("event")
CODED: Final[Mapping[str, tuple[str, ...]]] = {
    "level": LEVELS,
    "kind": KINDS,
    "direction": DIRECTIONS,
}
"""Columns with few words, stored as the positions of these."""
MAX_INT: Final = (1 << 63) - 1
"""The maximum of an integer column; the minimum is `-MAX_INT - 1`."""

Parameters = Sequence[Any]
Rows = Sequence[Any]
"""Each row is a sequence of the values of its columns."""
Texts = dict[str, tuple[str, ...]]
"""Column → values that a filter names."""
Ids = Mapping[str, Mapping[str, Any]]
"""Column → text → its dictionary id, or another stored form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The differences in SQL between databases. Their indexes need some conditions in a special
    form.

    Fields without a default come first: all databases write these differently. A default is the
    most common form.
    """

    placeholder: Callable[[int], str]
    """From the number of a parameter (from 1) to its mark."""
    record_columns: str
    """The columns that records are decoded from."""
    trace_id: str
    """Condition that the trace id equals the mark `{}`."""
    tool: str
    """Condition that a record has a call of one of the tools with the ids at the marks `{}`."""
    combination: Callable[[str, int, Sequence[str]], str]
    """From a column of `COMBINATIONS`, its kind in the dictionary, and marks, to the condition that
    it contains a text.
    """
    tool_text: str
    """Condition that the folded text of a tool call contains the mark `{}`."""
    tool_request: str
    """Condition that the id of a tool call's LLM request equals the mark `{}`."""
    like: Callable[[str, Sequence[str], Callable[[Any], str]], str]
    """From a column that has a text, lower-case parts of a pattern and a function that binds a
    parameter, to the condition that it matches.
    """
    in_network: Callable[[str, str, int], str]
    """From the marks of two packed addresses, and their length, to the condition that the client's
    address is between them.
    """
    text_columns: Mapping[str, str]
    """Columns of text with another stored form → the SQL of their text."""
    among: str
    """Condition that the column, the first `{}`, is among the numbers at the mark, the second."""
    of_keys: str
    """Condition that a row has one of the keys at the mark `{}`, a parameter of `number_list`."""
    bucket: Callable[[str], str]
    """From a column of µs to its bucket of `storage.aggregates.BOUNDS_US`."""
    is_connection: str
    """Condition that an exchange has no `Record.latency_us` (`is_connection`)."""
    histograms: str
    """The sum of a column of histograms."""
    to_counts: Callable[[Any], Mapping[int, int]]
    """From that sum to counts by bucket."""

    negated: str = "({} IS NOT TRUE)"
    """Condition that the condition `{}` is false or null."""
    none: str = "0"
    """The value of a column of repeated text without a text."""
    tool_names: str = ""
    """The query of all names of tools, with a condition; empty if there is a dictionary."""
    has_text: str = "{} IS NOT NULL"
    """Condition that a column of text has one."""
    sum: str = "(coalesce({}, 0) + coalesce({}, 0))"
    """The sum of two columns of numbers, where null counts as 0."""
    first_of_each: str = (
        "SELECT seq FROM (SELECT seq, row_number() OVER (PARTITION BY {column} ORDER BY seq) AS place "
        "FROM {rows}) AS numbered WHERE place <= {limit}"
    )
    """Query of the first `{limit}` `seq` of each value of `{column}` among `{rows}`, a table with
    its conditions.
    """
    number_list: Callable[[list[int]], object] = list
    """From numbers to the parameter of `among`."""
    row_key: str = "seq"
    """The column by which single rows are looked up; records have it."""
    divided: Callable[[str, str], str] = lambda number, by: f"{number} / {by}"
    """The whole part of a quotient of two whole numbers."""
    unindexed: str = "+{}"
    """The column `{}`, written so that its index is not used."""
    rollups: "Callable[[str, Sequence[str], str, tuple[int | None, int | None]], str] | None" = None
    """From a table of rollups, columns, a condition and hours (half open, None: no bound) to a
    query; None if it is a table.
    """
    rollup_class: str = "status_class"
    """The column of rollups with the first digit of the status."""
    tool_rollups: str = "tool_rollups"
    """The rollups of tool calls: a table, or a query."""
    newest_tool: str = "max(hour), key_name"
    """The order of tools by their last call; within an hour, by when their name first occurred."""
    page: Callable[[str, str, str], str] = lambda where, order, limit: (
        f"WHERE {where} {order} {limit}"
    )
    """From conditions, order and limit of records to the text after the name of their table."""
    scan_rows: int = 0
    """Rows of the first slice of a scan, if a statement costs more than some rows; 0 for the usual
    number.
    """
    patience: float = 1.0
    """Multiplies the time of a slice after which the next one is as wide."""
    call_order: Sequence[str] = ("id",)
    """The columns with the order in which tool calls were stored; rows are walked by the first."""
    committed: str = ""
    """Condition on rows of batches, without parameters, that only committed rows meet; empty if all
    rows are committed.
    """
    schema: str = ""
    """The text before the name of a table."""
    real: str = "CAST({} AS DOUBLE PRECISION)"
    """Conversion of a number to floating point, of 64 bits."""
    number: str = "{}"
    """The mark `{}` of a number; some databases ask for its type."""
    by_seq: Callable[[Order], str] = lambda order: f"ORDER BY seq {order}"
    """The order of rows by `seq`."""
    has_grouping_sets: bool = False
    """True if one pass can count the values of several columns separately."""
    row_lock: str = ""
    """The end of a query of a row that is changed afterwards."""
    skip_locked: str = ""
    """The same; rows that others have locked are left out."""
    state: str = ""
    """The query of the one row of `storage.relational.session.State`."""
    erasures: str = ""
    """The query of the number of erasures; the number is stable until the transaction ends."""
    given: Callable[[Mapping[str, str]], str] = lambda types: ""
    """From columns, and the SQL types of their values, to the query of the rows passed to
    `Statements.write_rows`.
    """
    change_state: Callable[[str, str], str] = lambda name, then: ""
    """From a number of the store's state, and its new value with `{}` for the old one, to the
    statement.
    """
    meta_prefix: str = ""
    """The prefix of the names of values that belong to the store as a whole."""
    seq_between: Callable[[str, str], str] = lambda first, last: f"seq BETWEEN {first} AND {last}"
    """From two marks to the condition that `seq` is between them, both inclusive."""
    limited: Callable[[str, str], str] = lambda column, query: f"{column} IN ({query})"
    """From a column and a query with a limit to the condition that the column is among its rows."""
    span_key: str = "first_seq"
    """The column by which `spans` are found."""
    no_bytes: str = "''"
    """A constant of no bytes."""
    clock_us: str = "NULL"
    """The clock of a server that several sidecars share, Unix µs; null without a server."""
    to_bytes: Callable[[Any], bytes] = bytes
    """From the value that a query returns for bytes, also of an id, to the bytes."""

    @property
    def status_class(self) -> str:
        """The first digit of a record's status; null, or 0, without one."""
        return self.divided("status", "100")

    @property
    def has_dictionary(self) -> bool:
        """True if repeated text is stored as ids of a dictionary, not directly."""
        return not self.tool_names

    def number_mark(self, place: int) -> str:
        """Write the mark of a parameter that is a number."""
        return self.number.format(self.placeholder(place))

    def of_commits(self, where: str) -> str:
        """Add to a condition on rows of batches that they are committed."""
        if self.committed:
            return f"{where} AND {self.committed}"
        return where

    def group_by(self, columns: Sequence[str], *common: str) -> str:
        """Write the grouping that counts values of columns; with grouping sets each row has one of
        them, and null for the others.
        """
        if self.has_grouping_sets:
            sets = (f"({', '.join((*common, column))})" for column in columns)
            return f"GROUP BY GROUPING SETS ({', '.join(sets)})"
        return f"GROUP BY {', '.join((*common, *columns))}"


def is_connection(connect: str) -> str:
    """Write the condition that an exchange is a WebSocket or a tunnel, given the stored form of the
    method CONNECT.
    """
    return f"(status = {SWITCHING_PROTOCOLS} OR method = {connect})"


@dataclass(frozen=True, slots=True)
class Where:
    """A clause without the word WHERE, never empty, and its parameters."""

    text: str
    parameters: tuple[Any, ...]


class Fetches(Protocol):
    """A transaction that runs statements."""

    @property
    def dialect(self) -> Dialect: ...

    async def fetch(self, sql: str, parameters: Parameters = ()) -> Rows:
        """Run a statement and fetch its rows."""
        ...


class Statements(Fetches, Protocol):
    """A transaction that writes rows."""

    async def write_rows(self, sql: str, rows: Sequence[Parameters]) -> None:
        """Run a statement that reads the rows by `Dialect.given`."""
        ...

    async def ids_of(self, texts: Texts) -> Ids:
        """Look up the dictionary ids of text, by column."""
        ...


async def delete_before(
    statements: Fetches, table: str, column: str, bound: int, max_rows: int
) -> int:
    """Delete up to `max_rows` rows whose column is below a bound; return how many were deleted."""
    dialect = statements.dialect
    mark = dialect.placeholder
    table = dialect.schema + table
    old = f"SELECT id FROM {table} WHERE {column} < {mark(1)} LIMIT {mark(2)}{dialect.skip_locked}"
    gone = await statements.fetch(
        f"DELETE FROM {table} WHERE {dialect.limited('id', old)} RETURNING 1", (bound, max_rows)
    )
    return len(gone)
