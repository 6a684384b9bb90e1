"""Show a protobuf message: by the names of its schema, or without one by field numbers and what the
wire shows. Pure.

Strategy: without a schema, what has a length is a text where it is UTF-8 without control
characters, else a message where all of it reads as one, else bytes. Numbers of a fixed size are of
floating point where that gives one that people write, else whole. A field that comes again becomes
a list. With a schema it is what protobuf's own parser of JSON reads, `Timestamp` and `Any`
included. What contradicts the schema is shown as without one. Of a message that was cut, the field
that the cut goes through is shown as far as it is here, if it has a length: which one of its kinds
it is, is judged more strictly, because all that begins like a message reads as one that was cut.
Invariant: nothing raises; depth and number of fields are bounded; of texts and bytes that were cut,
what may be half a secret is left out.
"""

import base64
import codecs
import struct
from collections.abc import Callable
from typing import Any, Final

from proxy.enrich.formats.charset import CONTROLS
from proxy.enrich.grpc.descriptors import ENUM, MESSAGE, NO_SCHEMA, Field, Schema
from proxy.enrich.grpc.scalars import (
    BYTES,
    STRING,
    NotOfType,
    packed,
    packed_beginning,
    scalar,
    shown_float,
    shown_int,
)
from proxy.enrich.grpc.well_known import canonical
from proxy.enrich.grpc.wire import FIXED32, LENGTH, Cut, NotWire, read_beginning, read_field
from proxy.enrich.redact.edits import MARK

MAX_DEPTH: Final = 24
MAX_FIELDS: Final = 10_000
"""Of all messages of a body together, some 20 ms; what follows is left out."""
MAX_GUESSED_FIELD: Final = 65_535
"""Numbers beyond are not guessed: bytes that happen to read as a message have any."""
_PLAIN_FLOATS: Final = (1e-7, 1e15)
_TAG_LIKE: Final = frozenset("\n\t\r")
"""Tags of a first field, with which a text hardly ever begins."""
_ENTRY: Final = {"1", "2"}
"""The fields of a map's entry: its key is a name."""
_ANY: Final = "google.protobuf.Any"
_NOTHING: Final = ("", {"base64": ""})
"""What may be left of a value that was cut."""
_UNKNOWN_BYTES: Final = 1 << 62

Tree = dict[str, Any]


class WireReader:
    """Shows the messages of one body."""

    def __init__(
        self,
        redact: Callable[[bytes], bytes],
        schema: Schema = NO_SCHEMA,
        is_secret: Callable[[bytes], bool] = lambda _: False,
        redact_cut: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """Take out what no later step can read: secrets in bytes, with `redact`, and what maps have
        under `is_secret`.

        Texts are not redacted, but those that were cut: with `redact_cut`, as are bytes that were.
        """
        self.fields_left = MAX_FIELDS
        self._redact = redact
        self.redact_cut = redact_cut
        self._is_secret = is_secret
        self._schema = schema

    def show(
        self, data: bytes, type_name: str = "", *, is_whole: bool = True, size: int | None = None
    ) -> tuple[object, bool]:
        """Show a message, by a type of the schema where one is named; one that was cut is of
        `size`, if that is known.

        Returns:
            Values by name or field number, or the bytes in base64 where they are no message; and whether that is all
            of it. Of a message that was cut, bytes that are none of protobuf are left out.
        """
        try:
            tree = self._message(
                data, MAX_DEPTH, type_name, cut_of=0 if is_whole else size or _UNKNOWN_BYTES
            )
        except (NotWire, Cut):
            return {"base64": self._base64(data if is_whole else b"")}, is_whole

        return canonical(type_name, tree), is_whole and self.fields_left > 0

    def _message(
        self,
        data: bytes,
        depth: int,
        type_name: str = "",
        *,
        cut_of: int = 0,
        is_guess: bool = False,
    ) -> Tree:
        """Read a message; of one that was cut, `cut_of` bytes, its beginning."""
        fields = self._schema.fields_of(type_name)
        tree: Tree = {}
        lists: set[str] = set()

        at = 0
        while at < len(data) and self.fields_left > 0:
            self.fields_left -= 1
            piece_of = 0
            try:
                number, wire_type, raw, at = read_field(data, at)
            except Cut:
                if not cut_of:
                    raise
                number, raw, piece_of = read_beginning(data, at, cut_of)
                wire_type = LENGTH
                at = len(data)
                if not raw:
                    break

            if is_guess and number > MAX_GUESSED_FIELD:
                raise NotWire

            field = fields.get(number) if fields else None
            if field is None or not self._put_declared(
                tree, field, wire_type, raw, depth, piece_of
            ):
                value = self._guess(wire_type, raw, depth, piece_of)
                if value not in _NOTHING or not piece_of:
                    _add(tree, lists, str(number), value)

            if type_name == _ANY and number == 2 and isinstance(raw, bytes):
                self._unpack_any(tree, raw, depth, piece_of)

        if (
            tree.keys() == _ENTRY
            and isinstance(key := tree["1"], str)
            and self._is_secret(key.encode())
        ):
            tree["2"] = MARK.decode()

        return tree

    def _put_declared(
        self, tree: Tree, field: Field, wire_type: int, raw: int | bytes, depth: int, piece_of: int
    ) -> bool:
        """Put a field into its message; False: the schema is of another message."""
        try:
            values = self._declared(field, wire_type, raw, depth, piece_of)
            if piece_of and values == [""]:
                return True
            if self._schema.is_map(field.of):
                entry = values[0]
                key = entry.get("key", "")
                tree.setdefault(field.name, {})[
                    str(key).lower() if isinstance(key, bool) else str(key)
                ] = entry.get("value")
            elif field.is_repeated:
                tree.setdefault(field.name, []).extend(values)
            else:
                tree[field.name] = values[-1]
        except (NotOfType, AttributeError, IndexError):
            return False

        return True

    def _declared(
        self, field: Field, wire_type: int, raw: int | bytes, depth: int, piece_of: int
    ) -> list[Any]:
        """Show what the schema says: one value, or those that are packed; of a length `piece_of`,
        what is here.

        Raises:
            NotOfType: It is not that.
        """
        if field.type == MESSAGE:
            if wire_type != LENGTH or not isinstance(raw, bytes):
                raise NotOfType
            return [self._nested(raw, depth, field.of, cut_of=piece_of)]
        if piece_of and isinstance(raw, bytes) and field.type in (STRING, BYTES):
            return [self._cut_text(raw) if field.type == STRING else self._cut_base64(raw)]

        try:
            values = [scalar(field.type, wire_type, raw)]
        except NotOfType:
            if not (field.is_repeated and isinstance(raw, bytes)):
                raise
            read = packed_beginning if piece_of else packed
            values = read(field.type, raw)[: max(self.fields_left, 0)]
            self.fields_left -= len(values)

        if field.type == ENUM:
            names = self._schema.enums.get(field.of, {})
            return [
                names.get(value, value) if isinstance(value, int) else value for value in values
            ]

        return [self._base64(value) if isinstance(value, bytes) else value for value in values]

    def _nested(
        self,
        raw: bytes,
        depth: int,
        type_name: str = "",
        *,
        is_guess: bool = False,
        cut_of: int = 0,
    ) -> Any:
        """Show a message within another.

        Raises:
            NotOfType: It is none, or nothing says that what was cut is one.
        """
        fields_left = self.fields_left
        try:
            if not depth:
                raise NotWire
            tree = self._message(raw, depth - 1, type_name, is_guess=is_guess, cut_of=cut_of)
            if is_guess and cut_of and not tree:
                raise NotWire
            return canonical(type_name, tree)
        except (NotWire, Cut):
            self.fields_left = fields_left
            raise NotOfType from None

    def _unpack_any(self, tree: Tree, raw: bytes, depth: int, piece_of: int) -> None:
        """Show a message of a type that it names itself, or as without a schema: its bytes may hold
        named secrets.
        """
        name = str(tree.get("type_url", "")).rpartition("/")[2]
        try:
            tree["value"] = self._nested(raw, depth, name, cut_of=piece_of)
        except NotOfType:
            tree["value"] = self._cut_base64(raw) if piece_of else self._base64(raw)

    def _guess(self, wire_type: int, raw: int | bytes, depth: int, piece_of: int) -> object:
        """Show what the wire shows."""
        if isinstance(raw, int):
            return shown_int(raw - (1 << 64) if raw >> 63 else raw)
        if wire_type != LENGTH:
            return _fixed(raw, is_single=wire_type == FIXED32)

        text = _text(_whole_characters(raw) if piece_of else raw)
        if text is None or text[:1] in _TAG_LIKE:
            try:
                return self._nested(raw, depth, is_guess=True, cut_of=piece_of)
            except NotOfType:
                pass

        if piece_of:
            if text is None:
                return {"base64": self._cut_base64(raw)}
            return self._cut_text(raw)
        # It may be a message none of whose lengths is a control character.
        if text and raw[0] & 7 == LENGTH:
            return self._redact(raw).decode(errors="replace")
        if text is None:
            return {"base64": self._base64(raw)}

        return text

    def _cut_text(self, raw: bytes) -> str:
        """Show the beginning of a text.

        Raises:
            NotOfType: It is none.
        """
        if _text(raw := _whole_characters(raw)) is None:
            raise NotOfType
        return self.redact_cut(raw).decode(errors="replace")

    def _cut_base64(self, data: bytes) -> str:
        return base64.b64encode(self.redact_cut(data)).decode()

    def _base64(self, data: bytes) -> str:
        return base64.b64encode(self._redact(data)).decode()


def _add(tree: Tree, lists: set[str], key: str, value: object) -> None:
    """Put a value into its message; one that comes again becomes a list."""
    if key not in tree:
        tree[key] = value
    elif key in lists:
        tree[key].append(value)
    else:
        lists.add(key)
        tree[key] = [tree[key], value]


def _whole_characters(piece: bytes) -> bytes:
    """Leave out a character that is cut at the end, if all else is UTF-8."""
    try:
        return piece[: codecs.utf_8_decode(piece, "strict", False)[1]]
    except UnicodeDecodeError:
        return piece


def _text(piece: bytes) -> str | None:
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return None

    # Nearly all is printable, and that costs less to ask.
    if text.isprintable() or CONTROLS.search(piece) is None:
        return text
    return None


def _fixed(piece: bytes, *, is_single: bool) -> object:
    number: float = struct.unpack("<f" if is_single else "<d", piece)[0]
    least, most = _PLAIN_FLOATS
    if number == 0 or least <= abs(number) < most:
        return shown_float(number, is_single=is_single)
    return shown_int(int.from_bytes(piece, "little"))
