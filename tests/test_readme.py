"""The README's code runs as it stands, and does what the text says."""

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_example_distils_a_masked_denoiser(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    share = float(re.search(r"([\d.]+)%", printed).group(1))
    assert share > 85  # a product sampler gets 50 in one step


def test_every_path_in_the_readme_exists():
    root = Path(__file__).parent.parent
    paths = re.findall(r"`((?:theory|toys|di4c|tests|full_scale|figures)/[\w/*.]*)`", README)
    paths += re.findall(r"\]\((?!http)([\w/.]+)\)", README)
    assert paths
    for path in paths:
        assert list(root.glob(path)), f"README names {path}, which does not exist"
