"""The settings of alerts, declared: part of `model.py`."""

from typing import Annotated, Literal

from msgspec import Meta, field

from proxy.settings.section import Section, about

_Threshold = Annotated[float, Meta(ge=0)]
_Wait = Annotated[float, Meta(ge=0, le=366 * 86_400)]


class AlertSettings(Section, frozen=True):
    """[[alerts]]: a webhook is called when a figure of the log crosses a threshold."""

    name: Annotated[str, about("name of the alert", min_length=1, max_length=100)]
    url: Annotated[str, about('webhook; "env:NAME" reads the environment')]
    query: Annotated[str, about("search for the requests it is about; empty: all")] = ""
    figure: Annotated[
        Literal["count", "share", "p50", "p95", "p99", "change", "cost"],
        about(
            "count of requests; share of those that `of` finds; their percentile of duration in "
            "ms; change: count, as a multiple of that of the window before; cost in US dollars"
        ),
    ] = "count"
    of: Annotated[str, about("share: search for the part that is counted, such as status:5xx")] = ""
    by: Annotated[
        str,
        about(
            "field of which each value fires by itself, such as key, model, project, "
            "header.x-tenant"
        ),
    ] = ""
    window_s: Annotated[
        float, about("time that the figure is about, up to now", ge=10, le=366 * 86_400)
    ] = 600
    above: Annotated[_Threshold | None, about("it fires above this")] = None
    below: Annotated[_Threshold | None, about("it fires below this")] = None
    for_s: Annotated[_Wait, about("time that it must be so before it fires; 0: none")] = 0
    resolve_at: Annotated[
        _Threshold | None,
        about(
            "it is over below this, with `below` above this, so that nothing comes and goes; "
            "left out: at the threshold"
        ),
    ] = None
    min_requests: Annotated[
        int, about("with fewer requests in the window it does not fire", ge=0)
    ] = 0
    repeat_s: Annotated[
        float, about("time after which it is sent again while it fires; 0: never", ge=0)
    ] = 0
    headers: Annotated[
        dict[str, str],
        about('sent with each message, such as Authorization; "env:NAME" reads the environment'),
    ] = field(default_factory=dict)
    secret: Annotated[
        str,
        about(
            'signs by Standard Webhooks: "whsec_" and Base64; pagerduty: its integration key; '
            '"env:NAME" reads the '
            "environment; empty: not"
        ),
    ] = ""
    format: Annotated[
        Literal["standard", "alertmanager", "slack", "discord", "teams", "ntfy", "pagerduty"],
        about(
            "payload: standard (JSON of our own), alertmanager (its API, /api/v2/alerts), slack, "
            "discord, teams (by a workflow), ntfy (a topic's address) or pagerduty (Events API "
            "v2, /v2/enqueue)"
        ),
    ] = "standard"
    body: Annotated[
        str,
        about(
            "JSON in the place of a format, in which {alert}, {value}, {link} and so on stand for "
            "a message's; "
            '"env:NAME" reads the environment'
        ),
    ] = ""
