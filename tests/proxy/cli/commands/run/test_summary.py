"""The summary of a run."""

from typing import Any

from proxy.cli.commands.run.summary import Figures, lines_of
from tests.support.cases import each_of


def usage(**more: Any) -> dict[str, Any]:
    """Of two calls, with known tokens and cost unless said otherwise."""
    known = {
        "calls": 2,
        "counted": 2,
        "priced": 2,
        "input_tokens": 1200,
        "output_tokens": 30,
        "cache_read_tokens": 0,
        "cost_usd": 0.5,
        "models": [{"model": "m", "provider": "p", "calls": 2}],
    }
    return known | more


def figures(
    exchanges: int, used: dict[str, Any] | None, failures: list[Any], tools: list[Any]
) -> Figures:
    """Figures of a run through one route."""
    rows = [
        {"status": status, "error": error, "exchanges": count} for status, error, count in failures
    ]
    return Figures(
        {"exchanges": exchanges, "usage": used},
        rows,
        [
            {"value": name, "exchanges": calls, "server_errors": failed}
            for name, calls, failed in tools
        ],
        [{"value": "search", "count": exchanges}],
        None,
        0,
    )


@each_of(
    ("given", "lines"),
    [
        (
            figures(2, usage(), [], []),
            ["2 calls: 2 × m", "no call failed; 1,200 tokens in, 30 out; $0.5000"],
        ),
        (
            figures(1, None, [(None, "certificate_rejected", 1)], []),
            [
                "1 request: 1 × search",
                "failed: 1 × certificate_rejected",
                "a program does not trust sidelog's certificates: `sidelog ca` lists what it may "
                "need, and --no-egress decrypts nothing",
            ],
        ),
        (
            figures(
                1,
                usage(cache_read_tokens=1000),
                [(429, "rate_limit_error", 1)],
                [("Bash", 3, 1), ("Edit", 4, 0)],
            ),
            [
                "2 calls in 1 request: 2 × m; tools: 4 × Edit, 3 × Bash",
                "failed: 1 × 429 rate_limit_error; tools that failed: 1 × Bash; "
                "1,200 tokens in (1,000 cached), 30 out; $0.5000",
            ],
        ),
        (
            figures(2, usage(priced=1, cost_usd=0.00001), [(200, "tool_error", 1)], []),
            [
                "2 calls: 2 × m",
                "no call failed; 1,200 tokens in, 30 out; less than $0.0001 and 1 call of unknown "
                "cost",
            ],
        ),
        (
            figures(2, usage(priced=0, counted=0, cost_usd=None), [(None, None, 2)], []),
            ["2 calls: 2 × m", "failed: 2 × without an answer; no tokens known; cost unknown"],
        ),
        (figures(3, None, [], []), ["3 requests: 3 × search", "no call failed"]),
        (
            figures(
                5, usage(calls=5, models=[{"model": f"m{n}", "calls": 1} for n in range(5)]), [], []
            ),
            [
                "5 calls: 1 × m0, 1 × m1, 1 × m2, 1 × m3, 1 more",
                "no call failed; 1,200 tokens in, 30 out; $0.5000 and 3 calls of unknown cost",
            ],
        ),
    ],
)
def test_what_was_called_failed_and_cost_is_said_in_two_lines(
    given: Figures, lines: list[str]
) -> None:
    """With names and counts; unknown figures are named as unknown."""
    assert lines_of(given) == lines
