"""The state of all alerts: groups that fire, messages to be sent, delivered messages.

Invariant: a step that changes the firing groups also makes the messages about it, and both are
stored as one value. A message's id follows from that state, so the same step makes the same message
again after a kill or on another sidecar. A message stays in the outbox until a receiver has taken
it.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Literal

import msgspec

from proxy.collector.watch.alerts.figures import Figure
from proxy.settings.model import AlertSettings

MAX_GROUPS: Final = 100
"""Largest number of firing groups per alert; further ones are left out."""
MAX_OUTBOX: Final = 1000
MAX_HISTORY: Final = 200
EXPIRES_US: Final = 86_400_000_000
"""Age at which an undelivered message is given up."""
_ID_BYTES: Final = 12

Status = Literal["firing", "resolved", "test"]


class Firing(msgspec.Struct):
    """A firing group: a value of the alert's field, or `figures.ALL`."""

    since_us: int
    value: float
    sent_us: int = 0
    """Time of its last message; 0 if there is none because the alert is silenced."""
    search: str = ""
    """Finds the requests that it is about."""
    sampled: bool = False
    """As of a figure."""


class Message(msgspec.Struct):
    """A message to a webhook."""

    id: str
    alert: str
    group: str
    status: Status
    value: float | None
    since_us: int
    at_us: int
    tries: int = 0
    next_us: int = 0
    """Time of the next try."""
    problem: str = ""
    """Reason of the last failure; in the history, the reason why it was given up."""
    taken_us: int = 0
    search: str = ""
    """Search for its requests, from `begin_us` to `at_us`."""
    begin_us: int = 0
    ids: list[str] = []
    """Ids of some of these requests."""
    sampled: bool = False
    """As of a figure."""


class State(msgspec.Struct):
    """The state of all alerts."""

    seed: str = ""
    """Random text made with the first state, so that messages of another store have other ids."""
    sequence: int = 0
    """Number of messages that were made."""
    evaluator: str = ""
    """Holder of the lease, where several sidecars share a store."""
    renewed_us: int = 0
    """When the holder last renewed the lease."""
    firing: dict[str, dict[str, Firing]] = {}
    """Alert → group → its firing."""
    pending: dict[str, dict[str, int]] = {}
    """Alert → group → time since which it is beyond the threshold, while that is shorter than
    `for_s`.
    """
    outbox: list[Message] = []
    """Messages that no receiver has taken yet, the oldest first."""
    history: list[Message] = []
    """Messages that were delivered or given up, newest first."""
    dropped: int = 0
    """Number of messages that were given up."""

    def advance(
        self,
        alert: AlertSettings,
        figures: Mapping[str, Figure],
        now_us: int,
        *,
        is_silenced: bool = False,
    ) -> list[Message]:
        """Apply new values of an alert: groups beyond its threshold fire, others are resolved.

        Returns:
            The messages that this has added to the outbox.
        """
        before = len(self.outbox)
        firing = self.firing.get(alert.name, {})
        beyond = {
            group: figure.value
            for group, figure in figures.items()
            if figure.value is not None and is_beyond(alert, figure.value, fires=group in firing)
        }

        for group in [group for group in firing if group not in beyond]:
            over = firing.pop(group)
            # No message was made of a group that fired while the alert was silenced.
            if over.sent_us:
                figure = figures.get(group)
                over.sampled = figure is not None and figure.sampled
                value = None if figure is None else figure.value
                self._post(alert, group, over, "resolved", value, now_us)

        wait_us = round(alert.for_s * 1_000_000)
        begun_us = self._wait(alert, firing, beyond, now_us)
        # The greatest values go first, as not all may fit in.
        for group in sorted(beyond, key=lambda group: (group not in firing, -beyond[group], group)):
            value = beyond[group]
            since_us = begun_us.get(group, now_us)
            has_lasted = now_us - since_us >= wait_us
            if group not in firing and (len(firing) >= MAX_GROUPS or not has_lasted):
                continue

            one = firing.setdefault(group, Firing(since_us, value))
            one.value = value
            one.search = figures[group].search
            one.sampled = figures[group].sampled
            is_due = not one.sent_us or (
                alert.repeat_s and now_us - one.sent_us >= alert.repeat_s * 1_000_000
            )
            if is_due and not is_silenced:
                one.sent_us = now_us
                self._post(alert, group, one, "firing", value, now_us)

        self.firing = {**self.firing, alert.name: firing}
        return self.outbox[before:]

    def _wait(
        self,
        alert: AlertSettings,
        firing: Mapping[str, Firing],
        beyond: Mapping[str, float],
        now_us: int,
    ) -> dict[str, int]:
        """Return the times since which groups have been beyond the threshold without firing yet,
        and add new ones.
        """
        before = self.pending.get(alert.name, {})
        waiting = [group for group in beyond if group not in firing]
        waiting.sort(key=lambda group: (group not in before, -beyond[group], group))
        begun_us = {group: before.get(group, now_us) for group in waiting[:MAX_GROUPS]}

        wait_us = round(alert.for_s * 1_000_000)
        pending = {group: us for group, us in begun_us.items() if now_us - us < wait_us}
        self.pending = {name: groups for name, groups in self.pending.items() if name != alert.name}
        if pending:
            self.pending[alert.name] = pending
        return begun_us

    def forget(self, names: set[str], now_us: int) -> None:
        """Forget alerts that are no longer configured. Give up their messages, and messages that
        are too old or too many.

        `names` are those of the configured alerts.
        """
        self.firing = {
            name: groups for name, groups in self.firing.items() if name in names and groups
        }
        self.pending = {name: groups for name, groups in self.pending.items() if name in names}
        for message in self.outbox[:]:
            is_old = now_us - message.at_us > EXPIRES_US or len(self.outbox) > MAX_OUTBOX
            if message.alert not in names or is_old:
                self.dropped += 1
                reason = "given up: the alert is gone, or it waited for too long"
                self.settle(message, 0, message.problem or reason)

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
        firing: Firing,
        status: Status,
        value: float | None,
        now_us: int,
    ) -> None:
        self.sequence += 1
        id = message_id(self.seed, alert.name, group, self.sequence)
        # A message that it is over is about all requests since the window in which it began.
        if status == "firing":
            end_us = now_us
        else:
            end_us = firing.since_us
        message = Message(id, alert.name, group, status, value, firing.since_us, now_us)
        message.search = firing.search
        message.sampled = firing.sampled
        message.begin_us = end_us - round(alert.window_s * 1_000_000)
        self.outbox.append(message)


def message_id(*parts: object) -> str:
    """Return the id of a message; the same parts always give the same id."""
    digest = blake2b(msgspec.json.encode(parts), digest_size=_ID_BYTES)
    return f"msg_{digest.hexdigest()}"


def is_beyond(alert: AlertSettings, value: float, *, fires: bool) -> bool:
    """Whether a value is beyond the threshold. For a firing group: whether it has not come back
    behind `resolve_at`.
    """
    if fires and alert.resolve_at is not None:
        if alert.below is None:
            return value >= alert.resolve_at
        return value <= alert.resolve_at
    return (alert.above is not None and value > alert.above) or (
        alert.below is not None and value < alert.below
    )
