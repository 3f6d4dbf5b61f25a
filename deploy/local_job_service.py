"""A portable job service on this machine, with a pool of workers: what Spark's and Flink's clients speak to.

    python deploy/local_job_service.py --port 8099 [--workers 50000]
    gristmill run RECIPE --runner portable -- --job_endpoint=localhost:8099 --environment_type=LOOPBACK
    gristmill run RECIPE --runner portable -- --job_endpoint=localhost:8099 \
        --environment_type=EXTERNAL --environment_config=localhost:50000

LOOPBACK runs the work in the submitting process, EXTERNAL in the pool.
Prints a line when both answer, and Ctrl-C ends them.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Start both, wait, end both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8099, help="of the job service")
    parser.add_argument("--workers", type=int, default=None, help="port of the worker pool; none by default")
    arguments = parser.parse_args()
    # the pool starts `python`, which must be this one
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = dict(os.environ, PATH=path)
    commands = [["apache_beam.runners.portability.local_job_service_main", "-p", str(arguments.port)]]
    ports = [arguments.port]
    if arguments.workers:
        pool = "apache_beam.runners.worker.worker_pool_main"
        commands.append([pool, "--service_port", str(arguments.workers)])
        ports.append(arguments.workers)
    processes = [subprocess.Popen([sys.executable, "-m", *command], env=environment) for command in commands]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _wait_for(ports, processes)
        print(f"ready: {', '.join(f'localhost:{port}' for port in ports)}", flush=True)
        while all(process.poll() is None for process in processes):
            time.sleep(0.2)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _wait_for(ports: list[int], processes: list[subprocess.Popen], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    for port in ports:
        while True:
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("localhost", port)) == 0:
                    break
            if time.monotonic() > end or any(process.poll() is not None for process in processes):
                raise SystemExit(f"port {port} does not answer")
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
