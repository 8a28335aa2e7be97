import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skdnn.data.streaming import open_source


@pytest.mark.parametrize("n_rows", [100, 150_000], ids=["shorter", "of the same length"])
def test_a_file_changed_while_it_is_read_is_an_error(tmp_path, n_rows):
    rng, path = np.random.default_rng(0), str(tmp_path / "x.parquet")

    def write(n):
        table = pa.table({"a": rng.normal(size=n), "b": rng.normal(size=n)})
        pq.write_table(table, path, row_group_size=50_000)

    write(150_000)
    tables = open_source(path).tables(["a", "b"])
    next(tables)
    write(n_rows)
    with pytest.raises(ValueError, match=r"X has changed while it was read: .* was modified"):
        list(tables)


def test_a_file_that_cannot_be_decoded_is_an_error_that_gives_the_reason(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": np.arange(1000.0)}), path, compression="none")
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)  # the header of the first page
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"(?s)X cannot be read from .*x.parquet.: .*header"):
        list(open_source(str(path)).tables(["a"]))
