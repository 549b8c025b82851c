"""`python notebooks/store.py [NAME ...]`: runs notebooks from top to bottom on the stage and stores their outputs.

What is stored is what `--nbval` compares: no times of execution, no widget state, execution counts from one.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


def store(path: Path) -> None:
    """Run one notebook in a kernel of this interpreter; on a failing cell nothing is written."""
    import nbformat
    from nbclient import NotebookClient
    from stage import stage

    from twinstar_kit.jobs.kernel import this_interpreter

    book = nbformat.read(path, as_version=4)
    with stage():
        NotebookClient(
            book,
            timeout=300,
            record_timing=False,
            store_widget_state=False,
            kernel_manager_class=this_interpreter({}),
            resources={"metadata": {"path": str(HERE)}},
        ).execute()
    for number, cell in enumerate(book.cells):
        cell["id"] = f"cell-{number:02d}"
        cell.metadata.pop("execution", None)
    book.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    aside = path.with_suffix(".new")
    nbformat.write(book, aside)
    aside.replace(path)


def main() -> None:
    """All notebooks, or those that are named."""
    for name in sys.argv[1:] or sorted(str(p) for p in HERE.glob("*.ipynb")):
        print(f"{Path(name).name} ...", flush=True)
        store(Path(name))


if __name__ == "__main__":
    main()
