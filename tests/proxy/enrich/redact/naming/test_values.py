"""Values under secret names that are none: schemas, refusals, folders, numbers."""

from proxy.enrich.redact.naming.values import is_number_kept


def test_numbers_are_kept_but_of_what_is_typed_in() -> None:
    """Of three digits and more."""
    assert not any(
        is_number_kept(name, b"1234")
        for name in (b"pin", b"otp", b"cvv2", b"password", b"verificationcode")
    )
    assert all(
        is_number_kept(name, b"1234") for name in (b"token", b"sessionid", b"secret", b"apikey")
    )
    assert all(is_number_kept(b"pin", number) for number in (b"13", b"-1", b"1.5"))
