"""Runs cfn-lint on the source template, for its line numbers, and on the transformed one."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from template_check.transform import SOURCE, source, transformed


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "transformed.json"
        result.write_text(json.dumps(transformed(source()), indent=1), encoding="utf-8")
        linter = Path(sys.executable).with_name("cfn-lint")
        failed = subprocess.run([linter, "--", str(SOURCE), str(result)], check=False).returncode
    print(f"cfn-lint: {'FAILED' if failed else 'ok'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
