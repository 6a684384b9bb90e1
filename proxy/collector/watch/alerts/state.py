"""What fires, what is to be sent, and what was: the state of all alerts, and how figures change it.
Pure.

Invariant: a message is made by the same step that changes what fires, and both are one value, so
that they are stored together. Its id follows from that state: who makes the same step again, after
a kill or on another sidecar, makes the same message. One is in the outbox until a receiver has
taken it.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from proxy.collector.watch.alerts.figures import Figure
from proxy.settings.alert_model import AlertSettings

MAX_GROUPS: Final = 100
"""Values of one alert that fire at the same time; further ones are left out."""
MAX_OUTBOX: Final = 1000
MAX_HISTORY: Final = 200
EXPIRES_US: Final = 86_400_000_000
"""A message that a receiver has not taken for a day is given up."""
_ID_BYTES: Final = 12

Status = Literal["firing", "resolved", "test"]


class Group(msgspec.Struct):
    """One value that is beyond the threshold; the empty one where an alert is not apart by a field."""

    since_us: int
    value: float
    sent_us: int = 0
    """When its last message was made; 0: none was, as it is silenced."""
    search: str = ""
    """Finds the requests that it is about."""


class Message(msgspec.Struct):
    """What is sent to a receiver until it has taken it."""

    id: str
    alert: str
    group: str
    status: Status
    value: float | None
    since_us: int
    at_us: int
    tries: int = 0
    next_us: int = 0
    """Not to be sent before."""
    problem: str = ""
    """Why it was not taken; in the history: not at all."""
    taken_us: int = 0
    search: str = ""
    """Finds the requests that it is about, from `begin_us` to `at_us`."""
    begin_us: int = 0
    ids: list[str] = []
    """Of some of these requests."""


class State(msgspec.Struct):
    """All of it."""

    seed: str = ""
    """Random, made with the first state: ids of another store's messages are others."""
    sequence: int = 0
    """Messages that were made."""
    evaluator: str = ""
    """The sidecar that evaluates, where several share a store."""
    renewed_us: int = 0
    firing: dict[str, dict[str, Group]] = {}
    """By alert, then by value."""
    pending: dict[str, dict[str, int]] = {}
    """Since when values are beyond the threshold that have to stay there (`for_s`), as above."""
    outbox: list[Message] = []
    """The oldest first."""
    history: list[Message] = []
    """What was taken or given up, the newest first."""
    dropped: int = 0
    """Messages that were given up."""

    def advance(
        self,
        alert: AlertSettings,
        figures: Mapping[str, Figure],
        now_us: int,
        *,
        is_silenced: bool = False,
    ) -> list[Message]:
        """Take the figures of an alert: what is beyond its threshold fires, what is back is over.

        Returns: The messages that were made, which are the last of the outbox.
        """
        before = len(self.outbox)
        known = self.firing.get(alert.name, {})

        beyond = {
            group: figure.value
            for group, figure in figures.items()
            if figure.value is not None and is_beyond(alert, figure.value, fires=group in known)
        }
        for group in [group for group in known if group not in beyond]:
            over = known.pop(group)
            if over.sent_us:
                value = figures[group].value if group in figures else None
                self._post(alert, group, over, "resolved", value, now_us)

        wait_us = round(alert.for_s * 1_000_000)
        begun_us = self._wait(alert, known, beyond, now_us)
        for group, value in sorted(
            beyond.items(), key=lambda item: (item[0] not in known, -item[1], item[0])
        ):
            since_us = begun_us.get(group, now_us)
            has_lasted = now_us - since_us >= wait_us
            if group not in known and (len(known) >= MAX_GROUPS or not has_lasted):
                continue

            one = known.setdefault(group, Group(since_us, value))
            one.value = value
            one.search = figures[group].search
            is_due = not one.sent_us or (
                alert.repeat_s and now_us - one.sent_us >= alert.repeat_s * 1_000_000
            )
            if is_due and not is_silenced:
                one.sent_us = now_us
                self._post(alert, group, one, "firing", value, now_us)

        self.firing = {**self.firing, alert.name: known}
        return self.outbox[before:]

    def _wait(
        self,
        alert: AlertSettings,
        known: Mapping[str, Group],
        beyond: Mapping[str, float],
        now_us: int,
    ) -> dict[str, int]:
        """Return since when values are beyond the threshold that do not fire yet, and keep it."""
        before = self.pending.get(alert.name, {})
        waiting = [group for group in beyond if group not in known]
        waiting.sort(key=lambda group: (group not in before, -beyond[group], group))
        begun_us = {group: before.get(group, now_us) for group in waiting[:MAX_GROUPS]}
        wait_us = round(alert.for_s * 1_000_000)
        still = {group: us for group, us in begun_us.items() if now_us - us < wait_us}
        self.pending = {name: groups for name, groups in self.pending.items() if name != alert.name}
        if still:
            self.pending[alert.name] = still
        return begun_us

    def forget(self, names: set[str], now_us: int) -> None:
        """End what fires of alerts that are configured no more, and give up messages that are too
        old or too many.
        """
        self.firing = {
            name: groups for name, groups in self.firing.items() if name in names and groups
        }
        self.pending = {name: groups for name, groups in self.pending.items() if name in names}
        for message in self.outbox[:]:
            is_old = now_us - message.at_us > EXPIRES_US or len(self.outbox) > MAX_OUTBOX
            if message.alert not in names or is_old:
                self.dropped += 1
                self.settle(
                    message,
                    0,
                    message.problem or "given up: the alert is gone, or it waited for too long",
                )

    def settle(self, message: Message, taken_us: int, problem: str = "") -> None:
        """Move a message from the outbox to the history."""
        self.outbox.remove(message)
        message.taken_us = taken_us
        message.problem = problem
        self.history = [message, *self.history][:MAX_HISTORY]

    def _post(
        self,
        alert: AlertSettings,
        group: str,
        one: Group,
        status: Status,
        value: float | None,
        now_us: int,
    ) -> None:
        self.sequence += 1
        name = message_id(self.seed, alert.name, group, self.sequence)
        end_us = now_us if status == "firing" else one.since_us
        begin_us = end_us - round(alert.window_s * 1_000_000)
        message = Message(name, alert.name, group, status, value, one.since_us, now_us)
        message.search = one.search
        message.begin_us = begin_us
        self.outbox.append(message)


def message_id(*parts: object) -> str:
    """Return the id of a message: of the same step always the same."""
    digest = blake2b(msgspec.json.encode(parts), digest_size=_ID_BYTES)
    return f"msg_{digest.hexdigest()}"


def is_beyond(alert: AlertSettings, value: float, *, fires: bool = False) -> bool:
    """Whether a value is beyond the threshold; where it fires, whether it is not back from it yet."""
    if fires and alert.resolve_below is not None:
        return value >= alert.resolve_below
    if fires and alert.resolve_above is not None:
        return value <= alert.resolve_above
    return (alert.above is not None and value > alert.above) or (
        alert.below is not None and value < alert.below
    )
