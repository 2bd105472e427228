"""Two processes: the second is told to end, none is left behind, and taken up again the table is the one of a single process."""

import os
import signal
import time
from pathlib import Path

import benchmark_child
import pytest
from test_kills import ALONE, files, start

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
pytestmark = [pytest.mark.long, pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system has no /proc")]


def member(group: int, rank: int) -> int | None:
    """The process of this group that torchrun gave this rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            if os.getpgid(int(folder.name)) == group and f"RANK={rank}".encode() in environment:
                return int(folder.name)
        except OSError:  # it has ended, or is somebody else's
            continue
    return None


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_the_second_rank_is_ended_and_the_run_is_taken_up(sent, tmp_path):
    out = tmp_path / "out"
    process = start(benchmark_child.__file__, out, 22, 1, before=TORCHRUN)
    while not [*out.glob("parts/*.json")] and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, process.stdout.read()
    second = member(process.pid, 1)
    assert second is not None
    os.kill(second, sent)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "ChildFailedError" in said
    with pytest.raises(ProcessLookupError):  # no process is left
        os.killpg(process.pid, 0)
    done = len([*out.glob("parts/*.json")])
    assert 0 < done < 6 and not (out / "results.csv").exists()
    benchmark_child.run(out, 22)
    benchmark_child.run(tmp_path / "whole", 22)
    whole, again = files(tmp_path / "whole"), files(out)
    assert whole.keys() == again.keys() and [n for n in whole if whole[n] != again[n] and n not in (*ALONE, "config.json")] == []
