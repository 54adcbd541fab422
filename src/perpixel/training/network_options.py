"""NetworkOptions: which network a run trains. Every architecture has its own options."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from perpixel.errors import ConfigError
from perpixel.networks import NetworkConfig, NetworkName, network_config, options_of

Options = TypeVar("Options", bound="NetworkOptions")


class NetworkOptions(BaseModel):
    """The settings that make a network, apart from what the data says: classes and bands.

    All but the name are options that some architectures have and others do not; None is the
    architecture's own default. `networks.config` says what they mean.

    Args:
        network: the architecture's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkName = "fcn4s"
    backbone: str | None = None
    head: Literal["scores", "features"] | None = None
    head_channels: int | None = None
    global_context: bool | None = None
    fc6: Literal["7x7", "1x1"] | None = None
    upsampling: Literal["fixed", "learned-inner", "learned"] | None = None
    skip: Literal["concatenate", "sum"] | None = None
    stride: int | None = None
    output_stride: int | None = None
    multi_grid: bool | None = None
    separable: bool | None = None
    width: int | None = None

    @property
    def _is_named(self) -> bool:
        """Whether `network` is what the options are for, and no other will take its place."""
        return True

    @model_validator(mode="after")
    def _fits(self) -> NetworkOptions:
        if not self._is_named:
            return self
        known = options_of(self.network)
        options = set(NetworkOptions.model_fields) - {"network"}
        strange = [name for name in sorted(options - known) if getattr(self, name) is not None]
        if strange:
            has = f"its options are {', '.join(sorted(known))}" if known else "it has no options"
            raise ValueError(f"{self.network} has no option {', '.join(strange)}; {has}")
        try:
            self.network_config(classes=1, bands=3)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(
                f"{first['loc'][-1]} = {first['input']!r} of {self.network}: {first['msg']}"
            ) from None
        return self

    @classmethod
    def of(cls: type[Options], **values: Any) -> Options:
        """Like the constructor, but a setting that does not fit is a ConfigError of one line.

        Raises:
            ConfigError: a setting is unknown, out of range, or contradicts another.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise one_line(error, "settings") from None

    def network_config(self, classes: int, bands: int) -> NetworkConfig:
        """The network for data with so many classes and bands.

        Raises:
            pydantic.ValidationError: an option has a value that the architecture does not know.
        """
        given = {name: getattr(self, name) for name in options_of(self.network)}
        options = {name: value for name, value in given.items() if value is not None}
        return network_config({"name": self.network, "classes": classes, "bands": bands, **options})


def one_line(error: ValidationError, where: str) -> ConfigError:
    """The first thing that pydantic found wrong, as an error of ours."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    found = first["msg"].removeprefix("Value error, ")
    if place:
        found = f"{place} = {first['input']!r}: {found}"
    return ConfigError(where, found=found, mend="Correct the setting")
