"""Taking expressions apart."""

from storage.search.expression import (
    And,
    Between,
    InNetwork,
    Is,
    Like,
    Not,
    Or,
    Substring,
    conjuncts,
    joined,
    leaf_field,
    leaves,
    needs_payload,
    needs_tools,
    negated_at_leaves,
)

A, B, C = Is("method", ("A",)), Like("header.x", ("b",)), Substring("c")


def test_conjuncts_and_joined() -> None:
    """Both ways, without an And of one or of none."""
    assert joined(()) is None
    assert joined((A,)) == A
    assert joined((And((A, B)), C)) == And((A, B, C))
    assert conjuncts(And((A, B))) == (A, B)
    assert conjuncts(Or((A, B))) == (Or((A, B)),)
    assert conjuncts(None) == ()


def test_leaves() -> None:
    """Every leaf, wherever it stands, and the field it asks."""
    assert list(leaves(And((Not(A), Or((B, C)))))) == [A, B, C]
    assert list(leaves(None)) == []
    assert [leaf_field(leaf) for leaf in (A, B, C, InNetwork(b"", b""))] == [
        "method",
        "header.x",
        "text",
        "client_ip",
    ]


def test_what_is_needed() -> None:
    """Heads and bodies for headers, body fields and texts; calls for tools."""
    assert not needs_payload(A)
    assert not needs_payload(None)
    assert needs_payload(Not(B))
    assert needs_payload(C)
    assert needs_payload(Between("body.n", 1, 2))
    assert needs_tools(Or((A, Is("tool", ("t",)))))
    assert not needs_tools(A)


def test_negations_go_to_the_leaves() -> None:
    """And and or change places under each, two of them cancel, and what must hold is found by
    itself.
    """
    assert negated_at_leaves(A) == A
    assert negated_at_leaves(Not(Not(A))) == A
    assert negated_at_leaves(Not(Or((A, Not(B))))) == And((Not(A), B))
    assert negated_at_leaves(Not(And((A, Or((B, C)))))) == Or((Not(A), And((Not(B), Not(C)))))
    inner = Not(Or((B, Not(And((A, C))))))
    assert conjuncts(negated_at_leaves(And((A, inner)))) == (A, Not(B), A, C)
