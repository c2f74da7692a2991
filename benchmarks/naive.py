"""`python -m benchmarks.naive VECTORS PORT`: the same question answered the way everybody writes it first. FastAPI,
Pillow, ONNX Runtime and IndexFlatIP at their defaults, one request at a time through all of them: no batching, no
limits, no database, nothing kept, nothing refused. It is the honest baseline, and stays as it is."""

import io
import sys
from typing import Any

import faiss
import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image
from starlette.datastructures import UploadFile

from benchmarks.raw import MODEL_DIR
from service.embedding.manifest import read_manifest

CROPS_EACH = 8


def make_app(vectors: str) -> FastAPI:
    """The application, with a gallery from a .npy file."""
    app, manifest = FastAPI(), read_manifest(MODEL_DIR)
    session = onnxruntime.InferenceSession(MODEL_DIR / manifest.file)
    matrix = np.load(vectors)
    index = faiss.IndexFlatIP(matrix.shape[1])
    index.add(matrix)
    people = [f"p-{row // CROPS_EACH}" for row in range(len(matrix))]
    size = (manifest.input.width, manifest.input.height)

    def search(picture: bytes, k: int) -> dict[str, Any]:
        image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB").resize(size))
        (vector,) = session.run(None, {manifest.input.name: image[None]})
        similarities, rows = index.search(vector, k)
        return {
            "candidates": [
                {"identity": people[row], "crop": row, "similarity": similarity}
                for similarity, row in zip(similarities[0].tolist(), rows[0].tolist(), strict=True)
            ]
        }

    @app.post("/query")
    async def query(request: Request, k: int = 10) -> dict[str, Any]:
        if request.headers["content-type"].startswith("multipart/"):
            image = (await request.form())["image"]
            assert isinstance(image, UploadFile)
            picture = await image.read()
        else:
            picture = await request.body()
        return await run_in_threadpool(search, picture, k)

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning")
