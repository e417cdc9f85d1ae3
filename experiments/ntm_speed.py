"""A training step of a neural Turing machine, beside one in PyTorch on the same sizes.

    python experiments/ntm_speed.py [--rounds 7] [--seconds 4]

LSTM of 100 units, a memory of 128 slots of 20 numbers, one reading and one writing head, 40 steps,
32 sequences of 10 features; the last output is read into 10 classes, and one SGD update is made.
`rnnexp` is the loop of `rnnexp run` at the default recording period, `rnnexp, bare step` its
compiled step alone. PyTorch (pip install torch) computes the same equations, written here batch
by batch as its users write them. Each has a process of its own; they work in turn.

Prints the median milliseconds of a step, and the median over the rounds of the ratio to rnnexp.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from rnnexp.bench import ours
from rnnexp.bench.ours import TimedLoop
from rnnexp.bench.peers import timed
from rnnexp.bench.workloads import CLASSES, LEARNING_RATE, Workload, draw
from rnnexp.runtime.allocator import keep_memory

WORK = Workload("ntm", "neural Turing machine", 40, 32, 10, 100)
SLOTS, WIDTH, SHIFTS, CLIP = 128, 20, 3, 20.0


def in_torch() -> TimedLoop:
    """The network and its update in PyTorch."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    sizes = [WIDTH, 1, 1, SHIFTS, 1]
    heads = 2 * sum(sizes) + 2 * WIDTH
    cell = nn.LSTMCell(WORK.input_size + WIDTH, WORK.hidden_size)
    ask = nn.Linear(WORK.hidden_size, heads)
    out = nn.Linear(WORK.hidden_size + WIDTH, CLASSES)
    first_w = nn.Parameter(0.01 * torch.randn(2, SLOTS))
    first_r = nn.Parameter(0.01 * torch.randn(WIDTH))
    modules = [*cell.parameters(), *ask.parameters(), *out.parameters(), first_w, first_r]
    optimizer = torch.optim.SGD(modules, LEARNING_RATE)
    x_TxBxI, class_B = (torch.from_numpy(array) for array in draw(WORK))
    class_B = class_B.long()

    def address(z: Any, memory: Any, old: Any) -> Any:
        key, strength, gate, shift, exponent = torch.split(z, sizes, -1)
        likeness = f.cosine_similarity(torch.tanh(key)[:, None], memory, dim=-1, eps=1e-6)
        content = torch.softmax(f.softplus(strength) * likeness, -1)
        gate = torch.sigmoid(gate)
        mixed = gate * content + (1 - gate) * old
        shift = torch.softmax(shift, -1)
        moved = sum(torch.roll(mixed, k - 1, -1) * shift[:, k : k + 1] for k in range(SHIFTS))
        powers = (moved + 1e-16) ** (1 + f.softplus(exponent))
        return powers / powers.sum(-1, keepdim=True)

    def logits() -> Any:
        size = WORK.batch_size
        memory = torch.full((size, SLOTS, WIDTH), 1e-6)
        w_read, w_write = torch.softmax(first_w, -1)[:, None].expand(2, size, SLOTS)
        r = torch.tanh(first_r).expand(size, WIDTH)
        state: Any = None
        for x_BxI in x_TxBxI:
            state = cell(torch.cat([x_BxI, r], -1), state)
            z = torch.clamp(ask(state[0]), -CLIP, CLIP)
            of_read, of_write, erase, add = torch.split(z, [sum(sizes)] * 2 + [WIDTH] * 2, -1)
            w_read = address(of_read, memory, w_read)
            w_write = address(of_write, memory, w_write)
            r = torch.bmm(w_read[:, None], memory)[:, 0]
            kept = 1 - w_write[:, :, None] * torch.sigmoid(erase)[:, None]
            memory = memory * kept + w_write[:, :, None] * torch.tanh(add)[:, None]
        return out(torch.cat([state[0], r], -1))

    def step() -> None:
        optimizer.zero_grad()
        f.cross_entropy(logits(), class_B).backward()
        optimizer.step()

    return timed(step, lambda: None)


CONTENDERS: dict[str, Callable[[], TimedLoop]] = {
    "rnnexp": lambda: ours.training_loop(WORK, "ntm"),
    "rnnexp, bare step": lambda: ours.bare_step(WORK, "ntm"),
    "torch": in_torch,
}


def contend(name: str) -> None:
    """Train for as many seconds as each line of the input says; answer with ms a step."""
    keep_memory()  # as `rnnexp run` does
    out, sys.stdout = sys.stdout, sys.stderr
    loop = CONTENDERS[name]()
    for line in sys.stdin:
        steps, spent = loop(float(line))
        out.write(json.dumps(1e3 * spent / steps) + "\n")
        out.flush()


def main() -> None:
    """Let the contenders work in turn, and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--contender", choices=CONTENDERS, help=argparse.SUPPRESS)
    known = parser.parse_args()
    if known.contender:
        contend(known.contender)
        return
    pipe = subprocess.PIPE
    processes = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--contender", name], stdin=pipe, stdout=pipe, text=True
        )
        for name in CONTENDERS
    }
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for number in range(known.rounds + 1):  # the first warms up
        for name, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            print(known.seconds, file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not answer:
                raise SystemExit(f"{name} failed; PyTorch is installed by: pip install torch")
            if number:
                times[name].append(float(json.loads(answer)))
    for process in processes.values():
        process.kill()
    print("| contender | ms a step | times rnnexp |\n| --- | --- | --- |")
    for name, found in times.items():
        pairs = zip(found, times["rnnexp"], strict=True)
        ratio = statistics.median(other / own for other, own in pairs)
        print(f"| {name} | {statistics.median(found):.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
