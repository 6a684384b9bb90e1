"""Counters of LLM and tool calls."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from api.metrics.metrics import MAX_MODELS, MAX_TOOLS, Metrics
from storage.grpc import Grpc
from storage.record import Entry, ToolCall
from tests.api.samples import make_record


def shown(metrics: Metrics) -> list[str]:
    """The lines of a scrape."""
    return metrics.render("", None)[0].decode().splitlines()


def call(tool: str, status: str = "success", server: str = "demo") -> ToolCall:
    """A call that has ended."""
    return ToolCall(
        record_id=bytes(16), started_at_us=1, created_at_us=1, tool_name=tool, server_label=server,
        status="success" if status == "success" else "error",
    )  # fmt: skip


def test_tokens_and_cost() -> None:
    """By provider, model and type; calls without counts add nothing."""
    metrics = Metrics()
    llm = {"provider": "openai", "model": "gpt", "resolved_model": "gpt-1", "usage_state": "exact"}
    for number in (1, 2):
        counts = {"input_tokens": 10, "output_tokens": 5, "reasoning_tokens": 0}
        metrics.observe([Entry(make_record(number, **llm, **counts, cost_usd=0.5))])
    metrics.observe(
        [Entry(make_record(3, provider="openai", model="invented", usage_state="absent"))]
    )
    metrics.observe([Entry(make_record(4))])
    lines = shown(metrics)
    assert 'sidelog_llm_tokens_total{model="gpt-1",provider="openai",type="input"} 20.0' in lines
    assert 'sidelog_llm_tokens_total{model="gpt-1",provider="openai",type="output"} 10.0' in lines
    assert 'sidelog_llm_cost_usd_total{model="gpt-1",provider="openai"} 1.0' in lines
    assert not any("invented" in line or "reasoning" in line for line in lines)


def test_grpc_calls_count_by_status() -> None:
    """And their messages by direction; a call that ended without a status counts as `none`."""
    metrics = Metrics()
    for number, grpc in enumerate((Grpc(0, None, 1, 5), Grpc(14, None, 2, 0), Grpc())):
        metrics.observe([Entry(make_record(number, route_id="shop", grpc=grpc))])
    lines = shown(metrics)
    for status in ("OK", "UNAVAILABLE", "none"):
        assert f'sidelog_grpc_requests_total{{route="shop",status="{status}"}} 1.0' in lines
    assert 'sidelog_grpc_messages_total{direction="request",route="shop"} 3.0' in lines
    assert 'sidelog_grpc_messages_total{direction="response",route="shop"} 5.0' in lines


def test_labels_are_bounded() -> None:
    """Invented models and tools end under `other`; a tool that never succeeded has no label of its
    own.
    """
    metrics = Metrics()
    for number in range(MAX_MODELS + 50):
        record = make_record(
            number, provider="openai", model=f"m{number}", usage_state="exact", input_tokens=1
        )
        metrics.observe([Entry(record)])

    metrics.calls.observe_tools([call(f"t{number}") for number in range(MAX_TOOLS + 50)])
    metrics.calls.observe_tools([call("made-up", "error"), call("t1", "error")])
    lines = shown(metrics)
    assert (
        len([line for line in lines if line.startswith("sidelog_llm_tokens_total")])
        == MAX_MODELS + 1
    )
    assert (
        len([line for line in lines if line.startswith("sidelog_mcp_tool_calls_total")])
        == MAX_TOOLS + 3
    )
    assert 'sidelog_mcp_tool_calls_total{server="demo",status="error",tool="t1"} 1.0' in lines
    assert not any("made-up" in line for line in lines)
    assert "sidelog_metric_overflow_total 100.0" in lines


def test_servers_that_only_fail_are_bounded() -> None:
    """Servers name themselves, some anew at each start; those whose tools never succeeded count
    against the limit.
    """
    metrics = Metrics()
    metrics.calls.observe_tools(
        [call("t", "error", f"FastMCP-{number}") for number in range(MAX_TOOLS + 50)]
    )
    metrics.calls.observe_tools([call("u", "error", "FastMCP-1")])
    lines = [line for line in shown(metrics) if line.startswith("sidelog_mcp_tool_calls_total")]
    assert len(lines) == MAX_TOOLS + 1
    assert (
        'sidelog_mcp_tool_calls_total{server="FastMCP-1",status="error",tool="other"} 2.0' in lines
    )
    assert 'sidelog_mcp_tool_calls_total{server="other",status="error",tool="other"} 50.0' in lines


def test_families_are_sound() -> None:
    """They can be registered and written."""
    metrics = Metrics()
    metrics.calls.observe_tools([call("add")])
    registry = CollectorRegistry()
    registry.register(metrics.calls)
    assert b"sidelog_mcp_tool_calls_total" in generate_latest(registry)
