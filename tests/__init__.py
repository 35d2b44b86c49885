import pytest

pytest.register_assert_rewrite("tests.support")  # a failure in a helper shows its values, too
