import json
from pathlib import Path

from benchmarks.harness import Claim, Table
from benchmarks.report import machine, markdown, write


def _table() -> Table:
    table = Table("items", "Item pipeline", "images/s", 0, notes=["832 images"])
    table.measures = {"ours": [400.0, 500.0, 600.0], "rival": [100.0, 100.0, 300.0]}
    table.claims = [Claim("ours", "rival", at_least=4), Claim("ours", "limit", at_least=0.6)]
    return table


def test_a_table_as_markdown() -> None:
    assert markdown(_table()).splitlines() == [
        "### Item pipeline",
        "",
        "| case | images/s, median [IQR] | n |",
        "|---|---:|---:|",
        "| ours | 500 [450, 550] | 3 |",
        "| rival | 100 [100, 200] | 3 |",
        "",
        "| target | measured [IQR] | |",
        "|---|---:|---|",
        "| ours / rival >= 4 | 4.00 [3.00, 4.50] | met |",
        "| ours / limit >= 0.6 | not measured |  |",
        "",
        "- 832 images",
    ]


def test_a_loss_is_printed_as_such() -> None:
    table = Table("x", "X", "s", measures={"ours": [2.0]}, claims=[Claim("ours", at_most=1.0)])
    assert "| ours <= 1 | 2.00 [2.00, 2.00] | **missed** |" in markdown(table)


def test_the_json_keeps_every_value_and_the_machine(tmp_path: Path) -> None:
    write(tmp_path, machine(), [_table()])
    body = json.loads((tmp_path / "results.json").read_text())
    (table,) = body["tables"]
    assert table["measures"]["ours"] == [400.0, 500.0, 600.0]
    assert [verdict["met"] for verdict in table["verdicts"]] == [True, None]
    assert body["machine"]["cores"] >= 1
    assert body["machine"]["torch"]
    assert (tmp_path / "results.md").read_text().startswith("Measured on: ")
