"""Sessions, tasks and pending calls of tenants who share a sidecar: none reaches another's."""

import pytest

from proxy.enrich.mcp import sessions as mcp_sessions
from tests.proxy.enrich.exchanges import descriptor_of, settings
from tests.proxy.enrich.mcp.mcp_world import NO_SESSION, OLD, World, answer, ask, only, reply
from tests.proxy.enrich.mcp.test_tasks import about, task


def as_tenant(world: World, project: str) -> None:
    """What passes from now on is of this project."""
    world.descriptor = descriptor_of(settings(id="tools", project=project))


@pytest.mark.parametrize("headers", [OLD, NO_SESSION], ids=["session", "no session"])
def test_a_task_of_another_tenant_is_not_ended(headers: str) -> None:
    """Ids of tasks and sessions may be guessed: what is answered to one is nobody else's result."""
    world = World()
    as_tenant(world, "a")
    begun = world.pass_on(ask(task={}), reply({"task": task()}), request_headers=headers)
    as_tenant(world, "b")
    other = world.pass_on(about("result"), answer(2, "secret of b"), request_headers=headers)
    assert other.tool_calls == []
    assert other.record.stream is None
    as_tenant(world, "a")
    call = only(world.pass_on(about("result"), answer(2, "of a"), request_headers=headers))
    assert (call.record_id, call.status) == (begun.record.id, "success")
    assert b"of a" in (call.result or b"")


def test_a_call_of_another_tenant_is_neither_answered_nor_cancelled() -> None:
    """Under its session's name, too."""
    world = World()
    as_tenant(world, "a")
    world.accept(ask(1))
    as_tenant(world, "b")
    assert world.pass_on(b"", answer(1, "secret of b")).tool_calls == []
    assert world.pass_on(b"", method="DELETE").tool_calls == []
    as_tenant(world, "a")
    assert only(world.pass_on(b"", answer(1, "of a"))).status == "success"


def test_who_keeps_many_calls_pending_evicts_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of those, however much older another's is."""
    monkeypatch.setattr(mcp_sessions, "MAX_PENDING", 4)
    world = World()
    as_tenant(world, "a")
    world.accept(ask("first"))
    as_tenant(world, "b")
    calls = [call for number in range(9) for call in world.accept(ask(number)).tool_calls]
    assert [call.rpc_id for call in calls if call.status == "error"] == [*"012345"]
    as_tenant(world, "a")
    assert only(world.pass_on(b"", answer("first"))).status == "success"
