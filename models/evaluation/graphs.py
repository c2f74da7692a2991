"""ONNX files opened for evaluation and export. It needs no torch."""

import os
import re
from pathlib import Path

import onnxruntime

from models.errors import Refused
from service.embedding.onnx_model import PROVIDERS

LONGEST = 160  # characters of a runtime's message


def open_graph(graph: bytes | Path, provider: str = "cpu", threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session of a file or of its content, with a thread for each core unless told. Raises Refused with ONNX
    Runtime's reason, and where it does not run on the provider."""
    what = "the graph" if isinstance(graph, bytes) else str(graph)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, and told in one line
    options.intra_op_num_threads = threads or count_cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others may want the cores
    try:
        source = graph if isinstance(graph, bytes) else str(graph)
        session = onnxruntime.InferenceSession(source, options, providers=[PROVIDERS[provider]])
    except Exception as error:  # ONNX Runtime raises its own unexported classes
        raise Refused(f"ONNX Runtime cannot load {what}: {first_line(error)}") from error
    if session.get_providers()[0] != PROVIDERS[provider]:
        raise Refused(f"ONNX Runtime runs {what} on {session.get_providers()[0]}, not {provider}; check the driver")
    return session


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def first_line(error: Exception) -> str:
    """What ONNX or its runtime says first, without codes and its own source lines; the rest is for its developers."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    line = re.sub(
        r"^\[ONNXRuntimeError\] : \d+ : \w+ : |Status Message: |\S*/onnxruntime/\S+ (?:onnxruntime::)?", "", line
    )
    return line if len(line) <= LONGEST else line[:LONGEST] + " …"
