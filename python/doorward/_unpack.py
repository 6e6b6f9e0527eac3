"""``typing.Unpack``, which Python has since 3.11."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__all__ = ["Unpack"]

if TYPE_CHECKING:
    from typing_extensions import Unpack
elif sys.version_info >= (3, 11):
    from typing import Unpack
else:

    class Unpack:
        """Says at run time what it cannot say: anything."""

        def __class_getitem__(cls, _options: Any) -> Any:
            return Any
