import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_code_runs(code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert "FLOPs a sample" in capsys.readouterr().out


def test_the_readme_names_every_quirk():
    from pipelines.protocols import QUIRKS

    for quirk in QUIRKS:
        assert f"`{quirk}`" in README
