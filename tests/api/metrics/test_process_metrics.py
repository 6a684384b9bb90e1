"""What the processes say of themselves is in the exposition."""

from api.metrics.metrics import Metrics
from api.metrics.process_metrics import ProcessTotals, port_families, process_families
from tests.api.metrics.test_metrics import samples


def test_every_process_has_its_value() -> None:
    """Beside everything else."""
    totals = ProcessTotals(
        log_lines_dropped={"worker": 3, "supervisor": 0},
        reloads={"done": 2, "refused": 1},
        rings_unread=1,
        places_removed={"data directory": 4},
    )
    metrics = Metrics()
    metrics.watch(lambda: process_families(totals))
    read = samples(metrics.render("", None)[0].decode())
    assert read["sidelog_log_lines_dropped_total", "worker"] == 3
    assert read["sidelog_log_lines_dropped_total", "supervisor"] == 0
    assert read["sidelog_reloads_total", "done"] == 2
    assert read["sidelog_reloads_total", "refused"] == 1
    assert read["sidelog_rings_unread",] == 1
    assert read["sidelog_places_removed_total", "data directory"] == 4
    assert read["sidelog_batch_records_count",] == 0


def test_ports_have_every_reason_from_the_start() -> None:
    """By port and reason."""
    metrics = Metrics()
    metrics.watch(lambda: port_families({"admin": {"displaced": 3, "head": 0}, "metrics": {"head": 1}}))
    read = samples(metrics.render("", None)[0].decode())
    name = "sidelog_admin_connections_closed_total"
    found = {key[1:]: value for key, value in read.items() if key[0] == name}
    assert found == {("admin", "displaced"): 3, ("admin", "head"): 0, ("metrics", "head"): 1}
