"""Write `deploy/grafana` anew: `python -m deploy.dashboards`."""

import json
from pathlib import Path
from typing import Final

from deploy.dashboards.llm import LLM_DASHBOARD
from deploy.dashboards.model import Dashboard, render
from deploy.dashboards.pipeline import PIPELINE_DASHBOARD
from deploy.dashboards.traffic import TRAFFIC_DASHBOARD

FOLDER: Final = Path(__file__).parents[1] / "grafana"
DASHBOARDS: Final = (TRAFFIC_DASHBOARD, LLM_DASHBOARD, PIPELINE_DASHBOARD)


def path_of(dashboard: Dashboard) -> Path:
    return FOLDER / f"sidelog-{dashboard.name}.json"


def text_of(dashboard: Dashboard) -> str:
    """Return what its file holds."""
    return json.dumps(render(dashboard), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        path_of(each).write_text(text_of(each))
