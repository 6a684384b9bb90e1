"""The port as the settings have it. What it does: `test_client.py`."""

from pathlib import Path

from proxy.process.data_dir import LISTENS_NAME, update_state
from proxy.settings.model import AdminSettings, EgressSettings, ProxySettings, Settings
from proxy.worker.egress.port import own_listeners


def test_our_listeners_are_known_also_where_the_kernel_chose_the_port(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=str(tmp_path),
        proxy=ProxySettings(listen="unix:/run/a.sock"),
        admin=AdminSettings(listen="localhost:0"),
        egress=EgressSettings(listen="127.0.0.1:8888"),
    )
    assert own_listeners(settings) == [("127.0.0.1", 8888)]
    update_state(tmp_path, **{LISTENS_NAME: {"admin.listen": 4711, "proxy.listen": "/run/a.sock"}})
    assert sorted(own_listeners(settings)) == [("127.0.0.1", 8888), ("localhost", 4711)]
