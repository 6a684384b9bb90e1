"""A sender of OTLP without a network: a receiver that misbehaves by plan."""

from collections.abc import Callable
from typing import Final

from proxy.otel.answers import Answer, Later
from proxy.otel.requests import Signal
from tests.support.otlp import read_logs, read_spans

OK: Final = Answer(200, body=b"{}")

Plan = Callable[[list[str], int], Answer | Later]
"""Answers a request with these records, after so many others."""


class FakeSender:
    """Takes requests, and answers by plan."""

    def __init__(self, plan: Plan = lambda ids, before: OK) -> None:
        self.plan = plan
        self.requests: list[list[str]] = []
        self.taken: list[str] = []

    async def send(self, signal: Signal, body: bytes) -> Answer | Later:
        """Note the records of a request."""
        read = read_spans(body) if signal == "traces" else read_logs(body)
        ids = [str(each.plain["sidelog.record.id"]) for each in read]
        answer = self.plan(ids, len(self.requests))
        self.requests.append(ids)
        if isinstance(answer, Answer) and answer.status == 200:
            self.taken += ids
        return answer
