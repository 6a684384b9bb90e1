"""What language models and tools were used for, and what they cost."""

from typing import Any, Final

from deploy.dashboards.model import Choice, Dashboard, Row, panel

MODEL: Final = 'SELF, provider=~"$provider", model=~"$model"'
INPUT_AND_OUTPUT: Final = f'{MODEL}, type=~"input|output"'
TOKENS: Final = "sidelog_llm_tokens_total"
COST: Final = "sidelog_llm_cost_usd_total"
TOOLS: Final = "sidelog_mcp_tool_calls_total"
DOLLARS: Final[dict[str, Any]] = {"unit": "currencyUSD"}


def over(metric: str, period: str, by: str = "", matchers: str = MODEL) -> str:
    """Return what a counter grew by in a period, summed by labels."""
    return f"sum{f' by ({by})' if by else ''} (increase({metric}{{{matchers}}}[{period}]))"


def tokens(kind: str, period: str, by: str = "") -> str:
    return over(TOKENS, period, by, f'{MODEL}, type="{kind}"')


OVERVIEW: Final = Row(
    title="Overview",
    panels=(
        panel(
            "Cost",
            over(COST, "$__range"),
            kind="stat",
            **DOLLARS,
            width=4,
            text="Of the time shown.",
        ),
        panel(
            "Cost of 24 hours",
            over(COST, "24h"),
            kind="stat",
            **DOLLARS,
            width=4,
            text="Whatever time is shown.",
        ),
        panel("Input tokens", tokens("input", "$__range"), kind="stat", width=4),
        panel("Output tokens", tokens("output", "$__range"), kind="stat", width=4),
        panel(
            "Read from cache",
            f"{tokens('cache_read', '$__range')} / {tokens('input', '$__range')}",
            kind="stat",
            unit="percentunit",
            width=4,
            text="Share of the input tokens.",
        ),
        panel("Tool calls", over(TOOLS, "$__range", matchers="SELF"), kind="stat", width=4),
    ),
)

MONEY: Final = Row(
    title="Cost",
    panels=(
        panel(
            "Cost per hour, by model",
            (
                f"3600 * sum by (provider, model) (rate({COST}{{{MODEL}}}[$__rate_interval]))",
                "{{provider}} {{model}}",
            ),
            **DOLLARS,
            width=12,
            is_stacked=True,
        ),
        panel(
            "Cost per hour, by provider",
            (
                f"3600 * sum by (provider) (rate({COST}{{{MODEL}}}[$__rate_interval]))",
                "{{provider}}",
            ),
            **DOLLARS,
            width=12,
            is_stacked=True,
        ),
        panel(
            "Models",
            (f"sort_desc({over(COST, '$__range', 'provider, model')})", "Cost, US$"),
            (tokens("input", "$__range", "provider, model"), "Input tokens"),
            (tokens("output", "$__range", "provider, model"), "Output tokens"),
            (
                f"1e6 * {over(COST, '$__range', 'provider, model')} / "
                f"{over(TOKENS, '$__range', 'provider, model', INPUT_AND_OUTPUT)}",
                "US$ per million tokens",
            ),
            kind="table",
            width=24,
            text="Of the time shown. A model without a price has no cost.",
        ),
    ),
)

USE: Final = Row(
    title="Tokens",
    panels=(
        panel(
            "Tokens by type",
            (f"sum by (type) (rate({TOKENS}{{{MODEL}}}[$__rate_interval]))", "{{type}}"),
            text="cache_read and cache_write are part of input, reasoning is part of output.",
        ),
        panel(
            "Output tokens by model",
            (
                f'sum by (model) (rate({TOKENS}{{{MODEL}, type="output"}}[$__rate_interval]))',
                "{{model}}",
            ),
            is_stacked=True,
        ),
        panel(
            "Input tokens by model",
            (
                f'sum by (model) (rate({TOKENS}{{{MODEL}, type="input"}}[$__rate_interval]))',
                "{{model}}",
            ),
            is_stacked=True,
        ),
    ),
)

MCP: Final = Row(
    title="MCP tools",
    panels=(
        panel(
            "Calls by tool",
            (
                f"topk(15, sum by (server, tool) (rate({TOOLS}{{SELF}}[$__rate_interval])))",
                "{{server}} {{tool}}",
            ),
            unit="reqps",
            is_stacked=True,
        ),
        panel(
            "Calls by outcome",
            (f"sum by (status) (rate({TOOLS}{{SELF}}[$__rate_interval]))", "{{status}}"),
            unit="reqps",
            is_stacked=True,
        ),
        panel(
            "Failed, by tool",
            (
                "topk(15, sum by (server, tool) "
                f'(increase({TOOLS}{{SELF, status!="success"}}[$__rate_interval])))',
                "{{server}} {{tool}}",
            ),
            text="`other` are tools that have not succeeded yet.",
        ),
    ),
)

LLM_DASHBOARD: Final = Dashboard(
    name="llm",
    title="sidelog: models and tools",
    text="Calls of language models and of MCP tools: tokens, cost, outcome.",
    choices=(
        Choice(name="provider", metric=TOKENS, matchers="SELF"),
        Choice(name="model", metric=TOKENS, matchers='SELF, provider=~"$provider"'),
    ),
    rows=(OVERVIEW, MONEY, USE, MCP),
)
