"""peers.py without a GPU: its table with times made up, and what it says where nothing can be timed."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import peers


def figure(model, load, name, ms):
    return dict(group="kernel", model=model, load=load, name=name, weights="bf16",
                ms=dict(median=ms, lowest=ms, highest=ms, runs=9))


REPORT = dict(ceilings=dict(gpu="NVIDIA H100 80GB HBM3 (9.0)"),
              figures=[figure("mamba-2.8b", "1", "scan", 0.002), figure("mamba2-2.7b", "1", "scan", 0.004),
                       figure("mamba2-2.7b", "4x2048", "scan_chunked", 0.5),
                       dict(figure("mamba-2.8b", "1", "scan", 9.0), group="step")])


class PeersTest(unittest.TestCase):
    def rows(self, time):
        return {(row["peer"], row["model"], row["load"]): row
                for row in peers.compare(REPORT, peers.cases([1, 64], [4, 2048]), time)}

    def test_a_ratio_is_the_peers_median_by_ours(self):
        rows = self.rows(lambda case: [0.003, 0.001, 0.002, 0.008])
        row = rows["triton selective_state_update", "mamba-2.8b", "1"]
        self.assertEqual((row["ours_ms"], row["peer_ms"], row["ratio"]), (0.002, 0.002, 1.0))
        self.assertEqual((row["peer_lowest_ms"], row["peer_highest_ms"]), (0.001, 0.008))
        self.assertEqual(peers.verdict(row), "met")
        slower = rows["flashinfer selective_state_update", "mamba2-2.7b", "1"]
        self.assertEqual(slower["ratio"], 0.5)
        self.assertEqual(peers.verdict(slower), "MISSED")
        self.assertEqual(rows["triton chunk scan", "mamba2-2.7b", "4x2048"]["ours_ms"], 0.5)

    def test_what_cannot_be_timed_is_skipped_by_name_and_the_rest_goes_on(self):
        def time(case):
            if case.peer.startswith("flashinfer"):
                raise peers.Skip("cannot be loaded (no such module)")
            return [1.0]
        rows = self.rows(time)
        self.assertEqual(len(rows), 9)
        self.assertIn("no such module",
                      peers.verdict(rows["flashinfer selective_state_update", "mamba-2.8b", "1"]))
        self.assertIn("has not measured",
                      peers.verdict(rows["triton selective_state_update", "mamba-2.8b", "64"]))
        self.assertEqual(rows["triton selective_state_update", "mamba-2.8b", "1"]["ratio"], 500)

    def test_the_table_has_a_line_for_every_row(self):
        rows = peers.compare(REPORT, peers.cases([1, 64], [4, 2048]), lambda case: [0.004])
        lines = peers.table(rows).splitlines()
        self.assertEqual(len(lines), 1 + len(rows))
        self.assertRegex(lines[1], r"^triton selective_state_update +mamba-2.8b +1 +0.0020 +0.0040 +2.00  met$")

    def test_a_package_of_a_folder_is_loaded_without_its_compiled_parts(self):
        with tempfile.TemporaryDirectory() as folder:
            package = pathlib.Path(folder) / "mamba_ssm" / "ops" / "triton"
            package.mkdir(parents=True)
            (package.parents[1] / "__init__.py").write_text("import selective_scan_cuda")
            (package / "selective_state_update.py").write_text("answer = 42")
            self.assertEqual(peers.load_mamba(folder, "selective_state_update").answer, 42)

    def test_as_a_program_it_writes_the_rows_or_says_why_there_are_none(self):
        with tempfile.TemporaryDirectory() as folder:
            ours, out = pathlib.Path(folder) / "ours.json", pathlib.Path(folder) / "peers.json"
            ours.write_text(json.dumps(REPORT))
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), unittest.mock.patch.dict(sys.modules, torch=None):
                status = peers.main(["--ours", str(ours), "--json", str(out), "--rows", "1"])
            rows = json.loads(out.read_text())["rows"]
            self.assertEqual((status, len(rows)), (0, 5))
            self.assertTrue(all((row["ratio"] is None) == bool(row["skipped"]) for row in rows))
            self.assertIn("skipped: no PyTorch", printed.getvalue())


if __name__ == "__main__":
    unittest.main()
