"""Variable-length integers (varints) with seven bits a byte, as in protocol buffers and ClickHouse."""


def varint(number: int) -> bytes:
    """Encode a non-negative integer; all bytes but the last have the highest bit set."""
    if number < 0x80:
        return bytes((number,))

    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
