"""A FastAPI application that takes uploads: `uvicorn upload_app:app`."""

import hashlib
from typing import Annotated

from fastapi import FastAPI, Form, UploadFile

app = FastAPI()


@app.post("/upload")
async def upload(file: UploadFile, note: Annotated[str, Form()]) -> dict[str, object]:
    """Return what arrived."""
    digest = hashlib.sha256()
    size = 0
    while data := await file.read(1 << 20):
        digest.update(data)
        size += len(data)
    return {"name": file.filename, "bytes": size, "sha256": digest.hexdigest(), "note": note}
