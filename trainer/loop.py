"""The training loop: one step, and what happens between steps.

The order of a step is the whole of pre-training: read the global batch's share, count its tokens over all ranks, run
forward and backward a micro-batch at a time, sum gradients in the last one's backward, judge, clip, update. Nothing in
it waits for a GPU: a step's numbers are read while the next one computes, so metrics, the guard and requests to stop
come one step late there, and everywhere at the same step on all ranks.

A step is a function of (configuration, tokens, seed, step number, state): what happens between steps (validation,
samples, checkpoints) draws nothing from the generators that training draws from.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ..console import Progress, WorkError, say
from . import checkpoint
from .directory import TrainingDirectory
from .distributed import World
from .evaluation.bits import Bits, bits_per_byte, bytes_per_token
from .generation.generate import Writer
from .generation.sampling import Sampler, Sampling
from .guard import PATIENCE, Guard
from .loader.batches import Loader, validation_batches
from .loader.stream import TokenStream
from .meters import Metrics
from .model.config import ModelConfig
from .model.decoder import Decoder, initialise
from .objectives.causal import CausalObjective, counted
from .optimizers.adamw import adamw, step_unless
from .optimizers.cosine import cosine
from .precision import choose
from .settings import TrainSettings

SAMPLING = Sampling(temperature=0.8, top_k=50)  # of the samples that a run writes
STAGE = "pretrain"


@dataclass
class Stop:
    """Why a run should end before its last step, as far as this process knows."""

    signal: bool = False
    deadline: float | None = None

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline


@dataclass
class Launched:
    """A step whose numbers are on their way to the host, where they lie once `arrived` is reached."""

    step: int
    lr: float
    consumed: int
    numbers: Tensor  # (7,) float64: loss sum, signalled, late, tokens, norm, bad in a row, skipped
    arrived: torch.cuda.Event | None


class Trainer:
    """One run on one rank. `run()` trains to the last step, or to where it is told to stop."""

    def __init__(
        self, settings: TrainSettings, directory: TrainingDirectory, world: World, stream: TokenStream, tokenizer: bytes
    ):
        self.settings, self.directory, self.world, self.stream = settings, directory, world, stream
        self.tokenizer = tokenizer
        self.precision = choose(settings.precision, world.device)
        data, info = settings.data, stream.manifest.tokenizer
        self.loader = Loader(stream, data.length, settings.batch.sequences, data.seed, world.rank, world.size)
        self.micro = settings.batch.micro or settings.batch.sequences // world.size
        self.validation = TokenStream(stream.directory, "validation")
        config = ModelConfig(**dict(settings.model), vocabulary=info.vocabulary, length=data.length)
        with world.device:
            self.model = Decoder(config).to(self.precision.weights)
        initialise(self.model, settings.seed)
        torch.manual_seed(settings.seed + world.rank)  # for what a model draws while it trains
        self.objective = CausalObjective(self.model)
        self.parallel = world.data_parallel(self.objective)
        chosen = settings.optimizer
        self.optimizer = adamw(self.model, chosen.lr, chosen.betas, chosen.eps, chosen.weight_decay)
        self.guard = Guard(world.device)
        self.writer = Writer(self.model, Tokenizer.from_str(tokenizer.decode()), info.end_of_text, self.precision)
        self.config = {
            "stage": STAGE,
            "model": config.model_dump(),
            "tokenizer": {"sha256": info.sha256, "vocabulary": info.vocabulary, "end_of_text": info.end_of_text},
        }
        self.done = 0  # steps
        self.seconds = 0.0  # of training, over all the processes of the run
        self.launched: Launched | None = None
        self.stop = Stop()
        self.told, self.late = False, False  # what all ranks know: a signal came, the time is over
        self.metrics = Metrics(None, 0)
        self.progress: Progress | _Silent = _Silent()
        self.clock = time.monotonic()

    # -- state -------------------------------------------------------------------------------------------------------

    def resume(self) -> bool:
        """Take up the newest whole checkpoint; False where there is none."""
        found = self.world.from_first(lambda: checkpoint.newest(self.directory.checkpoints))
        if found is None:
            return False
        checkpoint.restore(found, world=self.world, model=self.model, optimizer=self.optimizer)
        state = found.state
        self.done, self.seconds = state["step"], state["seconds"]
        self.loader.load(state["consumed"])
        self.guard.load(state["guard"])
        return True

    def save(self, run: dict[str, Any]) -> None:
        """A checkpoint of the state after `done` steps."""
        self.settle()
        if self.world.first:
            self.metrics.settle()
        checkpoint.save(
            self.directory.checkpoints,
            self.done,
            world=self.world,
            model=self.model,
            optimizer=self.optimizer,
            state={"consumed": self.loader.state(), "guard": self.guard.state(), "seconds": self.seconds},
            config=self.config | {"step": self.done},
            tokenizer=self.tokenizer,
            keep=self.settings.checkpoint.keep,
        )
        if self.world.first:
            self.directory.progress(run, self.done, self.loader.state())
        self.clock = time.monotonic()

    # -- a step ------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One update of the weights."""
        settings, world = self.settings, self.world
        batch = torch.from_numpy(self.loader.next())
        if world.device.type == "cuda":
            batch = batch.pin_memory().to(world.device, non_blocking=True)
        tokens = world.sum(counted(batch))
        loss = torch.zeros((), dtype=torch.float64, device=world.device)
        parts = batch.split(self.micro)
        for i, part in enumerate(parts):
            with self._sums_gradients(i == len(parts) - 1):
                with self.precision.computing():
                    nats = self.parallel(part)
                (nats / tokens).backward()
            loss += nats.detach()
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        told = torch.full_like(loss, self.stop.signal)
        late = torch.full_like(loss, world.first and self.stop.late)  # the first rank has the clock
        sums = world.sum(torch.stack([loss, told, late]))
        bad = self.guard.judge(sums[0], norm)
        if settings.optimizer.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.model.parameters(), settings.optimizer.clip, norm)
        schedule = settings.schedule
        lr = cosine(self.done, settings.optimizer.lr, schedule.warmup, schedule.steps, schedule.min_lr)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        step_unless(self.optimizer, bad)
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        counts = [tokens, norm, self.guard.in_a_row, self.guard.skipped]
        numbers = torch.cat([sums, torch.stack([count.double() for count in counts])])
        before, self.launched = self.launched, self._launched(lr, numbers)
        if world.asynchronous:
            self._read(before)
        else:
            self.settle()

    def _launched(self, lr: float, numbers: Tensor) -> Launched:
        """Send a step's numbers to the host without waiting for them."""
        numbers, arrived = numbers.to("cpu", non_blocking=True), None
        if self.world.device.type == "cuda":
            arrived = torch.cuda.Event()
            arrived.record()
        return Launched(self.done, lr, self.loader.consumed, numbers, arrived)

    def _sums_gradients(self, now: bool) -> contextlib.AbstractContextManager:
        """The backward that follows talks to the other ranks only if it is the last of its step."""
        return contextlib.nullcontext() if now or self.world.size == 1 else self.parallel.no_sync()

    def settle(self) -> None:
        """Read the numbers of every step that was launched."""
        before, self.launched = self.launched, None
        self._read(before)

    def _read(self, launched: Launched | None) -> None:
        """Wait for a step's numbers, tell of them, and act on them as every other rank does."""
        if launched is None:
            return
        if launched.arrived is not None:
            launched.arrived.synchronize()
        loss, told, late, tokens, norm, in_a_row, skipped = launched.numbers.tolist()
        now = time.monotonic()
        passed, self.clock = now - self.clock, now
        self.seconds += passed
        self.told |= told > 0
        self.late |= late > 0
        speed = tokens / max(passed, 1e-9)
        record = {"step": launched.step, "loss": loss / tokens, "lr": launched.lr, "grad_norm": norm}
        record |= {"tokens": launched.consumed * self.settings.data.length, "tokens_per_s": round(speed, 1)}
        record |= {"seconds": round(self.seconds, 3), "skipped": int(skipped)}
        self.metrics.write(record)
        self.progress.advance(1, f"loss {loss / tokens:.3f}, {speed:,.0f} tokens/s")
        if in_a_row >= PATIENCE:
            raise WorkError(
                f"the loss or the gradient was not finite in {PATIENCE} steps in a row, up to step {launched.step}; "
                "the newest checkpoint is from before them. Lower optimizer.lr or raise schedule.warmup in a new run; "
                f"`gristmill trace {self.directory.path} --step {launched.step}` names the documents"
            )

    # -- between steps -----------------------------------------------------------------------------------------------

    def validate(self) -> Bits | None:
        """Bits per byte of the validation split, told and noted; None where there is none."""
        settings = self.settings
        if self.validation.sequences(settings.data.length) == 0:
            return None
        self.settle()
        limit, rank, size = settings.validation.sequences, self.world.rank, self.world.size
        batches = validation_batches(self.validation, settings.data.length, self.micro, limit, rank, size)
        token_bytes = bytes_per_token(self.validation)
        bits = bits_per_byte(self.objective, batches, token_bytes, self.world, self.precision)
        numbers = {"validation_loss": bits.nats, "validation_bits_per_byte": bits.per_byte}
        self.metrics.write({"step": self.done} | numbers)
        self._say(f"step {self.done:,}: validation {bits.per_byte:.4f} bits per byte (loss {bits.nats:.3f})")
        self.clock = time.monotonic()
        return bits

    def sample(self) -> None:
        """What the model writes after each prompt, into samples/; with the same seed at every step, to compare."""
        prompts = self.settings.samples.prompts
        if not prompts:
            return
        self.settle()
        if self.world.first:
            self.model.eval()
            texts = []
            for prompt in prompts:
                sampler = Sampler(SAMPLING, self.settings.seed)
                texts.append(prompt + "".join(self.writer.stream(prompt, self.settings.samples.tokens, sampler)))
            self.model.train()
            self.directory.samples.mkdir(exist_ok=True)
            path = self.directory.samples / f"step-{self.done:08d}.txt"
            path.write_text("\n\n---\n\n".join(texts) + "\n", encoding="utf-8")
        self.world.barrier()
        self.clock = time.monotonic()

    def run(self, run: dict[str, Any]) -> None:
        """Train from where the state is to the end of the schedule, or to where a signal or the clock ends it."""
        settings = self.settings
        self.metrics = Metrics(self.directory.metrics if self.world.first else None, self.done)
        if self.done == 0:
            self.sample()
        if settings.max_seconds is not None:
            self.stop.deadline = time.monotonic() + settings.max_seconds
        self.clock = time.monotonic()
        with self._listening(), self._progress(), contextlib.closing(self.metrics):
            while self.done < settings.schedule.steps and not (self.told or self.late):
                self.step()
                chores = (settings.validation.every, settings.samples.every, settings.checkpoint.every)
                measure, write, keep = (self.done % every == 0 for every in chores)
                if measure or write or keep or self.done == settings.schedule.steps:
                    self.settle()  # so that all that is known of this step is known
                last = self.done == settings.schedule.steps or self.told or self.late
                if (last or measure) and not self.told:  # who sends a signal may not wait for long
                    self.validate()
                if (last or write) and not self.told:
                    self.sample()
                if last or keep:  # after the others: what a checkpoint follows is done, once
                    self.save(run)
        if self.told:
            self._say(f"stopped by a signal after step {self.done:,}; the same command goes on from there")
            raise SystemExit(128 + signal.SIGTERM)
        why = "the time is over" if self.done < settings.schedule.steps else "done"
        self._say(f"{why}: {self.done:,} steps, {self.loader.consumed * settings.data.length:,} tokens")

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        """SIGTERM asks for a checkpoint and an end, in the main thread, which alone may listen."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def told(*_: object) -> None:
            self.stop.signal = True

        before = signal.signal(signal.SIGTERM, told)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    @contextlib.contextmanager
    def _progress(self) -> Iterator[None]:
        with _Silent() if not self.world.first else Progress("train", self.settings.schedule.steps, "steps") as bar:
            self.progress = bar
            bar.advance(self.done)
            yield

    def _say(self, text: str) -> None:
        if self.world.first:
            say(text)


class _Silent:
    """The progress of a rank that does not speak."""

    def advance(self, n: int = 0, note: str = "") -> None:
        pass

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass
