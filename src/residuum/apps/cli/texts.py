"""Files of texts, one in each line."""

from __future__ import annotations

from pathlib import Path

from residuum.core import OptionError


def read_texts(name: str) -> list[str]:
    """The lines of a text file that are not blank.

    Raises:
        OptionError: no such file, one that cannot be read, or no UTF-8 text.
    """
    path = Path(name)
    if not path.is_file():
        raise OptionError(f"no file {name!r}", mend="give a text file, one text in each line")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise OptionError(f"{name!r} is no UTF-8 text", mend="give a text file") from error
    except OSError as error:
        raise OptionError(
            f"cannot read {name!r}: {error.strerror or error}", mend="give a text file"
        ) from error
    return [line for line in lines if line.strip()]
