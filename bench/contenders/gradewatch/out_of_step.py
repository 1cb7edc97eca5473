"""Gradewatch's worker with every raw partition read as fast as it goes: what reading in step is held against.

For the benchmark only: what arrives late is silent, so this loses alerts after a backlog.
"""

import app.worker
from app.main import main
from engine.app import ChunkApp
from engine.chunks import ChunkHandler


class OutOfStep(ChunkApp):
    """Takes no topic in step, whatever the worker wants."""

    def chunk_agent(
        self,
        topic: str,
        handle: ChunkHandler,
        *,
        name: str,
        in_step: bool = False,  # noqa: ARG002 (this is the point)
    ) -> None:
        """Declare an agent whose topic is read partition by partition."""
        super().chunk_agent(topic, handle, name=name)


if __name__ == "__main__":
    setattr(app.worker, "ChunkApp", OutOfStep)  # noqa: B010 (it is no public name)
    main(["worker"])
