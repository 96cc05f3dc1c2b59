"""The README's commands work as pasted, from the first to the last, in one shell."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import msgspec

from .hubs import ROOT, clean_environment, free_port


def blocks(text: str) -> list[str]:
    """What stands after ``$ `` in the console blocks, with the lines that belong to it; without what is printed."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        commands: list[list[str]] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append([line[2:]])
            elif line.startswith(" "):
                commands[-1].append(line)
        found += ["\n".join(lines) for lines in commands]
    return found


def test_the_commands_work_as_pasted(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    commands = [command for command in blocks(text) if not command.startswith("make ")]
    assert len(commands) >= 9
    hub, receiver = str(free_port()), str(free_port())
    assert "8080" in text
    assert "9000" in text
    (tmp_path / ".venv").symlink_to(Path(os.environ.get("VIRTUAL_ENV", ROOT / ".venv")))
    script = ["set -m", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT", f"export TOUCHLINE_URL=http://127.0.0.1:{hub}"]
    for number, command in enumerate(commands):
        pasted = command.replace("127.0.0.1:8080", f"127.0.0.1:{hub}").replace("9000", receiver)
        if " serve " in pasted:
            pasted = pasted.replace(" &", f" --port {hub} 2>hub.log &")
            pasted += '\nuntil curl -sf "$TOUCHLINE_URL/readyz"; do sleep 0.05; done; echo'
        elif " listen " in pasted:
            pasted = pasted.replace(" &", " --count 1 >received 2>listen.log &") + "\nLISTENER=$!"
        elif " tail " in pasted:
            pasted = pasted.replace("…", '"$(sed \'s/.*"secret":"\\([^"]*\\).*/\\1/\' 0*-partner)"') + " --count 1"
        output = f"{number:02}-partner" if " --feed shottracker" in pasted else f"{number:02}-out"
        script.append(f"{{ {pasted}\n}} > {output} || exit {number + 1}")
    script.append("wait $LISTENER")
    with subprocess.Popen(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as shell:
        try:
            said, _ = shell.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            os.killpg(shell.pid, signal.SIGKILL)
            raise
    logs = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert shell.returncode == 0, (commands[shell.returncode - 1 if shell.returncode < 50 else 0], said, logs)
    assert logs["received"].startswith("roanuz.match m-1 "), logs
    published = next(
        msgspec.json.decode(logs[f"{number:02}-out"])
        for number, one in enumerate(commands)
        if "shottracker.shot" in one
    )
    assert published["accepted"] == 1
    assert "Traceback" not in "".join(logs.values())
