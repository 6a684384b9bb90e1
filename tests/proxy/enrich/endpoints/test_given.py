"""Templates that somebody wrote down."""

from proxy.enrich.endpoints.endpoints import MAX_PATH_CHARACTERS, Given


def test_paths_are_found_by_their_template() -> None:
    """Parameters are any segment or part of one; a star at the end is anything below."""
    given = Given(
        ["/users/{name}", "/users/me", "/pets/{id}.json", "/files/*", "/a/{x}/b", "/a/c/{y}", "/"]
    )
    paths = {
        "/users/ann": "/users/{name}",
        "/users/me": "/users/me",
        "/users/": None,
        "/pets/5.json": "/pets/{id}.json",
        "/pets/5.xml": None,
        "/files": None,
        "/files/x": "/files/*",
        "/files/x/y/z": "/files/*",
        "/a/c/b": "/a/c/{y}",
        "/a/d/b": "/a/{x}/b",
        "/": "/",
        "/other": None,
    }
    assert {path: given.find(path) for path in paths} == paths


def test_a_literal_that_leads_nowhere_is_tried_as_a_value() -> None:
    """Behind a literal that has no further match, the parameter beside it is looked at."""
    given = Given(["/a/b/c", "/a/{x}/d"])
    assert given.find("/a/b/d") == "/a/{x}/d"


def test_endless_paths_are_not_looked_for() -> None:
    """A path beyond the limit has no template."""
    assert Given(["/{a}{b}{c}"]).find("/" + "x" * MAX_PATH_CHARACTERS) is None
