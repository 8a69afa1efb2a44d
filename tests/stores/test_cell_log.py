"""The file of finished cells: bit-exact, one writer, one work, and whole after a kill anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as npst

import residuum.stores.cell_log as cell_log
from residuum.core import StoreError, content_hash
from residuum.stores import CellLog

WORK = content_hash({"sweep": 1})
CELLS = {
    4: (np.array([[1.5, -0.0], [np.nan, np.inf]]), 0.25),
    0: (np.array(3.0), 1.0),
    9: (np.zeros((0, 3)), 0.0),
    2: (np.arange(5.0), 2.5),
}
# magic, format, hash, checksum; then per record: head, sizes, checksum, values, checksum
HEADER = 16 + 4 + 32 + 4
SIZES = {index: 24 + 8 * v.ndim + 4 + 8 * v.size + 4 for index, (v, _) in CELLS.items()}

one_per_test = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path) -> bytes:
    path.unlink(missing_ok=True)
    with CellLog(path, WORK) as log:
        for index, (values, passes) in CELLS.items():
            log.append(index, values, passes)
    return path.read_bytes()


def ends() -> list[int]:
    return list(np.cumsum([HEADER, *SIZES.values()]))


def assert_holds(log: CellLog, indices: list[int]) -> None:
    assert list(log.cells) == indices
    for index in indices:
        values, passes = CELLS[index]
        assert log.cells[index].values.shape == values.shape
        assert log.cells[index].values.tobytes() == values.tobytes()
        assert log.cells[index].passes == passes


def test_the_layout_is_as_documented(tmp_path: Path) -> None:
    assert len(write(tmp_path / "a.cells")) == ends()[-1]


@one_per_test
@given(
    values=npst.arrays(np.float64, npst.array_shapes(min_dims=0, max_dims=4, min_side=0)),
    index=st.integers(0, 2**40),
    passes=st.floats(0, 1e9),
)
def test_round_trip(tmp_path: Path, values: np.ndarray, index: int, passes: float) -> None:
    path = tmp_path / "a.cells"
    path.unlink(missing_ok=True)
    with CellLog(path, WORK) as log:
        log.append(index, values, passes)
    with CellLog(path, WORK) as log:
        (found,) = log.cells.items()
    assert found[0] == index
    assert found[1].passes == passes
    assert found[1].values.shape == values.shape
    assert found[1].values.tobytes() == values.tobytes()


def test_a_kill_at_every_byte_loses_only_the_cell_being_written(tmp_path: Path) -> None:
    path = tmp_path / "a.cells"
    whole = write(path)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        finished = list(CELLS)[: sum(end <= cut for end in ends()[1:])]
        with CellLog(path, WORK) as log:
            assert_holds(log, finished)
            for index in CELLS.keys() - set(finished):
                log.append(index, *CELLS[index])
        kept = max(end for end in ends() if end <= max(cut, HEADER))
        assert path.read_bytes()[:kept] == whole[:kept]
        with CellLog(path, WORK) as log:
            assert set(log.cells) == set(CELLS)


@one_per_test
@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_damaged_byte_is_an_error_or_costs_the_last_cell(
    tmp_path: Path, at: int, flip: int
) -> None:
    path = tmp_path / "a.cells"
    whole = bytearray(write(path))
    at %= len(whole)
    whole[at] ^= flip
    path.write_bytes(whole)
    try:
        with CellLog(path, WORK) as log:
            assert at >= ends()[-2]
            assert_holds(log, list(CELLS)[:-1])
    except StoreError as error:
        assert path.read_bytes() == whole
        assert error.where == str(path)


@pytest.mark.parametrize(
    "damaged",
    [b"step,loss\n", b"x" * 200, bytes(20), bytes(200), *(("at", at) for at in range(20))],
)
def test_damage_at_the_beginning_is_like_damage_elsewhere(
    tmp_path: Path, damaged: bytes | tuple[str, int]
) -> None:
    path = tmp_path / "a.cells"
    whole = bytearray(write(path))
    if isinstance(damaged, tuple):
        whole[damaged[1]] ^= 1
    else:
        whole = bytearray(damaged)
    path.write_bytes(whole)
    with pytest.raises(StoreError) as caught:
        CellLog(path, WORK)
    assert caught.value.what == "the file of finished cells is damaged at byte 0"
    assert caught.value.mend == "move it away; the work then begins anew"
    assert path.read_bytes() == whole, "nothing begins anew by itself"


@pytest.mark.parametrize("at", range(4))
def test_damage_in_the_middle_says_where(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a.cells"
    whole = bytearray(write(path))
    starts = [0, *ends()[:-1]]
    whole[starts[at] + 20] ^= 1
    path.write_bytes(whole)
    with pytest.raises(StoreError) as caught:
        CellLog(path, WORK)
    assert caught.value.what == f"the file of finished cells is damaged at byte {starts[at]}"
    assert caught.value.mend == "move it away; the work then begins anew"


def test_zeros_at_the_end_are_a_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "a.cells"
    whole = write(path)
    path.write_bytes(whole + bytes(100))
    with CellLog(path, WORK) as log:
        assert_holds(log, list(CELLS))
    assert path.read_bytes() == whole


def test_other_work_other_formats_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.cells"
    whole = write(path)
    other = content_hash({"sweep": 2})
    with pytest.raises(StoreError) as caught:
        CellLog(path, other)
    assert caught.value.what == f"these are the finished cells of other work ({WORK[:8]})"
    assert caught.value.mend == "give another folder"
    later = cell_log._HEADER.pack(cell_log._MAGIC, 2, bytes.fromhex(WORK))
    path.write_bytes(later + cell_log._CRC.pack(cell_log.crc32(later)) + whole[HEADER:])
    with pytest.raises(StoreError) as caught:
        CellLog(path, WORK)
    assert caught.value.what == "format 2 of finished cells; this version reads 1"


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.cells"
    code = (
        "import sys, time; from residuum.stores import CellLog\n"
        "log = CellLog(sys.argv[1], sys.argv[2]); print('open', flush=True); time.sleep(100)"
    )
    command = [sys.executable, "-c", code, str(path), WORK]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreError) as caught:
            CellLog(path, WORK)
        other.kill()
    assert caught.value.what == "another process is at this work and writes to the same file"
    assert caught.value.mend == "wait until it ends, or give another folder"
    with CellLog(path, WORK) as log:
        assert not log.cells


def test_a_full_disk_is_told_and_leaves_no_half_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.cells"
    real = cell_log.os.write
    with CellLog(path, WORK) as log:
        log.append(4, *CELLS[4])

        def full(file: int, data: bytes) -> int:
            if len(data) < 20:
                raise OSError(28, "No space left on device")
            return real(file, data[:10])

        monkeypatch.setattr(cell_log.os, "write", full)
        with pytest.raises(StoreError) as caught:
            log.append(2, *CELLS[2])
        monkeypatch.undo()
        assert caught.value.what == "cannot write cell 2: No space left on device"
        assert path.stat().st_size == ends()[1]
        log.append(0, *CELLS[0])
    with CellLog(path, WORK) as log:
        assert_holds(log, [4, 0])


@pytest.mark.parametrize("written", [10, 40, 1000])
def test_an_interrupted_record_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    path = tmp_path / "a.cells"
    real = cell_log.os.write
    with CellLog(path, WORK) as log:

        def interrupted(file: int, data: bytes) -> int:
            real(file, data[:written])
            raise KeyboardInterrupt

        monkeypatch.setattr(cell_log.os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            log.append(2, *CELLS[2])
        monkeypatch.undo()
        log.append(9, *CELLS[9])
    with CellLog(path, WORK) as log:
        assert_holds(log, [9])


def test_what_cannot_be_a_cell(tmp_path: Path) -> None:
    with CellLog(tmp_path / "a.cells", WORK) as log:
        log.append(1, np.ones(2))
        with pytest.raises(StoreError, match="cell 1 is in the file already"):
            log.append(1, np.ones(2))
        with pytest.raises(StoreError, match="a cell holds real numbers, got complex128"):
            log.append(2, np.ones(2, complex))
    with pytest.raises(StoreError, match="cannot open the file of finished cells"):
        CellLog(tmp_path / "a.cells" / "b.cells", WORK)


def test_cells_are_the_logs_own(tmp_path: Path) -> None:
    values = np.ones(3)
    with CellLog(tmp_path / "a.cells", WORK) as log:
        log.append(0, values)
        values[:] = 5
        assert log.cells[0].values.tolist() == [1, 1, 1]
        assert log.cells[0].values.dtype == np.float64
