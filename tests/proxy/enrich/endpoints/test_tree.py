"""Endpoints of one service, learned from its paths."""

from collections.abc import Iterable
from itertools import product

from proxy.enrich.endpoints.node import MAX_LITERALS, MAX_NUMBERED
from proxy.enrich.endpoints.tree import MAX_ENDPOINTS, MAX_OPERATIONS, MAX_SHARES, Tree
from tests.support.cases import each_of


def learned(paths: Iterable[str], method: str = "GET") -> Tree:
    tree = Tree()
    for path in paths:
        tree.learn(path, is_share=method == "PROPFIND")
    return tree


def endpoints(tree: Tree) -> set[str]:
    return set(tree.learned().endpoints)


def word(number: int) -> str:
    """Make a plain word of a number."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04}")


def test_names_stay_until_there_are_too_many() -> None:
    """One name more than a place may have makes values of them, and keeps what is below."""
    few = [f"/people/{word(number)}/posts" for number in range(MAX_LITERALS["word"])]
    assert len(endpoints(learned(few))) == MAX_LITERALS["word"]
    tree = learned([*few, "/people/zoe/posts", "/people/zoe"])
    assert endpoints(tree) == {"/people/{name}/posts", "/people/{name}"}
    assert tree.endpoints == 2


@each_of("stem", ["u", "user", "Room", "acct"])
@each_of("order", [1, -1])
def test_names_that_are_counted_are_ids(stem: str, order: int) -> None:
    """Those with one digit, which look like words, and those with more; where a place has some of
    them.
    """
    names = [f"{stem}{number}" for number in range(1, 22)][::order]
    paths = [
        *(f"/users/{name}/posts" for name in names),
        *(f"/users/{name}" for name in names),
        "/users/me",
    ]
    tree = learned(paths)
    assert endpoints(tree) == {"/users/{id}", "/users/{id}/posts", "/users/me"}
    again = Tree()
    again.merge(tree.learned())
    again.learn(f"/users/{stem}7")
    again.learn(f"/users/{stem}1234")
    assert endpoints(again) == endpoints(tree)


def test_few_that_are_counted_are_names() -> None:
    """As versions are, and steps; many versions are none of a kind."""
    paths = [
        f"/{name}{number}"
        for name in ("v", "step", "oauth")
        for number in range(1, MAX_NUMBERED + 1)
    ]
    assert endpoints(learned(paths)) == set(paths)
    versions = {f"/v{number}" for number in range(1, 10)}
    assert endpoints(learned(versions)) == versions


def test_titles_are_values_sooner_than_words() -> None:
    """What looks like data becomes a value while the words beside it stay."""
    titles = [f"/blog/how-to-do-{word(number)}" for number in range(MAX_LITERALS["data"] + 1)]
    assert endpoints(learned([*titles, "/blog/archive"])) == {"/blog/{slug}", "/blog/archive"}


def test_some_names_are_never_values() -> None:
    """`me` and `search` stay beside values, first or last."""
    names = [f"/people/{word(number)}" for number in range(100)]
    assert endpoints(learned([*names, "/people/me"])) == endpoints(learned(["/people/me", *names]))


def test_what_has_endpoints_of_its_own_is_no_value() -> None:
    """A name with a structure below it that its neighbours do not have stays: pages at the root do
    not hide an API.
    """
    api = ["/v1/users", "/v1/orders", "/v1/items"]
    tree = learned([*api, *(f"/{word(number)}" for number in range(100))])
    assert endpoints(tree) == {"/{name}", *api}


def test_what_is_learned_does_not_depend_on_the_order() -> None:
    """The same paths forwards and backwards make the same endpoints."""
    paths = [
        f"/people/{word(number)}/{below}"
        for number in range(80)
        for below in ("posts", f"likes/{number}")
    ]
    paths += [f"/blog/how-to-do-{word(number)}" for number in range(30)] + [
        "/people/me/posts",
        "/x",
        "/x/9",
    ]
    assert endpoints(learned(paths)) == endpoints(learned(reversed(paths)))


def test_trees_of_files_are_one_endpoint() -> None:
    """What WebDAV's methods are used on is one tree, whatever its paths are, from what they have in
    common on.
    """
    tree = learned(["/remote/dav/ann/a.txt", "/remote/dav/bob/b/c.png", "/remote/dav"], "PROPFIND")
    tree.learn("/remote/dav/eve/x/y/z.js")
    tree.learn("/remote/status")
    assert endpoints(tree) == {"/remote/dav", "/remote/dav/{path}", "/remote/status"}
    assert tree.find("/remote/dav/never/seen") is not None


def test_trees_of_files_are_bounded() -> None:
    """With more of them than anybody has everything is one, and no further one is kept."""
    tree = Tree()
    for number in range(1000):
        tree.learn(f"/{word(number)}/a", is_share=True)
    assert endpoints(tree) == {"/{path}"}
    assert len(tree.learned().shares) == MAX_SHARES + 1


def test_static_files_are_grouped() -> None:
    """By their first folder and kind; below a value by that."""
    tree = learned(
        ["/static/js/a.1.js", "/static/b.js", "/users/12/avatar.png", "/favicon.ico", "/x.css"]
    )
    assert endpoints(tree) == {"/static/*.js", "/users/{id}/*.png", "/favicon.ico", "/*.css"}


def test_operations_are_endpoints_up_to_a_limit() -> None:
    """GraphQL operations are told apart until there are too many."""
    tree = Tree()
    for number in range(MAX_OPERATIONS + 20):
        tree.learn("/graphql", f"Get{word(number)}")
    assert tree.endpoints == MAX_OPERATIONS + 1
    assert "/graphql#{operation}" in endpoints(tree)


def test_what_is_unknown_stays_unknown() -> None:
    """A path that was never learned has no endpoint, and looking for it makes none."""
    tree = learned(["/api/users/1"])
    assert tree.find("/api/users/77") is tree.find("/api/users/1")
    assert tree.find("/api/admin") is None
    assert tree.find("/api") is None
    assert endpoints(tree) == {"/api/users/{id}"}


def test_endpoints_are_bounded() -> None:
    """However paths are made up, endpoints stay within their limit."""
    tree = learned(
        f"/{word(a)}/{word(b)}/{word(c)}" for a in range(30) for b in range(30) for c in range(30)
    )
    assert tree.endpoints == len(endpoints(tree)) <= MAX_ENDPOINTS
    calls = learned(
        f"/rpc/{word(a)}.get{word(b).title()}/{word(b)}" for a in range(40) for b in range(40)
    )
    assert calls.endpoints == len(endpoints(calls)) <= MAX_ENDPOINTS


def test_a_full_tree_is_not_searched_for_room_with_every_path() -> None:
    """Where every path is answered, whoever makes them up must not cost each of them a walk over
    all that is known.
    """
    paths = ["/".join(["", *map(word, places)]) for places in product(range(3), repeat=6)]
    tree = learned(paths)
    assert (tree.endpoints, tree.is_settled, tree.learn(paths[-1])) == (MAX_ENDPOINTS, True, None)
    tree.learn(f"/{word(0)}", is_share=True)
    assert not tree.is_settled
    assert tree.learn(paths[-1]) is not None, "there is room again"


def test_what_was_learned_is_learned_again() -> None:
    """A new tree that is given what another learned is the same, names that are no values included."""
    paths = [f"/people/{word(number)}/posts" for number in range(100)]
    tree = learned(["/people/me", *paths, "/a/b"])
    tree.learn("/dav/x/y", is_share=True)
    tree.learn("/graphql", "GetUser")
    again = Tree()
    again.merge(tree.learned())
    assert endpoints(again) == endpoints(tree)
    assert again.learned().values == tree.learned().values
    assert again.endpoints == tree.endpoints
    assert again.find("/people/zoe/posts") is not None


def test_what_two_learned_is_put_together() -> None:
    """What one tree knows to be values are values in the other from then on."""
    one = learned(f"/people/{word(n)}" for n in range(100))
    other = learned(["/people/zoe", "/x"])
    other.merge(one.learned())
    assert endpoints(other) == {"/people/{name}", "/x"}
    other.merge(one.learned())
    assert endpoints(other) == {"/people/{name}", "/x"}


def test_operations_with_slashes_are_learned_again() -> None:
    """What MCP's methods are called; a restart finds them as they were."""
    tree = Tree()
    again = Tree()
    for operation in ("tools/list", "tools/call/add", "tools/call/sub"):
        tree.learn("/mcp", operation)
    again.merge(tree.learned())
    assert again.learned() == tree.learned()
    assert again.endpoints == tree.endpoints == 3
    assert again.find("/mcp", "tools/call/add") is not None
    assert again.find("/mcp") is None
    refused = again.find_refused("/mcp", "tools/call/other")
    assert refused is not None
    assert refused.template == "/mcp"
    assert again.find_refused("/other", "tools/list") is None
