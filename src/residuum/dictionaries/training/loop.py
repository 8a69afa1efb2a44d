"""The loop of a training: the stream through every dictionary on it, with checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from residuum.core import OptionError
from residuum.dictionaries.harvests.sources import ActivationSource, Batch
from residuum.dictionaries.training.checkpoints import (
    joined_state,
    read_checkpoint,
    refuse_other,
    split_state,
    write_checkpoint,
)
from residuum.dictionaries.training.crew import Crew
from residuum.dictionaries.training.progress import Teller
from residuum.dictionaries.training.state import TrainingState

_STREAM = "stream/"


class TrainingLoop:
    """The stream through all states, with checkpoints."""

    def __init__(
        self,
        source: ActivationSource,
        states: Sequence[TrainingState],
        folder: Path | None,
        teller: Teller,
        workers: int = 1,
    ) -> None:
        self.source, self.states, self.folder, self.teller = source, states, folder, teller
        self.workers = workers
        options = states[0].options
        self.steps, self.size = options.schedule.steps, options.batch_size
        self.keep_every = options.keep_every

    def run(self) -> None:
        """Go on from what is kept to the last step."""
        done = self._resume()
        self.teller.start(done)
        alone = self.workers == 1 or done >= self.steps
        try:
            with nullcontext() if alone else Crew(self.states, self.size, self.workers) as crew:
                self._steps(done, crew)
        finally:
            self.teller.finish()

    def _steps(self, done: int, crew: Crew | None) -> None:
        batches = endless(self.source, self.size, done, self.steps)
        for step in range(done, self.steps):
            values = next(batches).values
            if crew is not None:
                crew.hand_out(values)
            for state in self.states:
                row = state.advance(values)
                if row is not None:
                    self.teller.tell(state.name, row)
            if (step + 1) % self.keep_every == 0 or step + 1 == self.steps:
                self._keep()
            self.teller.advance()

    def _spec(self) -> dict[str, Any]:
        return {
            "stream": self.source.record,
            "sites": list(map(str, self.source.sites)),
            "weight_hash": self.source.weight_hash,
            "dictionaries": {state.name: state.spec() for state in self.states},
        }

    def _keep(self) -> None:
        if self.folder is None:
            return
        tensors, place = split_state(self.source.state(), _STREAM)
        for state in self.states:
            tensors |= {f"{state.name}/{k}": v for k, v in state.tensors().items()}
        plain = {
            "spec": self._spec(),
            "place": place,
            "dictionaries": {state.name: state.plain() for state in self.states},
        }
        write_checkpoint(self.folder, tensors, plain)

    def _resume(self) -> int:
        kept = None if self.folder is None else read_checkpoint(self.folder)
        if kept is None or self.folder is None:
            return 0
        tensors, plain = kept
        refuse_other(plain["spec"], self._spec(), self.folder)
        for state in self.states:
            own = joined_state(tensors, {}, f"{state.name}/")
            state.restore(own, plain["dictionaries"][state.name])
        self.source.restore(joined_state(tensors, plain["place"], _STREAM))
        return self.states[0].step


def endless(
    source: ActivationSource, size: int, done: int = 0, steps: int | None = None
) -> Iterator[Batch]:
    """Batches of exactly ``size`` rows; a stream that ends is asked again, for its next round.

    Args:
        source: the stream, at the place after ``done`` batches.
        size: rows of a batch.
        done: batches that were taken before.
        steps: batches that are wanted in all, to be told if there are fewer; None: not known.

    Raises:
        OptionError: it has ended, or never had a full batch; each asked twice.
    """
    empty = 0
    while empty < 2:
        empty += 1
        for batch in source.batches(size):
            if len(batch.values) == size:
                empty, done = 0, done + 1
                yield batch
    if not done:
        raise OptionError(
            f"the stream has no batch of {size} rows",
            mend=f"give a stream of at least {size} rows, or lower batch_size",
        )
    wanted = "" if steps is None else f" of {steps:,}"
    raise OptionError(
        f"the stream has ended after {done:,}{wanted} steps of {size:,} rows",
        mend=f"give it more epochs (None: without end), or train {done:,} steps at most",
    )
