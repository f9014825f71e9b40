"""Data parallel over processes of one machine: one model in shared memory, one gradient buffer per process.

The driver's process takes its share of the passes.  Weights are never copied: the optimizer changes them in place in
shared memory while the workers wait, and a worker's gradient is read from its buffer.  The result is that of one
process up to the order of float32 sums; for a given number of processes it repeats bit by bit.
"""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import signal
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.multiprocessing
from torch import Tensor, nn
from torch.nn import Parameter

from trueloop.errors import ConfigError, TrainingError, TrueloopError
from trueloop.models.forward import linear_head
from trueloop.models.policy import Policy
from trueloop.train.batch import Pass
from trueloop.train.interventions import Chain
from trueloop.train.packing import cost, divide
from trueloop.train.passes import Runner, Tally, flat_buffer

SHARED_MEMORY = Path("/dev/shm")
PATIENCE_SECONDS = 5.0
"""How long a worker may take to leave when it is asked to, before it is killed."""


@dataclass(frozen=True, slots=True)
class _Task:
    """What a worker is asked: gradients, with the forward interventions, or log-probabilities alone."""

    passes: tuple[Pass, ...]
    compute_dtype: torch.dtype
    interventions: bytes | None


class Workers:
    """`processes` - 1 spawned processes beside the driver, each with one torch thread, as the driver has from now on.

    They end when closed, when the driver ends in whatever way, and after the first failure, which is raised in the
    driver as `TrainingError` with the worker's traceback.  SIGINT and SIGTERM are the driver's to handle, also where
    they are sent to the whole process group.  Since processes are spawned, a script must keep what it runs under
    `if __name__ == "__main__":`.
    """

    def __init__(self, policy: Policy, *, processes: int) -> None:
        """Move the policy's model to shared memory and start the workers; returns when all are ready.

        Raises `ConfigError` for fewer than two processes, a model that is not on the CPU or too little shared memory.
        """
        model, trainable = policy.model, policy.trainable()
        _require_room(model, trainable, processes)
        self.processes = processes
        torch.set_num_threads(1)
        _allow_open_files(4 * len(list(model.parameters())) + 512)
        model.share_memory()
        self._buffers = [flat_buffer(trainable).share_memory_() for _ in range(processes - 1)]
        self._workers: list[tuple[BaseProcess, Connection]] = []
        for k, buffer in enumerate(self._buffers, start=1):
            self._workers.append(_spawn(k, policy, trainable, buffer))
        self._guarded(lambda: self._receive())

    def backward(self, runner: Runner, passes: Sequence[Pass], chain: Chain) -> list[Tally]:
        """As `Runner.backward`, divided; the sum of all gradients is in the runner's buffer."""
        tallies: list[Tally] = self._run(passes, runner, chain)
        for buffer in self._buffers:
            runner.flat.add_(buffer)
        return tallies

    def logprobs(self, runner: Runner, passes: Sequence[Pass]) -> list[list[list[float]]]:
        """As `Runner.logprobs`, divided."""
        return self._run(passes, runner, None)

    def close(self) -> None:
        """End the workers.  Calling it twice is harmless."""
        for _, connection in self._workers:
            connection.close()
        for process, _ in self._workers:
            process.join(PATIENCE_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        self._workers = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, passes: Sequence[Pass], runner: Runner, chain: Chain | None) -> list[Any]:
        """One result per pass, in the passes' order."""
        if not self._workers:
            raise TrainingError("the worker processes have ended (closed, or after an earlier failure); start new ones")
        shares = divide([cost(work.rows) for work in passes], self.processes)
        acting = chain.for_workers() if chain else None
        messages = [_pickled(_Task(_pick(passes, s), runner.compute_dtype, acting)) for s in shares[1:]]

        def work() -> list[Any]:
            for (_, connection), message in zip(self._workers, messages, strict=True):
                with suppress(BrokenPipeError, ConnectionResetError):  # a dead worker: `_answer` says what became of it
                    connection.send_bytes(message)
            own = _pick(passes, shares[0])
            return [runner.backward(own, chain) if chain else runner.logprobs(own), *self._receive()]

        results = self._guarded(work)
        placed = {k: one for s, found in zip(shares, results, strict=True) for k, one in zip(s, found, strict=True)}
        return [placed[k] for k in range(len(passes))]

    def _guarded(self, work: Any) -> Any:
        """Run; if it does not come to its end, end the workers, which may be in the middle of anything."""
        done = False
        try:
            result = work()
            done = True
            return result
        finally:
            if not done:
                self.close()

    def _receive(self) -> list[Any]:
        """One answer per worker.  Raises `TrainingError` as soon as one has failed or died."""
        answers: dict[int, Any] = {}
        while len(answers) < len(self._workers):
            ready = wait([c for k, (_, c) in enumerate(self._workers) if k not in answers])
            for k, (_, connection) in enumerate(self._workers):
                if connection in ready:
                    answers[k] = self._answer(k)
        return [answers[k] for k in range(len(self._workers))]

    def _answer(self, k: int) -> Any:
        process, connection = self._workers[k]
        try:
            failure, answer = connection.recv()
        except (EOFError, ConnectionResetError):
            process.join(PATIENCE_SECONDS)
            raise TrainingError(
                f"training process {k + 2} of {self.processes} died with exit code {process.exitcode}; -9 is usually "
                "memory: lower batching.budget or the number of processes; 1 right after the start is usually a script "
                'that starts processes outside `if __name__ == "__main__":`'
            ) from None
        if failure is not None:
            raise TrainingError(failure)
        return answer


def _spawn(
    k: int, policy: Policy, trainable: Mapping[str, Parameter], buffer: Tensor
) -> tuple[BaseProcess, Connection]:
    context = torch.multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_serve, args=(there, policy, dict(trainable), buffer), name=f"trueloop-train-{k}", daemon=True
    )
    process.start()
    there.close()
    return process, here


def _serve(connection: Connection, policy: Policy, trainable: dict[str, Parameter], buffer: Tensor) -> None:
    """A worker's life: answer tasks until the driver closes the connection or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_leave_with_driver, daemon=True).start()
    torch.set_num_threads(1)
    with _Reporting(connection):
        linear_head(policy.base_model)
        runner = Runner(policy, trainable, buffer, torch.float32)
        connection.send((None, "ready"))
        while True:
            connection.send((None, _perform(runner, pickle.loads(connection.recv_bytes()))))


def _perform(runner: Runner, task: _Task) -> list[Any]:
    runner.compute_dtype = task.compute_dtype
    if task.interventions is None:
        return runner.logprobs(task.passes)
    runner.flat.zero_()
    return runner.backward(task.passes, Chain(pickle.loads(task.interventions)))


class _Reporting:
    """Sends whatever ends the worker to the driver, which raises it there.  A closed connection is a normal end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        text = str(error)
        if not isinstance(error, TrueloopError):
            text = "a training process failed:\n" + "".join(traceback.format_exception(kind, error, trace))
        if not isinstance(error, EOFError | BrokenPipeError | ConnectionResetError):
            with suppress(BrokenPipeError, ConnectionResetError):
                self._connection.send((text, None))
        return True


def _leave_with_driver() -> None:
    """End this process as soon as the one that started it is gone, even in the middle of a pass."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _pickled(task: _Task) -> bytes:
    try:
        return pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"a loss cannot be sent to worker processes: {error}; define its class at the top level of a module and "
            "keep lambdas out of it, or train with one process"
        ) from error


def _pick(passes: Sequence[Pass], indices: Sequence[int]) -> tuple[Pass, ...]:
    return tuple(passes[k] for k in indices)


def _require_room(model: nn.Module, trainable: Mapping[str, Parameter], processes: int) -> None:
    if processes < 2:
        raise ConfigError(f"workers need at least 2 processes, got {processes}; for one process give none")
    devices = {p.device.type for p in model.parameters()}
    if devices != {"cpu"}:
        raise ConfigError(f"several training processes share a model on the CPU only; this one is on {sorted(devices)}")
    weights = sum(p.numel() * p.element_size() for p in model.parameters() if not p.is_shared())
    need = weights + 4 * (processes - 1) * sum(p.numel() for p in trainable.values())
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else need
    if need > free:
        raise ConfigError(
            f"{processes} processes need {need / 2**20:.0f} MiB of shared memory and {SHARED_MEMORY} has "
            f"{free / 2**20:.0f} MiB free; give it more (docker run --shm-size), or train with one process"
        )


def _allow_open_files(needed: int) -> None:
    """Each shared tensor holds a file descriptor: raise this process's own limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
