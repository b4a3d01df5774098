"""What the tests of the sites share is in `tests.site`; its assertions are to tell what they compared."""

import pytest

pytest.register_assert_rewrite("tests.site")
