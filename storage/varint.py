"""Whole numbers of seven bits a byte, as protocol buffers and ClickHouse write them."""


def varint(number: int) -> bytes:
    """Write a number that is not negative; all bytes but the last have the highest bit."""
    if number < 0x80:
        return bytes((number,))

    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
