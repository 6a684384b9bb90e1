"""Views of the store without a disk."""

from functools import cached_property

from storage.search.view import MAX_VIEWS, PutView, View


class KeepsViews:
    """The part of `storage.base.Storage` that is about views."""

    @cached_property
    def _views(self) -> dict[str, dict[str, View]]:
        return {}

    async def views(self, owner: str) -> list[View]:
        return [view for _, view in sorted(self._views.get(owner, {}).items())]

    async def put_view(self, owner: str, view: View, replaced: str | None = None) -> PutView:
        known = self._views.setdefault(owner, {})
        if replaced is not None and replaced not in known:
            return "missing"
        if replaced not in (None, view.name) and view.name in known:
            return "taken"

        kept = {name: other for name, other in known.items() if name not in (view.name, replaced)}
        if len(kept) >= MAX_VIEWS:
            return "full"

        self._views[owner] = kept | {view.name: view}
        return "stored"

    async def delete_view(self, owner: str, name: str) -> bool:
        return self._views.get(owner, {}).pop(name, None) is not None
