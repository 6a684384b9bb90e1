"""Costs: reported, listed, or not known."""

from proxy.enrich.llm.call import CallUsage
from proxy.enrich.llm.prices import LISTED, REPORTED, Cost, PriceOf, Prices


class Listed:
    """A price list that counts how often it is loaded and asked."""

    def __init__(self) -> None:
        self.loads = 0
        self.asked: list[tuple[str, str]] = []

    def load(self) -> PriceOf:
        """Load it."""
        self.loads += 1
        return self.price_of

    def price_of(self, provider: str, model: str, reading: CallUsage) -> float:
        """Know one model, break at another."""
        self.asked.append((provider, model))
        if model == "broken":
            raise ZeroDivisionError
        if (provider, model) != ("google", "gemini-pro"):
            raise LookupError(model)
        return 0.5


def test_reported_cost_wins() -> None:
    """What the provider says is not computed."""
    listed = Listed()
    reading = CallUsage(model="gemini-pro", input_tokens=5, cost_usd=0.25)
    assert Prices(listed.load).cost_of("gemini", reading) == Cost(0.25, REPORTED)
    assert listed.loads == 0


def test_listed_cost() -> None:
    """The list is loaded at the first need, asked under its own name of the provider, for the model that answered."""
    listed = Listed()
    prices = Prices(listed.load)
    assert prices.cost_of("gemini", CallUsage(model="gemini-pro")) is None
    assert listed.loads == 0
    reading = CallUsage(model="gemini-pro", resolved_model="gemini-pro-001", input_tokens=5)
    for _ in range(3):
        assert prices.cost_of("gemini", reading) == Cost(0.5, LISTED)
    assert listed.loads == 1
    assert listed.asked[:2] == [("google", "gemini-pro-001"), ("google", "gemini-pro")]
    assert listed.asked.count(("google", "gemini-pro-001")) == 1


def test_trouble_of_the_list_is_no_price() -> None:
    """Unknown models, a broken list and none at all give null."""
    listed = Listed()
    for model in ("broken", "unknown"):
        assert Prices(listed.load).cost_of("openai", CallUsage(model=model, input_tokens=1)) is None
    assert Prices(lambda: None).cost_of("openai", CallUsage(model="x", input_tokens=1)) is None
    assert Prices().cost_of("no-such-provider", CallUsage(model="no-such-model", input_tokens=1)) is None


def test_who_must_load_the_list_is_told_before() -> None:
    """Loading takes long: it is due once, and only for a call whose cost nobody stated."""
    prices = Prices(Listed().load)
    priced = CallUsage(model="gemini-pro", input_tokens=5)
    assert not prices.must_load(CallUsage(model="gemini-pro"))
    assert not prices.must_load(CallUsage(model="gemini-pro", input_tokens=5, cost_usd=0.25))
    assert prices.must_load(priced)
    prices.cost_of("gemini", priced)
    assert not prices.must_load(priced)
