"""Where settings come from besides the environment: `.env`, and files that hold one secret."""

import os
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic.fields import FieldInfo
from pydantic_settings import DotEnvSettingsSource, PydanticBaseSettingsSource

from vending.errors import ErrorKind, VendingError

PREFIX: Final = "VENDING_"
SECRET_FILE_LENGTH_MAX: Final = 65_536


class SettingsError(VendingError):
    """A setting is missing, malformed or unreadable; the message names it and its source."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "settings_invalid"
    remedy: ClassVar[str] = (
        "Correct the setting where the message says it is; docs/settings.md lists every one."
    )


class SettingMovedError(SettingsError):
    """What one person could set for a command is now a policy, which two people change.

    Nothing starts beside such a setting: whoever wrote it down relies on it, and it does nothing.
    """

    code: ClassVar[str] = "setting_moved"
    remedy: ClassVar[str] = (
        "Take the setting out, then let two people set the policy: `vending policies change`; "
        "docs/guide/two-person.md lists what became of each."
    )

    def __init__(self, setting: str, *, source: str, policy: str) -> None:
        super().__init__(
            f"setting {setting}, from {source}: it is policy {policy} now, and does nothing here",
            setting=setting,
            source=source,
            policy=policy,
        )


class DotEnvSource(DotEnvSettingsSource):
    """Reads `.env`, which may hold variables of other programs as well."""

    def __call__(self) -> dict[str, Any]:
        """Return what is ours."""
        known = self.settings_cls.model_fields
        return {
            name: value
            for name, value in super().__call__().items()
            if name in known or name.upper().startswith(PREFIX)
        }


class SecretFileSource(PydanticBaseSettingsSource):
    """Reads `VENDING_<NAME>_FILE`: the value is the file's text without the trailing newline."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of the file, when one is named.

        Raises:
            SettingsError: It cannot be read.
        """
        del field
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        try:
            with Path(path).open(encoding="utf-8") as file:
                return file.read(SECRET_FILE_LENGTH_MAX).rstrip("\r\n"), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            message = f"{PREFIX}{field_name.upper()}_FILE names {path}, which cannot be read"
            raise SettingsError(message, setting=field_name) from error

    def __call__(self) -> dict[str, Any]:
        """Return the text of each file that is named."""
        values = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in values.items() if value is not None}
