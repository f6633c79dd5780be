"""A real Apache Kafka on this machine, from the jars of Maven Central: one or three KRaft nodes on free ports.

Place     `make kafka` runs this file; `make test-kafka` and the storm use `ApacheKafka` as a context manager.
Needs     Java 17 and Maven, once, to fetch the jars that deploy/kafka/pom.xml names into .kafka/lib.

    with ApacheKafka(folder, nodes=3) as kafka:
        kafka.bootstrap            # 127.0.0.1:p1,127.0.0.1:p2,127.0.0.1:p3
        kafka.kill(2)              # -9
        kafka.restart(2)           # same data, same ports; waits until it answers
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from fakturo.cli.output import errors
from fakturo.cli.stack import background
from fakturo.cli.stack.background import Process, StackFault
from fakturo.cli.stack.broker import wait_for_kafka
from fakturo.cli.stack.ports import LOOPBACK, free_ports, is_listening, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPE = CHECKOUT / "deploy" / "kafka"
START_SECONDS = 90.0
STOP_SECONDS = 30.0
MESSAGE_BYTES_MAX = 5 * 1_048_576
INSTALL = "apt-get install openjdk-17-jre-headless maven"

HEAP = {1: "512m", 3: "320m"}
"""Heap of a node by the number of nodes: three of them share the machine with what is tested."""


class ApacheKafka:
    """KRaft nodes, each broker and controller, with data, configuration and logs in `folder`.

    Topics are made only by those who ask for them. Sessions may be as short as a second, so that a killed member of a
    group is noticed while a test waits.
    """

    def __init__(self, folder: Path, *, nodes: int = 1) -> None:
        if nodes not in HEAP:
            raise ValueError("one node, or three")
        self.folder = folder.absolute()
        self.nodes = tuple(range(1, nodes + 1))
        ports = free_ports(2 * nodes)
        self._client_port = dict(zip(self.nodes, ports[:nodes], strict=True))
        self._controller_port = dict(zip(self.nodes, ports[nodes:], strict=True))
        self._processes: dict[int, Process] = {}

    @property
    def bootstrap(self) -> str:
        """Return host:port of every node, by commas."""
        return ",".join(f"{LOOPBACK}:{port}" for port in self._client_port.values())

    def __enter__(self) -> Self:
        """Fetch the jars if need be, format the storage, start every node and wait for them."""
        jars = fetch_jars()
        cluster = _tool(jars, "random-uuid").stdout.strip().splitlines()[-1]
        try:
            for node in self.nodes:
                self._format(node, jars, cluster)
                self._launch(node)
            for node in self.nodes:
                self._await(node)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every node."""
        self.stop()

    def stop(self) -> None:
        """Stop every node; its data stays in the folder."""
        for process in self._processes.values():
            process.send(signal.SIGTERM)
        for process in self._processes.values():
            process.stop(seconds=STOP_SECONDS)

    def pid(self, node: int) -> int:
        """Return the process id of a node, running or not."""
        return self._processes[node].pid

    def kill(self, node: int = 1) -> None:
        """Kill -9 a node, as a crash would."""
        self._processes[node].stop(seconds=10, number=signal.SIGKILL)

    def restart(self, node: int = 1) -> None:
        """Start a killed or stopped node on its data and ports; return when a client has bootstrapped from it."""
        self._processes[node].stop(seconds=STOP_SECONDS)
        self._launch(node)
        self._await(node)

    def _home(self, node: int) -> Path:
        return self.folder / f"node-{node}"

    def _format(self, node: int, jars: Path, cluster: str) -> None:
        home = self._home(node)
        home.mkdir(parents=True)
        (home / "server.properties").write_text("".join(f"{k}={v}\n" for k, v in self._properties(node).items()))
        _tool(jars, "format", "--cluster-id", cluster, "--config", str(home / "server.properties"))

    def _launch(self, node: int) -> None:
        home = self._home(node)
        heap = HEAP[len(self.nodes)]
        # The serial collector: no threads and memory of its own beside what is tested on the same two cores.
        java = ("java", f"-Xmx{heap}", f"-Xms{heap}", "-XX:+UseSerialGC", "-Xshare:auto")
        logging = f"-Dlog4j2.configurationFile={RECIPE / 'log4j2.properties'}"
        main = ("-cp", f"{fetch_jars()}/*", "kafka.Kafka", str(home / "server.properties"))
        process = background.start(f"kafka-{node}", (*java, logging, *main), log=home / "kafka.log")
        self._processes[node] = process

    def _await(self, node: int) -> None:
        process = self._processes[node]
        log = self._home(node) / "kafka.log"
        port = self._client_port[node]
        if not wait_until(lambda: is_listening(port) or not process.alive, seconds=START_SECONDS) or not process.alive:
            raise StackFault(f"Kafka node {node} did not start; {log} ends:\n{background.log_tail(log)}")
        wait_for_kafka(f"{LOOPBACK}:{port}", seconds=START_SECONDS)

    def _properties(self, node: int) -> dict[str, str]:
        copies = str(len(self.nodes))
        in_sync = "2" if len(self.nodes) > 1 else "1"
        voters = ",".join(f"{other}@{LOOPBACK}:{port}" for other, port in self._controller_port.items())
        client, controller = self._client_port[node], self._controller_port[node]
        return {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": voters,
            "listeners": f"CLIENT://{LOOPBACK}:{client},CONTROLLER://{LOOPBACK}:{controller}",
            "advertised.listeners": f"CLIENT://{LOOPBACK}:{client}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._home(node) / "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "message.max.bytes": str(MESSAGE_BYTES_MAX),
            "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "log.cleaner.dedupe.buffer.size": "8388608",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "num.recovery.threads.per.data.dir": "2",
        }


def fetch_jars() -> Path:
    """Return the folder of the broker's jars, fetched with Maven where they are not yet, or not those of the pom.

    FAKTURO_KAFKA_LIB names another place than .kafka/lib. Raises StackFault naming what to install.
    """
    if shutil.which("java") is None:
        raise StackFault(f"Apache Kafka needs Java 17: {INSTALL}")
    pom = RECIPE / "pom.xml"
    if not pom.exists():
        raise StackFault(f"{pom} is missing: Apache Kafka is started from a checkout of Fakturo")
    folder = Path(os.environ.get("FAKTURO_KAFKA_LIB") or CHECKOUT / ".kafka" / "lib")
    stamp = folder / "pom.sha256"
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        _copy_jars(pom, folder)
        stamp.write_text(digest)
    return folder


def _copy_jars(pom: Path, folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise StackFault(f"the jars of Apache Kafka are fetched with Maven: {INSTALL}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")
    command = ("mvn", "-q", "-B", "-f", str(pom), *goal)
    with errors.status("fetching Apache Kafka with Maven (once)"):
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode != 0:
        raise StackFault(f"Maven could not fetch Apache Kafka:\n{(done.stdout + done.stderr)[-1500:]}")


def _tool(jars: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ("java", "-cp", f"{jars}/*", "kafka.tools.StorageTool", *arguments)
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode != 0:
        raise StackFault(f"StorageTool {arguments[0]} failed:\n{(done.stdout + done.stderr)[-1500:]}")
    return done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run nodes in a fresh folder until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="make kafka", description="Apache Kafka on free local ports, fresh data.")
    parser.add_argument("--nodes", type=int, choices=sorted(HEAP), default=1)
    parser.add_argument("--fetch", action="store_true", help="only fetch the jars")
    given = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        if given.fetch:
            sys.stdout.write(f"{fetch_jars()}\n")
            return 0
        with (
            tempfile.TemporaryDirectory(prefix="fakturo-kafka-", ignore_cleanup_errors=True) as folder,
            ApacheKafka(Path(folder), nodes=given.nodes) as kafka,
        ):
            sys.stdout.write(f"FAKTURO_KAFKA={kafka.bootstrap}\nCtrl-C stops it and removes its data.\n")
            sys.stdout.flush()
            ended.wait()
    except StackFault as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
