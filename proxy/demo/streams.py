"""How fast the demo streams: the pause between two frames, which tests set to nothing."""

from typing import Final

from aiohttp import web

PACE_S: Final = web.AppKey("pace_s", float)
"""Seconds between two frames of a stream."""

DEFAULT_PACE_S: Final = 0.04
"""About 25 frames a second, as fast as a language model writes."""
