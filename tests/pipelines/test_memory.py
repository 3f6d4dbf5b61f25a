"""Peak memory of a whole run does not follow the size of its input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from made_corpus import paragraphs, write_corpus

MEASURE = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "gristmill", *sys.argv[1:]], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


@pytest.mark.slow
def test_peak_memory_of_20_and_100_megabytes(shared_data, tmp_path):
    """Of the whole run with nearly all of it kept, which is the hardest case: the largest process of the tree."""
    source = paragraphs(shared_data)
    peaks = {}
    for megabytes in (20, 100):
        folder = write_corpus(tmp_path / f"in-{megabytes}", source, megabytes)
        output = tmp_path / f"run-{megabytes}"
        settings = ["--set", f"input.paths=[{folder}]", "--set", f"output={output}"]
        command = [sys.executable, "-c", MEASURE, "run", "text", *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[megabytes] = int(done.stdout) / 1024
        counts = json.loads((output / "run.json").read_text())["counts"]
        assert counts["documents"] > 0.8 * counts["records"]
        assert counts["dropped"]["dedup/near_duplicate"] > 0
        assert sum(counts["tokens"].values()) > megabytes * 200_000
    print(f"peak RSS: {peaks[20]:.0f} MB on 20 MB of input, {peaks[100]:.0f} MB on 100 MB")
    assert peaks[100] < 1.2 * peaks[20], peaks
