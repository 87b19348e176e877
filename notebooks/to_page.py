"""`python notebooks/to_page.py`: writes docs/chapter5.md, the notebook as a page."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOK, PAGE = ROOT / "notebooks" / "chapter5.ipynb", ROOT / "docs" / "chapter5.md"


def page() -> str:
    """Return the notebook's cells as Markdown, without outputs."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    texts = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for kind, text in texts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
