from hypothesis import given
from hypothesis import strategies as st

from vending.customers.model import mask_name

words = st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=1, max_size=12)


@given(st.lists(words, min_size=1, max_size=4))
def test_a_masked_name_shows_one_letter_a_word(parts: list[str]) -> None:
    masked = mask_name(" ".join(parts)).split(" ")
    assert [word[0] for word in masked] == [part[0] for part in parts]
    assert all(set(word[1:]) == {"*"} for word in masked)
