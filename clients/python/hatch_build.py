"""Makes the messages of the package from proto/, while a wheel is built.

Of each `ssmd/v1/NAME.proto` comes `ssmd/_proto/NAME_pb2.pyi`, which type checkers read, and a
`NAME_pb2.py` of a few lines, which loads its messages from the descriptors in `ssmd/_proto/ssmd.binpb`.
protoc's own Python code runs with the one or two major versions of protobuf that it was made for;
descriptors are read by all of them, so that one wheel fits whatever else is installed.

In a clone proto/ is two folders up. A source distribution carries a copy.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = '''"""The messages of ssmd/v1/{name}.proto."""

from ssmd._proto import load

load("ssmd/v1/{name}.proto", globals())
'''


def make_messages(proto: Path, out: Path) -> None:
    """Compiles proto/ssmd/v1/*.proto into the modules of ssmd/_proto."""
    sources = sorted(path.relative_to(proto) for path in (proto / "ssmd/v1").glob("*.proto"))
    if not sources:
        raise FileNotFoundError(f"there are no protos in {proto}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto}", f"--pyi_out={folder}"]
            + ["--include_imports", f"--descriptor_set_out={out / 'ssmd.binpb'}"]
            + [source.as_posix() for source in sources],
            check=True,
        )
        for source in sources:
            stub = (Path(folder) / source.parent / f"{source.stem}_pb2.pyi").read_text()
            stub = re.sub(r"^from ssmd\.v1 import", "from ssmd._proto import", stub, flags=re.M)
            (out / f"{source.stem}_pb2.pyi").write_text(stub)
            (out / f"{source.stem}_pb2.py").write_text(MODULE.format(name=source.stem))


class MessagesHook(BuildHookInterface):
    """What hatchling calls around each build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        carried = root / "proto"
        proto = carried if carried.is_dir() else root.parents[1] / "proto"
        if self.target_name == "sdist":
            build_data["force_include"][str(proto / "ssmd")] = "proto/ssmd"
            return
        if version == "editable":  # imported from where it lies
            make_messages(proto, root / "src/ssmd/_proto")
            return
        self.made = tempfile.TemporaryDirectory()
        make_messages(proto, Path(self.made.name))
        for path in Path(self.made.name).iterdir():
            build_data["force_include"][str(path)] = f"ssmd/_proto/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "made"):
            self.made.cleanup()
