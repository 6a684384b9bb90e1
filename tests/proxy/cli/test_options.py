"""The filters of the command line are the filters of the API."""

from api.http.params import FILTER_PARAMETERS
from proxy.cli.options import FILTERS


def test_every_filter_of_the_api_is_an_option() -> None:
    """A filter that the API has and the command line has not, or the other way round, fails here."""
    assert {name for name, _, _ in FILTERS} == set(FILTER_PARAMETERS)
