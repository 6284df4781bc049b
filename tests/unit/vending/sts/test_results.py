from vending.sts.results import AuthenticationResult, Rejection, TokenResult, ValidationResult


def test_results_are_the_standards_words() -> None:
    words = {
        str(word) for kind in (AuthenticationResult, ValidationResult, TokenResult) for word in kind
    }
    assert words == {
        *("Authentic", "CRCError", "DDTKError", "KeyExpiredError"),
        *("Valid", "OldError", "UsedError"),
        *("Accept", "1stKCT", "2ndKCT", "3rdKCT", "4thKCT"),
        *("FormatError", "FunctionError", "RangeError", "KeyTypeError", "OverflowError"),
    }


def test_rejection_holds_any_of_them() -> None:
    assert Rejection(ValidationResult.USED_ERROR).result == "UsedError"
