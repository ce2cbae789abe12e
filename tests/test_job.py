"""An extraction refuses what it could not write before it begins."""

from pathlib import Path

import pytest

from genreclf.config.load import load_config
from genreclf.errors import ConfigError, TableError
from genreclf.extraction.job import Job

KEEPS_FRAMES = load_config(overrides=['pooling.keep_frames=["mix.mfcc"]'])


def test_a_name_of_no_table_is_refused() -> None:
    with pytest.raises(TableError, match=r"t\.xls"):
        Job(load_config(), Path("t.xls"))


@pytest.mark.parametrize(("output", "rows"), [(None, None), (Path("t.parquet"), 100)])
def test_frames_need_a_table_beside_them(output: Path | None, rows: int | None) -> None:
    with pytest.raises(ConfigError, match="frames are stored beside the table"):
        Job(KEEPS_FRAMES, output, rows)
    assert Job(KEEPS_FRAMES, Path("t.csv")).output == Path("t.csv")
