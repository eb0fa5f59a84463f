import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "results/README.md"]
PAGES += sorted(f"docs/{page.name}" for page in ROOT.glob("docs/*.md"))


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_readmes_code_runs(code, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert "FLOPs a sample" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    for link in links:
        if "://" not in link:
            assert (ROOT / page).parent.joinpath(link).exists(), link


def test_the_readme_names_every_quirk():
    from pipelines.protocols import QUIRKS

    for quirk in QUIRKS:
        assert f"`{quirk}`" in README
