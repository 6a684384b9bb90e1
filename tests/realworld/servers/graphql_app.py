"""A GraphQL API on Strawberry: queries, a mutation with a password, an upload, and a subscription
over WebSocket.
"""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator

import strawberry
from strawberry.asgi import GraphQL
from strawberry.file_uploads import Upload


@strawberry.type
@dataclasses.dataclass
class User:
    """Who is asked for."""

    id: int
    name: str


@strawberry.type
class Query:
    """What is read."""

    @strawberry.field
    def user(self, id: int) -> User:
        """Return a user; there is none with the number 13."""
        if id == 13:
            raise ValueError("no such user")
        return User(id=id, name=f"user {id}")


@strawberry.type
class Mutation:
    """What is changed."""

    @strawberry.mutation
    def login(self, name: str, password: str) -> str:
        """Take any password but those of length 5."""
        if len(password) == 5:
            raise PermissionError("wrong password")
        return name

    @strawberry.mutation
    async def size(self, file: Upload) -> int:
        """Count the bytes of an upload."""
        return len(await file.read())


@strawberry.type
class Subscription:
    """What is told."""

    @strawberry.subscription
    async def count(self, target: int) -> AsyncGenerator[int, None]:
        """Count, and fail at 3."""
        for number in range(target):
            if number == 3:
                raise RuntimeError("broke at 3")
            yield number
            await asyncio.sleep(0.01)


app = GraphQL(strawberry.Schema(Query, Mutation, Subscription), multipart_uploads_enabled=True)
