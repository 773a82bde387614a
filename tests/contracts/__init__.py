"""One suite for each seam, run against every backend of it."""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{module}" for module in ("accounts", "conversations", "entries", "keeping", "kit", "rights"))
)
