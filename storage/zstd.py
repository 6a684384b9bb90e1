"""zstd from the standard library (Python 3.14 and newer) or from its backport."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd
