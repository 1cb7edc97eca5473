"""Run Gradewatch with chunks of few messages: `in_small_chunks.py MESSAGES COMMAND…`."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# Else this folder comes first, and what lies here would hide what others import by the same names.
sys.path.remove(str(Path(__file__).resolve().parent))

from app.main import main
from engine.chunks import Chunk
from engine.consumer import ChunkConsumer
from engine.unpacking import Batch

_whole = ChunkConsumer._chunks


def _in_pieces_of(most: int) -> Any:
    def chunks(self: ChunkConsumer, fetched: Mapping[Any, Sequence[Batch]], epoch: int) -> Iterator[Chunk]:
        for partition, batches in fetched.items():
            for batch in batches:
                records = batch.records()
                for begin in range(0, len(records), most):
                    few = Batch.of(records[begin : begin + most])
                    yield from _whole(self, {partition: [few]}, epoch)

    return chunks


if __name__ == "__main__":
    _, messages, *command = sys.argv
    ChunkConsumer._chunks = _in_pieces_of(int(messages))  # type: ignore[method-assign]
    sys.argv = ["gradewatch", *command]
    main()
