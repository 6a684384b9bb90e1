"""The client side of the default engine where requests may ask to be recorded less (`opt_out.py`).

A class of its own, chosen at the start, so that without the setting a request pays nothing for it.
"""

from proxy.http1.request_head import RequestHead
from proxy.ring.exchange import Exchange
from proxy.worker.downstream import Downstream
from proxy.worker.opt_out import lower


class OptingDownstream(Downstream):
    """One client connection."""

    __slots__ = ()

    def _admit(self, exchange: Exchange, head: RequestHead, target: bytes, host: bytes) -> None:
        """See `Downstream`; refusals are recorded at the level asked for, too."""
        opt_out, level = self._engine.opt_out, head.opt_out
        if opt_out is None or level is None:
            super()._admit(exchange, head, target, host)
            return
        try:
            super()._admit(exchange, head, target, host)
        finally:
            lower(exchange, level)
        assert self._route is not None
        self._route = self._route.at_level(level)
