"""Read a TOML file that may come from anyone."""

import tomllib
from pathlib import Path
from typing import Any

from genreclf.errors import ConfigError

# The memory that tomllib needs grows with the square of the length of a dotted key.
_MAX_BYTES, _MAX_DOTS = 100_000, 200


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file.

    Raises
    ------
    ConfigError
        If it is too large, or not TOML in UTF-8.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(
                f"{path}: over {_MAX_BYTES:,} bytes, too large for a configuration file"
            )
        text = path.read_text(encoding="utf-8-sig")
        if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
            raise ConfigError(f"{path}: over {_MAX_DOTS} dots in a line, too many for a key")
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: cannot be read as TOML: nested too deeply") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: cannot be read as TOML: it is not text in UTF-8") from None
    except (OSError, ValueError) as error:  # not TOML, or a number with too many digits
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from None
