"""`deploy/`: what it starts is a command that there is, what it asks is a route that there is."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tyro
import yaml

from fockjax.serving.config import ServeConfig
from fockjax.serving.openapi import description

DEPLOY = Path(__file__).parents[1] / "deploy"
EVERYWHERE = "0.0.0.0"


def config(arguments):
    """The options as the command line reads them."""
    found = tyro.cli(ServeConfig, args=list(arguments))
    found.check()
    return found


def read(name):
    return (DEPLOY / name).read_text(encoding="utf-8")


def container():
    """Instructions of the container file's last stage, each with its arguments."""
    joined = read("Containerfile").replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in joined.splitlines() if line[:1].isalpha()]
    last = max(index for index, line in enumerate(lines) if line[0] == "FROM")
    return dict(lines[last:])


def longest_end(served):
    """Seconds from SIGTERM to the end of the process, as deploy/fockjax.service says."""
    return served.drain + 2 * served.deadline + 2


def routes():
    return {path for path, item in description(with_key=False)["paths"].items() if "get" in item}


def test_the_container_serves_on_the_port_that_it_exposes_and_asks_itself():
    parts = container()
    assert json.loads(parts["ENTRYPOINT"])[-1] == "serve"
    served = config(json.loads(parts["CMD"]))
    assert served.host == EVERYWHERE and str(served.port) == parts["EXPOSE"]
    assert str(served.compiled) == parts["VOLUME"]
    assert parts["USER"] == "fockjax"
    port, path = re.search(r"127\.0\.0\.1:(\d+)([^']*)'", parts["HEALTHCHECK"]).groups()
    assert int(port) == served.port and path in routes()


def test_compose_restarts_it_and_publishes_on_loopback_alone():
    service = yaml.safe_load(read("compose.yaml"))["services"]["fockjax"]
    served = config(service["command"])
    assert service["restart"] == "always"
    assert service["ports"] == [f"127.0.0.1:{served.port}:8000"]
    assert json.loads(container()["CMD"]) == service["command"]
    assert longest_end(served) < int(service["stop_grace_period"].rstrip("s"))


def test_kserve_asks_routes_that_there_are_and_waits_for_the_drain():
    manifest = yaml.safe_load(read("kserve.yaml"))
    predictor = manifest["spec"]["predictor"]
    (only,) = predictor["containers"]
    served = config(only["args"])
    assert served.host == EVERYWHERE and served.model_name == manifest["metadata"]["name"]
    assert only["ports"][0]["containerPort"] == served.port
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        get = only[name]["httpGet"]
        assert get["port"] == served.port and get["path"] in routes()
    assert longest_end(served) < predictor["terminationGracePeriodSeconds"]
    mounts = {each["name"]: each["mountPath"] for each in only["volumeMounts"]}
    assert served.compiled.is_relative_to(mounts["compiled"])


def test_systemd_restarts_it_for_ever_and_it_listens_on_loopback():
    lines = dict(line.split("=", 1) for line in read("fockjax.service").splitlines() if "=" in line)
    served = config(shlex.split(lines["ExecStart"])[2:])
    assert served.host == "127.0.0.1" and lines["Restart"] == "always"
    assert lines["StartLimitIntervalSec"] == "0"
    assert longest_end(served) < int(lines["TimeoutStopSec"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    unit = tmp_path / "fockjax.service"
    program = tmp_path / "fockjax"
    program.symlink_to(sys.executable)  # systemd wants the program to be there
    unit.write_text(read("fockjax.service").replace("/opt/fockjax/bin/fockjax", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True
    )
    assert done.returncode == 0 and "fockjax" not in done.stderr, done.stderr
