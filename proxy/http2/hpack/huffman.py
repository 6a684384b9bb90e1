"""The Huffman code of field strings (RFC 7541 §5.2, appendix B), read half a byte at a time.

The code is canonical: the lengths of its 257 symbols define it, since codes of one length are
numbered in the order of the symbols. A string that contains the end-of-string symbol, or ends in
anything but up to seven ones, is an error (F4). Only decoding is implemented: we send uncompressed
strings (`encoder.py`).
"""

from typing import Final

from proxy.http2.errors import ConnectionFault, ErrorCode

CODE_LENGTHS: Final = tuple(
    int(digit, 36)
    for digit in (
        "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f565"
        "65666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmp"
        "qqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu"
    )
)
"""Code length in bits for each byte, and for the end of a string; one digit each."""


def _machine() -> tuple[list[int], list[int], list[int]]:
    """Build the state machine.

    Returns:
        The next node for each node and half byte; the symbol read by that step, -1 for none; and
        the
        nodes at which a string may end.
    """
    nodes = [[0, 0]]
    code = 0
    bits = 0
    at = 0

    for symbol in sorted(range(len(CODE_LENGTHS)), key=lambda symbol: CODE_LENGTHS[symbol]):
        code <<= CODE_LENGTHS[symbol] - bits
        bits = CODE_LENGTHS[symbol]
        at = 0

        for place in range(bits - 1, 0, -1):
            branch = code >> place & 1
            if not nodes[at][branch]:
                nodes[at][branch] = len(nodes)
                nodes.append([0, 0])
            at = nodes[at][branch]

        nodes[at][code & 1] = -1 - symbol
        code += 1

    nodes[at][1] = len(nodes)  # The end of a string, the last code, leads nowhere.
    nodes.append([len(nodes)] * 2)
    following = []
    symbols = []

    for step in range(len(nodes) * 16):
        at = step >> 4
        symbol = -1
        for place in (3, 2, 1, 0):
            at = nodes[at][step >> place & 1]
            if at < 0:
                symbol = -1 - at
                at = 0

        following.append(at)
        symbols.append(symbol)

    ends = [0]
    for _ in range(7):
        ends.append(nodes[ends[-1]][1])
    return following, symbols, ends


_MACHINE: Final = _machine()


def read_huffman(coded: bytes) -> bytes:
    """Return the decoded string. An end-of-string symbol or wrong padding ends the connection."""
    following, symbols, ends = _MACHINE
    found = bytearray()
    node = 0

    for byte in coded:
        step = node << 4 | byte >> 4
        if symbols[step] >= 0:
            found.append(symbols[step])
        step = following[step] << 4 | byte & 15
        if symbols[step] >= 0:
            found.append(symbols[step])
        node = following[step]

    if node not in ends:
        raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "a malformed Huffman string")

    return bytes(found)
