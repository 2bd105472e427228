"""Two processes: the second is told to end, none is left behind, and taken up again the table is the one of a single process."""

import os
import signal
import time
from pathlib import Path

import benchmark_child
import pytest
from test_kills import ALONE, files, start
from test_render_faults import ends

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
pytestmark = [pytest.mark.long, pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system has no /proc")]


def members(torchrun: int) -> dict[int, int]:
    """Rank -> process of those that this torchrun has started."""
    found = {}
    for child in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split():
        environment = dict(part.partition("=")[::2] for part in Path(f"/proc/{child}/environ").read_text().split("\0"))
        found[int(environment["RANK"])] = int(child)
    return found


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_the_second_rank_is_ended_and_the_run_is_taken_up(sent, tmp_path):
    out = tmp_path / "out"
    with start(benchmark_child.__file__, out, 22, 1, before=TORCHRUN) as process:
        while not [*out.glob("parts/*.json")] and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, process.stdout.read()
        ranks = members(process.pid)
        os.kill(ranks[1], sent)
        said, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "ChildFailedError" in said
    assert sorted(ranks) == [0, 1] and all(map(ends, ranks.values()))  # none is left behind
    done = len([*out.glob("parts/*.json")])
    assert 0 < done < 6 and not (out / "results.csv").exists()
    benchmark_child.run(out, 22)
    benchmark_child.run(tmp_path / "whole", 22)
    whole, again = files(tmp_path / "whole"), files(out)
    assert whole.keys() == again.keys() and [n for n in whole if whole[n] != again[n] and n not in (*ALONE, "config.json")] == []
